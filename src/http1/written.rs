//! Heads as they are written, and names of fields in the case that the other side wants.

use bytes::Bytes;
use http::header::GetAll;
use http::{HeaderMap, HeaderName, Method, StatusCode, Version};

/// The names of a message's fields as they came; an extension of requests and answers.
#[derive(Clone, Debug, Default)]
pub struct AsWritten(HeaderMap<Bytes>);

/// An answer's own reason; an extension of answers that have another than their status's usual one (RFC 9112 section 4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason(pub(super) Bytes);

/// In which case names are written.
#[derive(Clone, Copy, Debug)]
pub enum Case<'a> {
    /// In lower case.
    Lower,
    /// In Title-Case.
    Title,
    /// As they came, each field of a name in its own way. Others are in Title-Case or in lower case.
    AsWritten {
        /// The names as they came.
        names: &'a AsWritten,
        /// Whether the others are in Title-Case.
        is_title: bool,
    },
}

impl AsWritten {
    /// Notes that the next field of this name came with it written so.
    #[cold]
    pub(super) fn note(&mut self, name: &HeaderName, written: Bytes) {
        self.0.append(name, written);
    }
}

/// Writes a request's first line, for HTTP/1.1. A target without a path has the path `/` (RFC 9112 section 3.2.1).
pub fn request_head(to: &mut Vec<u8>, method: &Method, target: &str) {
    to.extend_from_slice(method.as_str().as_bytes());
    to.push(b' ');
    if !target.starts_with(['/', '*']) {
        to.push(b'/');
    }
    to.extend_from_slice(target.as_bytes());
    to.extend_from_slice(b" HTTP/1.1\r\n");
}

/// Writes an answer's first line.
pub fn status_line(
    to: &mut Vec<u8>,
    version: Version,
    status: StatusCode,
    reason: Option<&Reason>,
) {
    let version: &[u8] = if version == Version::HTTP_10 {
        b"HTTP/1.0 "
    } else {
        b"HTTP/1.1 "
    };
    to.extend_from_slice(version);
    to.extend_from_slice(status.as_str().as_bytes());
    to.push(b' ');
    // Many a reader wants one, although it may be empty.
    let usual = || status.canonical_reason().unwrap_or("<none>").as_bytes();
    to.extend_from_slice(reason.map_or_else(usual, |reason| &reason.0));
    to.extend_from_slice(b"\r\n");
}

/// Writes the lines of these fields, but not the empty line behind them.
pub fn write_fields(to: &mut Vec<u8>, fields: &HeaderMap, case: Case<'_>) {
    let mut ways: Option<Ways<'_>> = None;
    for (name, value) in fields {
        match case {
            Case::Lower => to.extend_from_slice(name.as_str().as_bytes()),
            Case::Title => write_title(to, name),
            Case::AsWritten { names, is_title } => {
                // Fields of one name stand beside one another.
                let mine = ways.take().filter(|ways| ways.name == name);
                let ways = ways.insert(mine.unwrap_or_else(|| Ways::of(names, name)));
                ways.write_next(to, is_title);
            }
        }
        to.extend_from_slice(b": ");
        to.extend_from_slice(value.as_bytes());
        to.extend_from_slice(b"\r\n");
    }
}

/// The ways in which the fields of one name were written.
struct Ways<'a> {
    name: &'a HeaderName,
    written: <GetAll<'a, Bytes> as IntoIterator>::IntoIter,
}

impl<'a> Ways<'a> {
    #[cold]
    fn of(names: &'a AsWritten, name: &'a HeaderName) -> Self {
        Self {
            name,
            written: names.0.get_all(name).into_iter(),
        }
    }

    #[cold]
    fn write_next(&mut self, to: &mut Vec<u8>, is_title: bool) {
        match self.written.next() {
            Some(written) => to.extend_from_slice(written),
            None if is_title => write_title(to, self.name),
            None => to.extend_from_slice(self.name.as_str().as_bytes()),
        }
    }
}

#[cold]
fn write_title(to: &mut Vec<u8>, name: &HeaderName) {
    let mut before = b'-';
    for byte in name.as_str().bytes() {
        to.push(if before == b'-' {
            byte.to_ascii_uppercase()
        } else {
            byte
        });
        before = byte;
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use http::header::{CONTENT_LENGTH, HOST};

    use super::*;

    fn fields() -> HeaderMap {
        let mut fields = HeaderMap::new();
        fields.insert(HOST, HeaderValue::from_static("a"));
        fields.append("x-odd", HeaderValue::from_static("1"));
        fields.append("x-odd", HeaderValue::from_static("\u{9}2"));
        fields.append("x-odd", HeaderValue::from_static("3"));
        fields.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
        fields
    }

    #[track_caller]
    fn check(case: Case<'_>, expected: &str) {
        let mut written = Vec::new();
        write_fields(&mut written, &fields(), case);

        assert_eq!(String::from_utf8(written).unwrap(), expected);
    }

    #[test]
    fn names_are_written_in_the_case_that_is_wanted() {
        let mut names = AsWritten::default();
        for name in ["X-oDD", "x-Odd", "HOST"] {
            names.note(&name.parse().unwrap(), Bytes::from_static(name.as_bytes()));
        }
        let names = &names;
        let as_written = |is_title| Case::AsWritten { names, is_title };

        check(
            Case::Lower,
            "host: a\r\nx-odd: 1\r\nx-odd: \t2\r\nx-odd: 3\r\ncontent-length: 0\r\n",
        );
        check(
            Case::Title,
            "Host: a\r\nX-Odd: 1\r\nX-Odd: \t2\r\nX-Odd: 3\r\nContent-Length: 0\r\n",
        );
        check(
            as_written(false),
            "HOST: a\r\nX-oDD: 1\r\nx-Odd: \t2\r\nx-odd: 3\r\ncontent-length: 0\r\n",
        );
        check(
            as_written(true),
            "HOST: a\r\nX-oDD: 1\r\nx-Odd: \t2\r\nX-Odd: 3\r\nContent-Length: 0\r\n",
        );
    }

    #[test]
    fn first_lines_are_written_as_they_are_read() {
        let mut written = Vec::new();
        request_head(&mut written, &Method::POST, "/a?b");
        request_head(&mut written, &Method::GET, "?b");
        status_line(&mut written, Version::HTTP_11, StatusCode::OK, None);
        let odd = StatusCode::from_u16(799).unwrap();
        status_line(&mut written, Version::HTTP_10, odd, None);
        let reason = Reason(Bytes::from_static(b"Fine"));
        status_line(
            &mut written,
            Version::HTTP_11,
            StatusCode::OK,
            Some(&reason),
        );

        assert_eq!(
            String::from_utf8(written).unwrap(),
            "POST /a?b HTTP/1.1\r\nGET /?b HTTP/1.1\r\nHTTP/1.1 200 OK\r\nHTTP/1.0 799 <none>\r\nHTTP/1.1 200 Fine\r\n"
        );
    }
}
