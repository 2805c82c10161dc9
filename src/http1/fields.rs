//! The fields of a head, taken over from the parser, and what they say of the message's end and of the connection.

use std::mem::MaybeUninit;

use http::header::{
    ACCEPT, ACCEPT_ENCODING, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, DATE, EXPECT, HOST, SERVER,
    TE, TRANSFER_ENCODING, UPGRADE, USER_AGENT,
};
use http::{Extensions, HeaderMap, HeaderName, HeaderValue};

use super::copied::Copied;
use super::{AsWritten, FIELDS_MAX, Reading, Refusal};

/// Room for what the parser finds.
pub(super) type Found<'a> = [MaybeUninit<httparse::Header<'a>>; FIELDS_MAX];

/// Room that nothing is found in yet, and that nobody has to clear.
pub(super) fn room<'a>() -> Found<'a> {
    [const { MaybeUninit::uninit() }; FIELDS_MAX]
}

/// What the fields of a head say of the message and the connection.
#[derive(Debug, Default)]
pub(super) struct Said {
    /// The fields that say a length.
    pub(super) lengths: usize,
    /// What the first of them says, if it is one number.
    pub(super) length: Option<u64>,
    /// The fields that name codings.
    pub(super) codings: usize,
    /// Whether the last of them ends with `chunked`.
    pub(super) ends_chunked: bool,
    /// Whether the last of them is `chunked` and nothing else.
    pub(super) is_chunked: bool,
    /// Whether `Connection` says `close`, or `keep-alive`.
    pub(super) closes: bool,
    pub(super) keeps_alive: bool,
    /// Whether the message asks to leave HTTP, or names what it leaves for.
    pub(super) upgrades: bool,
    /// Whether the body waits for a go-ahead (RFC 9110 section 10.1.1).
    pub(super) expects_continue: bool,
    /// Whether `TE` says that trailers are welcome (RFC 9110 section 10.1.4).
    pub(super) takes_trailers: bool,
}

/// Takes over what was found into a head's fields, and says what it means. Makes room for `more` fields to come. A field that says
/// `Connection: keep-alive` and nothing else is heard, and not taken over.
///
/// # Errors
/// When a name or a value is none.
pub(super) fn take(
    copied: &Copied,
    found: &[httparse::Header<'_>],
    reading: Reading,
    more: usize,
    (fields, extensions): (&mut HeaderMap, &mut Extensions),
) -> Result<Said, Refusal> {
    let mut said = Said::default();
    let mut written = reading.keeps_case.then(AsWritten::default);
    if found.len() + more > FEW_FIELDS {
        fields.reserve(found.len() + more);
    }
    for field in found {
        let name = match usual(field.name.as_bytes()) {
            Some(name) => name.clone(),
            None => other(field.name.as_bytes())?,
        };
        if let Some(written) = &mut written {
            written.note(&name, copied.part(field.name.as_bytes()));
        }
        if name == CONNECTION && (field.value == b"keep-alive" || field.value == b"Keep-Alive") {
            // What nearly everybody says, and nobody but this connection has to hear.
            said.keeps_alive = true;
            continue;
        }
        let value = HeaderValue::from_maybe_shared(copied.part(field.value));
        let value = value.map_err(|_| Refusal::Unreadable("a value that is none"))?;
        said.hear(&name, &value);
        fields.append(name, value);
    }
    if let Some(written) = written {
        extensions.insert(written);
    }
    Ok(said)
}

/// Any other name. Apart from the usual ones, which have a short way.
#[inline(never)]
fn other(name: &[u8]) -> Result<HeaderName, Refusal> {
    // A token, so nothing else can be wrong.
    HeaderName::from_bytes(name).map_err(|_| Refusal::TooLarge)
}

/// The name that this is, if it stands in most heads and is written as most do: to find it in HTTP's own list takes five times as
/// long, and those of AWS are in no list.
fn usual(name: &[u8]) -> Option<&'static HeaderName> {
    let usual = USUAL[slot(name)].as_ref()?;
    let is = |spelling: &[u8]| spelling.get(..usual.length) == Some(name);
    (is(&usual.written) || is(&usual.lower)).then_some(&usual.name)
}

/// A name, and how it is written: beside one another in memory.
struct Usual {
    written: [u8; USUAL_BYTES_MAX],
    lower: [u8; USUAL_BYTES_MAX],
    length: usize,
    name: HeaderName,
}

/// The usual names, each in its [`slot`].
static USUAL: [Option<Usual>; SLOTS] = {
    let mut slots = [const { None }; SLOTS];
    place(&mut slots, "Accept", ACCEPT);
    place(&mut slots, "Accept-Encoding", ACCEPT_ENCODING);
    place(&mut slots, "Connection", CONNECTION);
    place(&mut slots, "Content-Length", CONTENT_LENGTH);
    place(&mut slots, "Content-Type", CONTENT_TYPE);
    place(&mut slots, "Date", DATE);
    place(&mut slots, "Host", HOST);
    place(&mut slots, "Server", SERVER);
    place(&mut slots, "User-Agent", USER_AGENT);
    place(&mut slots, "x-amzn-RequestId", X_AMZN_REQUESTID);
    place(&mut slots, "x-amz-apigw-id", X_AMZ_APIGW_ID);
    place(&mut slots, "Apigw-Requestid", APIGW_REQUESTID);
    place(&mut slots, "X-Amzn-Trace-Id", X_AMZN_TRACE_ID);
    slots
};

const fn place(slots: &mut [Option<Usual>; SLOTS], written: &str, name: HeaderName) {
    let written = written.as_bytes();
    let mut usual = Usual {
        written: [0; USUAL_BYTES_MAX],
        lower: [0; USUAL_BYTES_MAX],
        length: written.len(),
        name,
    };
    let mut at = 0;
    while at < written.len() {
        usual.written[at] = written[at];
        usual.lower[at] = written[at].to_ascii_lowercase();
        at += 1;
    }
    let slot = slot(written);
    assert!(slots[slot].is_none(), "two usual names in one slot");
    // Nothing is there that would have to be dropped, which cannot be done while this is compiled.
    std::mem::forget(slots[slot].replace(usual));
}

/// Where a name is looked for: by its length, and a letter that is small in each of its spellings. No two of the usual ones share it.
const fn slot(name: &[u8]) -> usize {
    let letter = match name {
        [.., letter, _, _] => *letter as usize,
        _ => 0,
    };
    (5 * name.len() + 2 * letter) % SLOTS
}

impl Said {
    fn hear(&mut self, name: &HeaderName, value: &HeaderValue) {
        match *name {
            CONTENT_LENGTH => {
                self.lengths += 1;
                if self.lengths == 1 {
                    self.length = number(value.as_bytes());
                }
            }
            TRANSFER_ENCODING | CONNECTION | UPGRADE | EXPECT | TE => self.hear_more(name, value),
            _ => {}
        }
    }

    /// The same of what few heads say.
    #[cold]
    fn hear_more(&mut self, name: &HeaderName, value: &HeaderValue) {
        match *name {
            TRANSFER_ENCODING => {
                self.codings += 1;
                self.is_chunked = value.as_bytes().eq_ignore_ascii_case(b"chunked");
                self.ends_chunked = members(value)
                    .next_back()
                    .is_some_and(|coding| coding.eq_ignore_ascii_case(b"chunked"));
            }
            CONNECTION => {
                for option in members(value) {
                    self.closes |= option.eq_ignore_ascii_case(b"close");
                    self.keeps_alive |= option.eq_ignore_ascii_case(b"keep-alive");
                }
            }
            UPGRADE => self.upgrades = true,
            EXPECT => {
                self.expects_continue = value.as_bytes().eq_ignore_ascii_case(b"100-continue");
            }
            TE => {
                self.takes_trailers |=
                    members(value).any(|it| it.eq_ignore_ascii_case(b"trailers"));
            }
            _ => {}
        }
    }
}

/// The members of a list, blanks around them taken off (RFC 9110 section 5.6.1).
pub fn members(value: &HeaderValue) -> impl DoubleEndedIterator<Item = &[u8]> {
    let members = value.as_bytes().split(|byte| *byte == b',');
    members.map(<[u8]>::trim_ascii)
}

/// A length, if this is one: digits alone, no more than [`LENGTH_MAX`].
pub fn number(text: &[u8]) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    let mut digits = text.iter().copied();
    let number = digits.try_fold(0_u64, |number, digit| {
        let digit = char::from(digit).to_digit(10)?;
        number.checked_mul(10)?.checked_add(digit.into())
    });
    number.filter(|number| *number <= LENGTH_MAX)
}

/// The one length that the fields say, also where they say it more than once; they say it once afterwards.
///
/// # Errors
/// When one of them is no number, or they differ (RFC 9110 section 8.6).
pub fn one_length(headers: &mut HeaderMap) -> Result<Option<u64>, Refusal> {
    const UNCLEAR: Refusal = Refusal::Unreadable("lengths that differ, or are none");
    let mut said = headers.get_all(CONTENT_LENGTH).iter().flat_map(members);
    let Some(first) = said.next() else {
        return Ok(None);
    };
    let length = number(first).ok_or(UNCLEAR)?;
    let mut is_once = true;
    for other in said {
        if other != first {
            return Err(UNCLEAR);
        }
        is_once = false;
    }
    if !is_once {
        let once = HeaderValue::from_bytes(first).map_err(|_| UNCLEAR)?;
        headers.insert(CONTENT_LENGTH, once);
    }
    Ok(Some(length))
}

/// Whether a head that was incomplete when `known` of the bytes were there may be complete now, or anything looked at for the first
/// time. Who sends a head byte by byte does not have it parsed as often.
pub(super) fn is_worth_reading(bytes: &[u8], known: usize) -> bool {
    known == 0
        || memchr::memchr_iter(b'\n', bytes.get(known..).unwrap_or_default()).any(|at| {
            let line = &bytes[..known + at];
            line.ends_with(b"\n") || line.ends_with(b"\n\r")
        })
}

/// How long a head is that was parsed so far among so many bytes; `None` while it is incomplete.
///
/// # Errors
/// When it is longer than the limit, or will be.
pub(super) fn head_length(
    parsed: httparse::Status<usize>,
    there: usize,
    reading: Reading,
) -> Result<Option<usize>, Refusal> {
    match parsed {
        httparse::Status::Complete(length) if length <= reading.head_bytes_max => Ok(Some(length)),
        httparse::Status::Partial if there < reading.head_bytes_max => Ok(None),
        _ => Err(Refusal::TooLarge),
    }
}

/// The longest of the usual names.
const USUAL_BYTES_MAX: usize = 16;

/// Enough for each of them to have its own.
const SLOTS: usize = 32;

/// For so many a map makes room by itself when the first of them comes, in smaller blocks of memory than if it is asked to.
const FEW_FIELDS: usize = 6;

/// What API Gateway and Lambda call an answer, and a request on its way through them.
const X_AMZN_REQUESTID: HeaderName = HeaderName::from_static("x-amzn-requestid");
const X_AMZ_APIGW_ID: HeaderName = HeaderName::from_static("x-amz-apigw-id");
const APIGW_REQUESTID: HeaderName = HeaderName::from_static("apigw-requestid");
const X_AMZN_TRACE_ID: HeaderName = HeaderName::from_static("x-amzn-trace-id");

/// The longest body that is believed: somebody on the way may count in 64 bits with a sign.
pub const LENGTH_MAX: u64 = i64::MAX.unsigned_abs();

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(lengths: &[&str], expected: Result<Option<u64>, ()>, left: &[&str]) {
        let mut headers = HeaderMap::new();
        for length in lengths {
            headers.append(CONTENT_LENGTH, length.parse().unwrap());
        }

        let found = one_length(&mut headers);

        assert_eq!(found.map_err(|_| ()), expected, "{lengths:?}");
        if found.is_ok() {
            let said: Vec<_> = headers.get_all(CONTENT_LENGTH).iter().collect();
            assert_eq!(said, left, "{lengths:?}");
        }
    }

    #[test]
    fn a_usual_name_is_the_one_that_http_takes_it_for() {
        for name in [
            "Accept",
            "Accept-Encoding",
            "Connection",
            "Content-Length",
            "Content-Type",
            "Date",
            "Host",
            "Server",
            "User-Agent",
            "x-amzn-RequestId",
            "x-amz-apigw-id",
            "Apigw-Requestid",
            "X-Amzn-Trace-Id",
        ] {
            for spelling in [name, &name.to_lowercase()] {
                let taken_for = HeaderName::from_bytes(spelling.as_bytes()).unwrap();
                assert_eq!(usual(spelling.as_bytes()), Some(&taken_for), "{spelling}");
            }
        }
    }

    #[test]
    fn a_length_said_twice_is_said_once() {
        check(&[], Ok(None), &[]);
        check(&["4"], Ok(Some(4)), &["4"]);
        check(&["4, 4"], Ok(Some(4)), &["4"]);
        check(&["4", "4"], Ok(Some(4)), &["4"]);
    }

    #[test]
    fn what_is_no_length_is_none() {
        for lengths in [
            ["4", "5"],
            ["4", "+4"],
            ["4", "04"],
            ["", "4"],
            ["4,", "4"],
            ["9223372036854775808", "9223372036854775808"],
        ] {
            check(&lengths, Err(()), &[]);
        }
        check(
            &["9223372036854775807"],
            Ok(Some(LENGTH_MAX)),
            &["9223372036854775807"],
        );
    }

    #[test]
    fn a_head_is_read_again_only_when_its_end_may_have_come() {
        let head = b"GET / HTTP/1.1\r\nhost: a\r\n\r\nbody";
        let end = head.len() - b"body".len();

        for there in 1..=head.len() {
            for known in 0..there {
                let expected = known == 0 || (known < end && end <= there);
                assert_eq!(
                    is_worth_reading(&head[..there], known),
                    expected,
                    "{known} {there}"
                );
            }
        }
        assert!(is_worth_reading(b"a\n\n", 2) && is_worth_reading(b"a\r\n\n", 3));
        assert!(!is_worth_reading(b"a\n\rb\n", 3));
    }
}
