//! Which fields a message's head has, found in one pass over the few that are there.
//!
//! A look-up in a [`HeaderMap`] hashes the name that is looked for: 100 instructions, and 200 for a name that HTTP's own lists
//! do not have. Most of what redrive looks for is hardly ever there, and to see that takes 5 a field.

use http::{HeaderMap, HeaderName, HeaderValue};

/// Which of these names are there.
pub fn present<const N: usize>(headers: &HeaderMap, names: &[HeaderName; N]) -> [bool; N] {
    let mut present = [false; N];
    for field in headers.keys() {
        for (is_there, name) in present.iter_mut().zip(names) {
            *is_there |= field == name;
        }
    }
    present
}

/// Whether a name is there.
pub fn has(headers: &HeaderMap, name: &HeaderName) -> bool {
    headers.keys().any(|field| field == name)
}

/// The first value of a name that is rarely there.
pub fn rare<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a HeaderValue> {
    if has(headers, name) {
        headers.get(name)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use http::header::{ACCEPT, COOKIE, HOST};

    use super::*;

    #[test]
    fn what_is_there_is_found_and_nothing_else() {
        let mut headers = HeaderMap::new();
        headers.insert(HOST, HeaderValue::from_static("a"));
        headers.append(COOKIE, HeaderValue::from_static("first"));
        headers.append(COOKIE, HeaderValue::from_static("second"));

        assert_eq!(
            present(&headers, &[ACCEPT, COOKIE, HOST]),
            [false, true, true]
        );
        assert!(has(&headers, &HOST) && !has(&headers, &ACCEPT));
        assert_eq!(rare(&headers, &COOKIE).unwrap(), "first");
        assert_eq!(rare(&headers, &ACCEPT), None);
    }
}
