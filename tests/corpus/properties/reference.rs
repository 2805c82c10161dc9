//! Requests as RFC 9112 writes them, and nothing else: whoever reads them otherwise says so, or is wrong.
//!
//! Written apart from redrive's own, over all the bytes at once and line by line. It knows nothing of what is forgiven:
//! there it gives no opinion.

/// How far the bytes are requests that mean one thing.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Reading {
    /// Where the last request begins that was looked at, with the empty lines before it.
    pub(super) start: usize,
    /// What became of it.
    pub(super) end: End,
}

/// How it ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum End {
    /// All that is there is good; the last request may have only begun.
    Good,
    /// It must be refused, as any reader knows at this byte.
    Fault(usize),
    /// Not written as the RFC wants it, or not enough of it is there to tell.
    NoOpinion,
}

/// What stops the reading.
enum Stop {
    /// The bytes end here, and all was good.
    Ends,
    Fault(usize),
    NoOpinion,
}

/// Reads requests until the bytes end or cannot be read; with `switches`, a request that asks for an upgrade is the last.
pub(super) fn read(bytes: &[u8], switches: bool) -> Reading {
    let mut start = 0;
    loop {
        let end = match request(bytes, start) {
            Ok(Request { end, upgrades }) if !(upgrades && switches) => {
                start = end;
                continue;
            }
            Ok(_) | Err(Stop::Ends) => End::Good,
            Err(Stop::Fault(at)) => End::Fault(at),
            Err(Stop::NoOpinion) => End::NoOpinion,
        };
        return Reading { start, end };
    }
}

struct Request {
    end: usize,
    upgrades: bool,
}

fn request(bytes: &[u8], start: usize) -> Result<Request, Stop> {
    let mut at = start;
    while bytes[at..].starts_with(b"\r\n") {
        at += 2;
    }
    if at == bytes.len() {
        return Err(Stop::Ends);
    }
    let head_end = find(&bytes[at..], b"\r\n\r\n").map(|end| at + end + 4);
    let head = &bytes[at..head_end.unwrap_or(bytes.len())];
    let is_bare = |at: usize| match head[at] {
        b'\n' => at == 0 || head[at - 1] != b'\r',
        b'\r' => head.get(at + 1) != Some(&b'\n'),
        _ => false,
    };
    if (0..head.len()).any(is_bare) {
        return Err(Stop::NoOpinion);
    }
    let Some(head_end) = head_end else {
        return Err(Stop::Ends);
    };
    let text: String = head[..head.len() - 4]
        .iter()
        .copied()
        .map(char::from)
        .collect();
    let mut lines = text.split("\r\n");
    let first = lines.next().and_then(first_line).ok_or(Stop::NoOpinion)?;
    let fields: Vec<(String, &str)> = lines
        .map(field)
        .collect::<Option<_>>()
        .ok_or(Stop::NoOpinion)?;
    if fields.len() > FIELDS_MAX {
        return Err(Stop::NoOpinion);
    }
    let values = |name: &str| -> Vec<&str> {
        let named = fields.iter().filter(|(it, _)| it == name);
        named.map(|(_, value)| *value).collect()
    };
    let (lengths, codings) = (values("content-length"), values("transfer-encoding"));
    let is_doubled = lengths.len() > 1 || (lengths.len() == 1 && !codings.is_empty());
    if first.target.contains('#') || is_doubled {
        return Err(Stop::Fault(head_end - 1));
    }
    let end = match (lengths.first(), codings.as_slice()) {
        (None, []) => head_end,
        (Some(length), _) => {
            let length = length_of(length).ok_or(Stop::NoOpinion)?;
            if length > i64::MAX as u64 {
                return Err(Stop::Fault(head_end - 1));
            }
            pass(bytes, head_end, length)?
        }
        (None, [coding]) if coding.eq_ignore_ascii_case("chunked") && first.minor == '1' => {
            chunked(bytes, head_end)?
        }
        (None, _) => return Err(Stop::NoOpinion),
    };
    let upgrades = !values("upgrade").is_empty();
    Ok(Request { end, upgrades })
}

struct FirstLine<'a> {
    target: &'a str,
    minor: char,
}

fn first_line(line: &str) -> Option<FirstLine<'_>> {
    let words: Vec<&str> = line.split(' ').collect();
    let [method, target, version] = words[..] else {
        return None;
    };
    let minor = match version {
        "HTTP/1.0" => '0',
        "HTTP/1.1" => '1',
        _ => return None,
    };
    let is_good =
        |sign: char| sign.is_ascii_alphanumeric() || "-._~%!$&'()*+,;=:@/?#[]".contains(sign);
    let is_target = !target.is_empty() && target.chars().all(is_good);
    (is_token(method) && is_target).then_some(FirstLine { target, minor })
}

/// The name in lower case, and the value without the blanks around it.
fn field(line: &str) -> Option<(String, &str)> {
    let (name, value) = line.split_once(':')?;
    let is_text = |sign: char| sign == '\t' || (sign >= ' ' && sign != '\x7f');
    let is_field = is_token(name) && value.chars().all(is_text);
    is_field.then(|| (name.to_ascii_lowercase(), value.trim_matches([' ', '\t'])))
}

fn is_token(text: &str) -> bool {
    let is_part = |sign: char| sign.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(sign);
    !text.is_empty() && text.chars().all(is_part)
}

fn length_of(digits: &str) -> Option<u64> {
    let is_number = !digits.is_empty() && digits.chars().all(|it| it.is_ascii_digit());
    is_number.then(|| digits.parse().ok()).flatten()
}

/// Where a body in chunks ends (section 7.1).
fn chunked(bytes: &[u8], mut at: usize) -> Result<usize, Stop> {
    loop {
        let line_end = at + find(&bytes[at..], b"\n").ok_or(Stop::NoOpinion)?;
        let size = bytes[at..line_end].strip_suffix(b"\r").and_then(size_line);
        let size = size.ok_or(Stop::Fault(line_end))?;
        at = line_end + 1;
        if size == 0 {
            break;
        }
        at = pass(bytes, at, size)?;
        match &bytes[at..] {
            [b'\r', b'\n', ..] => at += 2,
            [_, _, ..] => return Err(Stop::Fault(at + 1)),
            _ => return Err(Stop::NoOpinion),
        }
    }
    loop {
        let line_end = at + find(&bytes[at..], b"\r").ok_or(Stop::NoOpinion)?;
        match bytes.get(line_end + 1) {
            Some(b'\n') if line_end == at => return Ok(at + 2),
            Some(b'\n') => at = line_end + 2,
            Some(_) => return Err(Stop::Fault(line_end + 1)),
            None => return Err(Stop::NoOpinion),
        }
    }
}

/// The size that a line names, which may have an extension without control characters.
fn size_line(line: &[u8]) -> Option<u64> {
    let digits = line
        .iter()
        .take_while(|byte| byte.is_ascii_hexdigit())
        .count();
    if !(1..=16).contains(&digits) {
        return None;
    }
    let rest = &line[digits..];
    let blanks = rest
        .iter()
        .take_while(|byte| matches!(byte, b' ' | b'\t'))
        .count();
    let is_text = |byte: &u8| *byte == b'\t' || (*byte >= b' ' && *byte != 0x7f);
    let is_extension = rest.get(blanks) == Some(&b';') && rest.iter().all(is_text);
    if !rest.is_empty() && !is_extension || rest.len() > EXTENSION_BYTES_MAX {
        return None;
    }
    u64::from_str_radix(std::str::from_utf8(&line[..digits]).ok()?, 16).ok()
}

/// Where so many bytes from `at` on end.
fn pass(bytes: &[u8], at: usize, length: u64) -> Result<usize, Stop> {
    let length = usize::try_from(length).map_err(|_| Stop::Ends)?;
    let is_there = length <= bytes.len() - at;
    is_there.then(|| at + length).ok_or(Stop::Ends)
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}

/// As many fields as redrive takes.
const FIELDS_MAX: usize = 100;

/// As long as redrive lets an extension be, its blanks included and its semicolon not.
const EXTENSION_BYTES_MAX: usize = 1025;
