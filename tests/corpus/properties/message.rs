//! Messages out of bytes, as a fuzzer invents them: the head by the parser that redrive uses, what follows as it stands.

use http::{HeaderMap, HeaderName, HeaderValue, Request, StatusCode, Version};

/// An answer: its head, and what follows it.
pub(super) struct Answer<'a> {
    /// Its status.
    pub(super) status: StatusCode,
    /// Its headers.
    pub(super) headers: HeaderMap,
    /// What follows the head.
    pub(super) body: &'a [u8],
}

impl<'a> Answer<'a> {
    /// Reads one; `None` where the bytes are no answer.
    pub(super) fn read(bytes: &'a [u8]) -> Option<Self> {
        let mut fields = [httparse::EMPTY_HEADER; FIELDS_MAX];
        let mut answer = httparse::Response::new(&mut fields);
        let head = match answer.parse(bytes).ok()? {
            httparse::Status::Complete(head) => head,
            httparse::Status::Partial => return None,
        };
        Some(Self {
            status: StatusCode::from_u16(answer.code?).ok()?,
            headers: headers(answer.headers)?,
            body: &bytes[head..],
        })
    }
}

/// Reads a request's head; `None` where the bytes are none.
pub(super) fn request(bytes: &[u8]) -> Option<Request<()>> {
    let mut fields = [httparse::EMPTY_HEADER; FIELDS_MAX];
    let mut read = httparse::Request::new(&mut fields);
    read.parse(bytes).ok()?.is_complete().then_some(())?;
    let mut request = Request::builder()
        .method(read.method?)
        .uri(read.path?)
        .version(match read.version? {
            0 => Version::HTTP_10,
            _ => Version::HTTP_11,
        })
        .body(())
        .ok()?;
    *request.headers_mut() = headers(read.headers)?;
    Some(request)
}

fn headers(fields: &[httparse::Header<'_>]) -> Option<HeaderMap> {
    let mut headers = HeaderMap::new();
    for field in fields {
        let name = HeaderName::from_bytes(field.name.as_bytes()).ok()?;
        headers.append(name, HeaderValue::from_bytes(field.value).ok()?);
    }
    Some(headers)
}

/// As many fields as redrive takes.
const FIELDS_MAX: usize = 100;
