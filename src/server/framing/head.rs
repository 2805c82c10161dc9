//! What a head says of the bytes behind it.

use super::Stage;
use super::chunks::Chunks;

/// What a head means for the bytes behind it.
pub(super) enum Judged {
    Goes(Stage),
    /// The same, and the answer may be that the connection leaves HTTP.
    AsksToLeave(Stage),
    Refused(&'static str),
}

/// What a head says of the bytes behind it, as hyper reads it if it can.
///
/// Only what frames a body is looked at, line by line; hyper parses the head once more, and whatever else is wrong with it is refused
/// then (1,000 instructions a request less than to parse it here too).
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
