//! What is odd where redrive says to the API who calls (`[sign]`): who overhears it, who may use it, and who is not told.

use http::uri::Scheme;

use super::super::fault::Fault;
use super::super::layer::{Layers, View};
use super::super::url::Url;

/// Everything odd about `[sign]`.
pub(super) fn warnings(layers: &Layers, warnings: &mut Vec<Fault>) {
    let top = View::top(layers);
    let (Some(said), Some(upstream)) = (said(top), top.url("upstream")) else {
        return;
    };
    if upstream.scheme == Scheme::HTTP {
        warnings.push(Fault::new(
            top.place(&["upstream"]),
            format!("{said} goes to `upstream` in the clear"),
            "did you mean https? Whoever reads it on the way can use it",
        ));
    }
    if let Some(meant) =
        region_of(&upstream).filter(|it| top.text(REGION).is_some_and(|is| is != *it))
    {
        warnings.push(Fault::new(
            top.place(&[REGION]),
            format!("`{REGION}` is not the region of `upstream`"),
            format!("did you mean {meant:?}? The API takes signatures for its own region alone"),
        ));
    }
    if top.slot(REGION).is_some() && top.word("host") == Some("client") {
        warnings.push(Fault::new(
            top.place(&["host", REGION]),
            "signed is the Host that a client sends: `host` is \"client\"",
            "the API takes signatures for its own name alone: leave `host` at \"upstream\"",
        ));
    }
    let is_open = top
        .address("listen")
        .is_some_and(|at| !at.ip().to_canonical().is_loopback());
    if is_open && top.slot("tls.listen.client_ca").is_none() {
        warnings.push(Fault::new(
            top.place(&["listen"]),
            format!("whoever reaches `listen` calls the API with {said}"),
            "listen on loopback, ask clients for a certificate (`tls.listen.client_ca`), or see that only they get there",
        ));
    }
    for route in &layers.routes {
        let view = View::route(layers, route);
        let own = view
            .url("upstream")
            .filter(|_| view.sets_any(&["upstream"]));
        let is_elsewhere =
            |it: Url| (&it.scheme, &it.authority) != (&upstream.scheme, &upstream.authority);
        if own.is_some_and(is_elsewhere) {
            warnings.push(Fault::new(
                view.place(&["upstream"]),
                format!(
                    "route `{}` leads to another host, which is not told {said}",
                    View::rule(route).text("name").unwrap_or_default()
                ),
                "[sign] is for the host of the top `upstream`: put a redrive of its own before the other, if it wants to be told",
            ));
        }
    }
}

/// What the API is told, in words.
fn said(top: View<'_>) -> Option<&'static str> {
    let is_set = |path| top.slot(path).is_some();
    let has_key = is_set("sign.api_key_file") || is_set("sign.api_key");
    match (has_key, is_set(REGION)) {
        (true, true) => Some("the API key and our signature"),
        (true, false) => Some("the API key"),
        (false, true) => Some("our signature"),
        (false, false) => None,
    }
}

/// The region that stands in the name of an API's own host.
fn region_of(upstream: &Url) -> Option<&str> {
    let mut labels = upstream.authority.host().split('.').skip(1);
    (labels.next() == Some("execute-api"))
        .then(|| labels.next())
        .flatten()
}

const REGION: &str = "sign.region";
