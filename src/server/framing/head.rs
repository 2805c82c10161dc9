//! What a head says of the bytes behind it.

use super::Stage;
use super::chunks::Chunks;

/// What a head means for the bytes behind it.
#[derive(Debug)]
pub(super) enum Judged {
    Goes(Stage),
    /// The same, and the answer may be that the connection leaves HTTP.
    AsksToLeave(Stage),
    Refused(&'static str),
}

/// What a head says of the bytes behind it, as hyper reads it if it can.
///
/// Only what frames a body is looked at, line by line; hyper parses the head once more, and whatever else is wrong with it is refused
/// then.
pub(super) fn judge(head: &[u8]) -> Judged {
    let mut rest = head;
    let mut lines = std::iter::from_fn(|| {
        let (line, behind) = rest.split_at(memchr::memchr(b'\n', rest)?);
        rest = &behind[1..];
        Some(line)
    });
    let Some(target) = lines.next().and_then(target) else {
        return Judged::Goes(Stage::Unknown); // hyper refuses it, or speaks HTTP/2
    };
    if target.contains(&b'#') {
        return Judged::Refused("a fragment in the target");
    }
    let (mut length, mut is_chunked, mut asks_to_leave) = (None, false, false);
    for line in lines {
        match line.first().map(u8::to_ascii_lowercase) {
            Some(b'c') => {
                if let Some(value) = value(line, b"content-length")
                    && length.replace(value).is_some()
                {
                    return Judged::Refused("more than one Content-Length");
                }
            }
            Some(b't') => is_chunked |= value(line, b"transfer-encoding").is_some(),
            // For which protocol, and whether in the right way, makes no difference: only a 101 does.
            Some(b'u') => asks_to_leave |= value(line, b"upgrade").is_some(),
            _ => {}
        }
    }
    let stage = match length {
        Some(_) if is_chunked => {
            return Judged::Refused("both Content-Length and Transfer-Encoding");
        }
        None if is_chunked => Stage::Chunked(Chunks::new()),
        None => Stage::Head,
        Some(length) => match sized(length) {
            None => Stage::Unknown, // hyper refuses it
            Some(0) => Stage::Head,
            Some(length) if length > LENGTH_MAX => return Judged::Refused("an absurd length"),
            Some(length) => Stage::Sized(length),
        },
    };
    if asks_to_leave {
        Judged::AsksToLeave(stage)
    } else {
        Judged::Goes(stage)
    }
}

/// What a request's first line asks for, if it is one of HTTP/1.
fn target(line: &[u8]) -> Option<&[u8]> {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let line = line
        .strip_suffix(b" HTTP/1.1")
        .or_else(|| line.strip_suffix(b" HTTP/1.0"))?;
    let space = memchr::memchr(b' ', line)?;
    Some(&line[space + 1..])
}

/// The value of a line's field, if it is the one of this name.
fn value<'a>(line: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let (start, rest) = line.split_at_checked(name.len())?;
    let value = rest.strip_prefix(b":")?;
    start.eq_ignore_ascii_case(name).then(|| value.trim_ascii())
}

/// A length of digits alone.
fn sized(length: &[u8]) -> Option<u64> {
    let is_number = length.iter().all(u8::is_ascii_digit);
    let text = std::str::from_utf8(length).ok().filter(|_| is_number)?;
    text.parse().ok()
}

/// Somebody on the way may count in 64 bits with a sign.
const LENGTH_MAX: u64 = i64::MAX.unsigned_abs();

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::sample::select;

    use super::*;

    /// What frames a body by what a parser finds in the head; `None` where it finds no request.
    fn parsed(head: &[u8]) -> Option<String> {
        let mut fields = [httparse::EMPTY_HEADER; 100];
        let mut request = httparse::Request::new(&mut fields);
        let read = request.parse(head).ok()?;
        (read == httparse::Status::Complete(head.len())).then_some(())?;
        let named = |name: &str| {
            let fields = request.headers.iter();
            let named = fields.filter(|it| it.name.eq_ignore_ascii_case(name));
            named.map(|it| it.value).collect::<Vec<_>>()
        };
        let (lengths, codings) = (named("content-length"), named("transfer-encoding"));
        let stage = match (lengths.as_slice(), codings.as_slice()) {
            _ if request.path?.contains('#') => return Some("Refused".into()),
            ([_, _, ..], _) | ([_], [_, ..]) => return Some("Refused".into()),
            ([], []) => Stage::Head,
            ([], _) => Stage::Chunked(Chunks::new()),
            ([length], []) => match sized(length) {
                None => Stage::Unknown,
                Some(0) => Stage::Head,
                Some(length) if length > LENGTH_MAX => return Some("Refused".into()),
                Some(length) => Stage::Sized(length),
            },
        };
        let leaves = !named("upgrade").is_empty();
        Some(format!("{stage:?} {leaves}"))
    }

    fn judged(head: &[u8]) -> String {
        match judge(head) {
            Judged::Refused(_) => "Refused".into(),
            Judged::Goes(stage) => format!("{stage:?} false"),
            Judged::AsksToLeave(stage) => format!("{stage:?} true"),
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]
        #[test]
        fn a_head_is_judged_as_a_parser_of_all_of_it_would(
            first in select(vec![
                "GET / HTTP/1.1", "POST /#a HTTP/1.0", "#A / HTTP/1.1", "GET /", "PRI * HTTP/2.0", "GET / HTTP/1.1 ", "GET /a b HTTP/1.1",
            ]),
            fields in proptest::collection::vec((
                select(vec![
                    "Content-Length", "content-length", "CONTENT-LENGTH ", "Content-Lengthy", " Content-Length", "Content", "",
                    "Transfer-Encoding", "transfer-encodin", "Upgrade", "uPGRADE", "Host", "Cookie", "T", "X-Upgrade",
                ]),
                select(vec![":", ": ", ":\t", " :", ""]),
                select(vec!["0", "1", "12 ", "+1", "1,1", "", "9223372036854775808", "chunked", "h2c#", "a:b", "1\r"]),
            ), 0..5),
            ends in proptest::collection::vec(select(vec!["\r\n", "\r\n", "\n"]), 7),
        ) {
            let mut head = format!("{first}{}", ends[5]);
            for ((name, colon, value), end) in fields.iter().zip(&ends) {
                head.push_str(&format!("{name}{colon}{value}{end}"));
            }
            head.push_str(ends[6]);

            if let Some(expected) = parsed(head.as_bytes()) {
                prop_assert_eq!(judged(head.as_bytes()), expected, "{:?}", head);
            }
        }
    }
}
