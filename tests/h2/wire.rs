//! Frames as bytes, and HPACK as far as a test needs it: literals out, and the status in.

use std::ops::RangeInclusive;

use crate::script;

/// What a client of HTTP/2 says first (RFC 9113, section 3.4).
pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const WINDOW_UPDATE: u8 = 8;

pub(crate) const ACK: u8 = 0x1;
pub(crate) const END_STREAM: u8 = 0x1;
pub(crate) const END_HEADERS: u8 = 0x4;
const PADDED: u8 = 0x8;
const PRIORITY: u8 = 0x20;

/// The types of frames by their numbers (RFC 9113, section 6).
const TYPES: [&str; 10] = [
    "DATA",
    "HEADERS",
    "PRIORITY",
    "RST_STREAM",
    "SETTINGS",
    "PUSH_PROMISE",
    "PING",
    "GOAWAY",
    "WINDOW_UPDATE",
    "CONTINUATION",
];

/// The error codes by their numbers (RFC 9113, section 7).
const CODES: [&str; 14] = [
    "NO_ERROR",
    "PROTOCOL_ERROR",
    "INTERNAL_ERROR",
    "FLOW_CONTROL_ERROR",
    "SETTINGS_TIMEOUT",
    "STREAM_CLOSED",
    "FRAME_SIZE_ERROR",
    "REFUSED_STREAM",
    "CANCEL",
    "COMPRESSION_ERROR",
    "CONNECT_ERROR",
    "ENHANCE_YOUR_CALM",
    "INADEQUATE_SECURITY",
    "HTTP_1_1_REQUIRED",
];

/// The settings by their numbers, from 1 (RFC 9113, section 6.5.2).
const PARAMETERS: [&str; 6] = [
    "HEADER_TABLE_SIZE",
    "ENABLE_PUSH",
    "MAX_CONCURRENT_STREAMS",
    "INITIAL_WINDOW_SIZE",
    "MAX_FRAME_SIZE",
    "MAX_HEADER_LIST_SIZE",
];

/// One frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) stream: u32,
    pub(crate) payload: Vec<u8>,
}

impl Frame {
    /// A frame of these parts.
    pub(crate) fn new(kind: u8, flags: u8, stream: u32, payload: impl Into<Vec<u8>>) -> Self {
        Self {
            kind,
            flags,
            stream,
            payload: payload.into(),
        }
    }

    /// As it stands on the wire (RFC 9113, section 4.1).
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let length = u32::try_from(self.payload.len()).unwrap().to_be_bytes();
        let head = [&length[1..], &[self.kind, self.flags]].concat();
        [&head, &self.stream.to_be_bytes()[..], &self.payload].concat()
    }

    /// The first whole frame of these bytes, and how many it has.
    pub(crate) fn parse(bytes: &[u8]) -> Option<(Self, usize)> {
        let (head, rest) = bytes.split_at_checked(9)?;
        let length = usize::try_from(number(&head[..3])).unwrap();
        let payload = rest.get(..length)?;
        let stream = number(&head[5..]) & !RESERVED;
        Some((Self::new(head[3], head[4], stream, payload), 9 + length))
    }

    /// Whether it carries this flag.
    pub(crate) fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    /// The error code at the end of a RST_STREAM's payload, or behind a GOAWAY's last stream.
    pub(crate) fn code(&self) -> String {
        let at = if self.kind == GOAWAY { 4 } else { 0 };
        let code = usize::try_from(number(&self.payload[at..at + 4])).unwrap();
        let known = CODES.get(code).copied();
        known.map_or_else(|| format!("{code:#x}"), Into::into)
    }

    /// The status of an answer's head, its first field (RFC 9113, section 8.3.2).
    ///
    /// The client that reads it has told the server to keep no table, so it comes from the static one or as a literal.
    pub(crate) fn status(&self) -> u16 {
        let mut block = self.payload.as_slice();
        while block[0] & 0xe0 == 0x20 {
            block = &block[1..]; // a table's new size, 0
        }
        match block[0] {
            indexed @ 0x88..=0x8e => {
                [200, 204, 206, 304, 400, 404, 500][usize::from(indexed) - 0x88]
            }
            0x08 | 0x18 | 0x48 => digits(block[1], &block[2..]).parse().unwrap(),
            other => panic!("no status begins with {other:#x}"),
        }
    }
}

/// Digits, plain or in Huffman's code (RFC 7541, appendix B).
fn digits(length: u8, bytes: &[u8]) -> String {
    let bytes = &bytes[..usize::from(length & 0x7f)];
    if length & 0x80 == 0 {
        return bytes.iter().copied().map(char::from).collect();
    }
    let bits: String = bytes.iter().map(|byte| format!("{byte:08b}")).collect();
    let (mut text, mut rest) = (String::new(), bits.as_str());
    while text.len() < 3 {
        let short = u32::from_str_radix(&rest[..5], 2).unwrap();
        let bits = if short < 3 { 5 } else { 6 };
        let code = u32::from_str_radix(&rest[..bits], 2).unwrap();
        let digit = if short < 3 { code } else { code - 25 + 3 };
        text.push(char::from_digit(digit, 10).unwrap());
        rest = &rest[bits..];
    }
    text
}

/// A field as a literal that stays out of the table (RFC 7541, section 6.2.2), its name new and neither coded.
pub(crate) fn field(name: &[u8], value: &[u8]) -> Vec<u8> {
    [&[0], &*string(name), &string(value)].concat()
}

fn string(bytes: &[u8]) -> Vec<u8> {
    let mut length = Vec::new();
    let mut rest = bytes.len();
    if rest < 0x7f {
        length.push(u8::try_from(rest).unwrap());
    } else {
        length.push(0x7f);
        rest -= 0x7f;
        while rest >= 0x80 {
            length.push(u8::try_from(rest & 0x7f).unwrap() | 0x80);
            rest >>= 7;
        }
        length.push(u8::try_from(rest).unwrap());
    }
    [&length, bytes].concat()
}

/// The control data of a request.
pub(crate) fn request(method: &str, path: &str) -> Vec<u8> {
    let fields = [
        (":method", method),
        (":scheme", "http"),
        (":path", path),
        (":authority", "a"),
    ];
    let fields = fields.map(|(name, value)| field(name.as_bytes(), value.as_bytes()));
    fields.concat()
}

/// The frames of a line: `TYPE STREAM FLAG... : PAYLOAD`. A range of streams is a frame for every odd one.
pub(crate) fn frames(line: &str) -> Vec<Frame> {
    let (head, payload) = line.split_once(" :").unwrap_or((line, ""));
    let mut words = head.split(' ');
    let (kind, streams) = (words.next().unwrap(), words.next().unwrap());
    let known = TYPES.iter().position(|it| *it == kind);
    let number = known.map_or_else(|| hex(kind)[0], |index| u8::try_from(index).unwrap());
    let (mut flags, mut reserved) = (0, 0);
    for word in words {
        match word {
            "END_STREAM" | "ACK" => flags |= END_STREAM,
            "END_HEADERS" => flags |= END_HEADERS,
            "R" => reserved = RESERVED,
            other => flags |= hex(other)[0],
        }
    }
    let mut frame = Frame::new(number, flags, 0, []);
    fill(&mut frame, payload);
    let range = range(streams);
    let streams = range.step_by(2);
    let frames = streams.map(|stream| Frame {
        stream: stream | reserved,
        ..frame.clone()
    });
    frames.collect()
}

fn range(text: &str) -> RangeInclusive<u32> {
    let (first, last) = text.split_once("..").unwrap_or((text, text));
    first.parse().unwrap()..=last.parse().unwrap()
}

/// Puts together a payload, and sets the flags that its parts imply.
fn fill(frame: &mut Frame, payload: &str) {
    let (mut front, mut priority, mut body, mut back) = (vec![], vec![], vec![], vec![]);
    for word in payload.split_whitespace() {
        let (name, value) = word.split_once('=').unwrap_or((word, ""));
        match name {
            "pad" => {
                front.push(value.parse::<u8>().unwrap());
                back = vec![0; value.parse().unwrap()];
            }
            "padlength" => front.push(value.parse::<u8>().unwrap()),
            "depends" => priority.extend(u32(value)),
            "weight" => priority.push(value.parse().unwrap()),
            "exclusive" => priority[0] |= 0x80,
            "promises" | "last" => body.extend(u32(value)),
            "GET" | "HEAD" | "POST" | "PUT" => body.extend(request(name, "/")),
            _ => body.extend(part(frame.kind, word, name, value)),
        }
    }
    if !front.is_empty() {
        frame.flags |= PADDED;
    }
    if !priority.is_empty() && frame.kind == HEADERS {
        frame.flags |= PRIORITY;
    }
    frame.payload = [front, priority, body, back].concat();
}

/// What a word of a payload stands for.
fn part(kind: u8, word: &str, name: &str, value: &str) -> Vec<u8> {
    let is_named = |it: &&str| *it == name;
    if kind == SETTINGS && !value.is_empty() {
        let known = PARAMETERS.iter().position(&is_named);
        let id = known.map_or_else(|| hex(name), |at| vec![0, u8::try_from(at + 1).unwrap()]);
        return [id, u32(value).to_vec()].concat();
    }
    if let Some(increment) = word.strip_prefix('+') {
        return u32(increment).to_vec();
    }
    if let Some(code) = CODES.iter().position(is_named) {
        return u32(&code.to_string()).to_vec();
    }
    if let Some(text) = word.strip_prefix('\'') {
        return script::bytes(text.strip_suffix('\'').unwrap());
    }
    if word.contains('=') {
        return field(&script::bytes(name), &script::bytes(value));
    }
    hex(word)
}

/// Bytes as `x0aff`, or `x00*12` for the same again and again.
fn hex(text: &str) -> Vec<u8> {
    let digits = text.strip_prefix('x').unwrap_or_else(|| panic!("{text:?}"));
    let (digits, times) = digits.split_once('*').unwrap_or((digits, "1"));
    let pairs = digits.as_bytes().chunks(2);
    let bytes = pairs.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16));
    let bytes: Vec<u8> = bytes.map(Result::unwrap).collect();
    bytes.repeat(times.parse().unwrap())
}

fn u32(text: &str) -> [u8; 4] {
    text.parse::<u32>().unwrap().to_be_bytes()
}

fn number(bytes: &[u8]) -> u32 {
    bytes
        .iter()
        .fold(0, |sum, byte| sum << 8 | u32::from(*byte))
}

const RESERVED: u32 = 1 << 31;
