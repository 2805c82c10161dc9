//! What tells cells apart.

use super::*;

#[test]
fn a_cell_is_a_route_a_method_and_two_segments() {
    let cell = |path| Cell::new(0, &Method::GET, path);

    assert_eq!(cell("/a/b"), cell("/a/b/c/d"));
    assert_eq!(cell("/a/b"), cell("/a/b?c/d"));
    assert_eq!(cell("/a/b"), cell("/a/b/"));
    for (one, other) in [
        ("/a/b", "/a/c"),
        ("/a", "/a/b"),
        ("/a", "/b"),
        ("/", "/a"),
        ("/a/b", "/a//b"),
        ("/a", "/%61"),
    ] {
        assert_ne!(cell(one), cell(other), "{one} {other}");
    }
    assert_ne!(cell("/a"), Cell::new(0, &Method::HEAD, "/a"));
    assert_ne!(cell("/a"), Cell::new(1, &Method::GET, "/a"));
}

#[test]
fn no_client_can_make_a_cell_large() {
    let endless = format!("/{}", "é".repeat(10_000));
    let method = Method::from_bytes("X".repeat(10_000).as_bytes()).unwrap();

    let cell = Cell::new(0, &method, &endless);

    assert_eq!(cell.request.len(), METHOD_BYTES_MAX + 1 + PATH_BYTES_MAX);
    assert_eq!(Cell::new(0, &Method::GET, "").request.len(), "GET ".len());
}
