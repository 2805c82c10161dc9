//! Reads the cases: lines that begin with one sign, and bytes with escapes.
//!
//! A case is a `- name` and the lines behind it, up to the next one; `# name` begins a group, and lines that begin with
//! `//` are for readers. What the signs mean is said by whoever reads the case.

/// One case as it is written.
#[derive(Clone, Debug)]
pub(crate) struct Written {
    /// The group that it stands in.
    pub(crate) group: String,
    /// What it is called.
    pub(crate) name: String,
    /// Its lines: the sign, and what follows.
    pub(crate) lines: Vec<(String, String)>,
}

/// Every case of a file.
pub(crate) fn read(text: &str) -> Vec<Written> {
    let (mut group, mut cases) = (String::new(), Vec::<Written>::new());
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        let (sign, rest) = line.split_once(' ').unwrap_or((line, ""));
        match sign {
            "//" => {}
            "#" => group = rest.to_owned(),
            "-" => cases.push(Written {
                group: group.clone(),
                name: rest.to_owned(),
                lines: Vec::new(),
            }),
            _ => {
                let case = cases.last_mut().expect("a case before its lines");
                case.lines.push((sign.to_owned(), rest.to_owned()));
            }
        }
    }
    cases
}

/// The bytes that a line stands for: `\r`, `\n`, `\t`, `\0`, `\\` and `\xNN` as in Rust; `{x*3}` is `xxx`.
pub(crate) fn bytes(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text;
    while let Some(next) = rest.chars().next() {
        rest = &rest[next.len_utf8()..];
        match next {
            '\\' => rest = escape(rest, &mut bytes),
            '{' => {
                let (inside, after) = rest.split_once('}').expect("{ ends with }");
                let (what, count) = inside.rsplit_once('*').expect("{what*count}");
                bytes.extend(self::bytes(what).repeat(count.parse().unwrap()));
                rest = after;
            }
            _ => bytes.extend(next.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    bytes
}

fn escape<'a>(rest: &'a str, bytes: &mut Vec<u8>) -> &'a str {
    let (kind, after) = rest.split_at(1);
    match kind {
        "r" => bytes.push(b'\r'),
        "n" => bytes.push(b'\n'),
        "t" => bytes.push(b'\t'),
        "0" => bytes.push(0),
        "\\" => bytes.push(b'\\'),
        "{" => bytes.push(b'{'),
        "x" => {
            bytes.push(u8::from_str_radix(&after[..2], 16).unwrap());
            return &after[2..];
        }
        other => panic!("unknown escape \\{other}"),
    }
    after
}
