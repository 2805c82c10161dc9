//! Answers that are known at once: a line of text, and what a browser may show.

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Response, StatusCode};
use http_body_util::{Either, Full};

use super::connection::AnswerBody;
use super::page;

/// What a browser may show, and how.
pub(super) fn shown(content_type: &'static str, page: Bytes) -> Response<AnswerBody> {
    let mut response = Response::new(Either::Left(Full::new(page)));
    page::protect(response.headers_mut(), content_type);
    response
}

/// A line of text.
pub(super) fn text(status: StatusCode, text: &'static str) -> Response<AnswerBody> {
    let text = Bytes::from_static(text.as_bytes());
    let mut response = Response::new(Either::Left(Full::new(text)));
    *response.status_mut() = status;
    response.headers_mut().insert(
        CONTENT_TYPE,
        HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    response
}
