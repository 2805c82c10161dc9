//! The status page and its assets, which are part of the program: nothing is fetched from anywhere else.
//!
//! What a request brought, such as its path, reaches the page as JSON and is shown as text. Should that ever fail, the policy
//! below still runs no script but the page's own files, and lets no string become markup.

use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderValue};

/// One file of the page.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asset {
    /// What it is.
    pub(super) content_type: &'static str,
    /// The file.
    pub(super) bytes: &'static [u8],
}

/// The page or one of its assets.
pub(super) fn asset(path: &str) -> Option<Asset> {
    let (content_type, text) = match path {
        "/" => ("text/html; charset=utf-8", PAGE),
        "/assets/page.css" => ("text/css; charset=utf-8", STYLE),
        "/assets/page.js" => ("text/javascript; charset=utf-8", SCRIPT),
        "/assets/words.js" => ("text/javascript; charset=utf-8", WORDS),
        "/assets/uplot.css" => ("text/css; charset=utf-8", CHARTS_STYLE),
        "/assets/uplot.js" => ("text/javascript; charset=utf-8", CHARTS),
        "/assets/icon.svg" => ("image/svg+xml", ICON),
        _ => return None,
    };
    let bytes = text.as_bytes();
    Some(Asset {
        content_type,
        bytes,
    })
}

/// The headers of everything that a browser is given to show.
pub(super) fn protect(headers: &mut HeaderMap, content_type: &'static str) {
    let fixed: [(HeaderName, &str); 6] = [
        (CONTENT_TYPE, content_type),
        (CONTENT_SECURITY_POLICY, POLICY),
        // A file belongs to the version that runs; loopback is fast enough.
        (CACHE_CONTROL, "no-store"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
        (
            HeaderName::from_static("cross-origin-resource-policy"),
            "same-origin",
        ),
    ];
    for (name, value) in fixed {
        headers.insert(name, HeaderValue::from_static(value));
    }
}

/// Nothing but what the admin listener serves itself, no inline script or style, no frame around it, and no string as markup.
pub(super) const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
     base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'";

const PAGE: &str = include_str!("assets/page.html");
const STYLE: &str = include_str!("assets/page.css");
const SCRIPT: &str = include_str!("assets/page.js");
const WORDS: &str = include_str!("assets/words.js");
const ICON: &str = include_str!("assets/icon.svg");

/// uPlot 1.6.32, with its licence, which goes wherever it goes.
const CHARTS: &str = concat!(
    "/*!\n",
    include_str!("assets/uplot/LICENSE"),
    "\n*/\n",
    include_str!("assets/uplot/uPlot.iife.min.js")
);
const CHARTS_STYLE: &str = include_str!("assets/uplot/uPlot.min.css");

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proxy::metrics::RequestOutcome;
    use crate::retry::Reason;

    #[test]
    fn every_asset_that_the_page_names_is_here_and_none_is_elsewhere() {
        let mut named = 0;
        for attribute in ["src=\"", "href=\""] {
            for part in PAGE.split(attribute).skip(1) {
                let path = part.split('"').next().unwrap();
                assert!(asset(path).is_some() || path == "/status", "{path}");
                named += 1;
            }
        }
        assert!(named >= 5, "{named} are named");
    }

    #[test]
    fn the_page_holds_nothing_that_the_policy_would_forbid() {
        for inline in ["<script>", "<style", " style=", " onclick=", "javascript:"] {
            assert!(!PAGE.contains(inline), "{inline}");
        }
        assert!(!POLICY.contains("unsafe"));
    }

    #[test]
    fn the_script_makes_text_of_what_it_is_told_and_never_markup() {
        for sink in [
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "document.write",
            "DOMParser",
            "eval(",
            "Function(",
            "setAttribute(\"on",
        ] {
            assert!(!SCRIPT.contains(sink), "{sink}");
            assert!(!WORDS.contains(sink), "{sink}");
        }
    }

    #[test]
    fn every_word_of_the_closed_vocabularies_has_a_meaning_on_the_page() {
        let reasons = Reason::ALL.map(Reason::as_str);
        let outcomes = RequestOutcome::ALL.map(RequestOutcome::as_str);
        for word in reasons.into_iter().chain(outcomes) {
            assert!(WORDS.contains(&format!("\n  {word}: ")), "{word}");
        }
    }

    #[test]
    fn the_library_carries_its_licence() {
        assert!(CHARTS.contains("The MIT License"));
        assert!(CHARTS.contains("Leon Sorokin"));
    }
}
