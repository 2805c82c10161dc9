//! The first bytes of an answer's body, as evidence.
//!
//! A gateway's own error is a small JSON object, compared member by member, so that spacing and order do not matter. Only
//! three members are kept and the rest is skipped, so a hostile body costs one pass over the bytes that were held anyway.
//! A body that is cut short, not JSON, or JSON of another shape is no evidence; it is never an error.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, Visitor};
use serde_json::Value;

/// A body, read as far as it was held.
#[derive(Debug)]
pub(super) struct Body<'a> {
    head: &'a [u8],
    complete: bool,
    object: Option<Object>,
}

/// What is known of a body that is one JSON object.
#[derive(Debug, Default)]
struct Object {
    members: usize,
    message: Option<Value>,
    reason: Option<Value>,
    type_name: Option<Value>,
}

impl<'a> Body<'a> {
    /// Reads the head of a body. JSON is believed only when the head is the whole body.
    pub(super) fn read(head: &'a [u8], complete: bool) -> Self {
        let object = if complete {
            serde_json::from_slice(head).ok()
        } else {
            None
        };
        Self {
            head,
            complete,
            object,
        }
    }

    /// The text of the member `message`. AWS spells it `Message` in other errors, and the difference is evidence.
    pub(super) fn message(&self) -> Option<&str> {
        self.object.as_ref()?.message.as_ref()?.as_str()
    }

    /// The same, if the object has no other member.
    pub(super) fn only_message(&self) -> Option<&str> {
        self.message()
            .filter(|_| self.object.as_ref().is_some_and(|o| o.members == 1))
    }

    /// The text of the member `Reason`, which Lambda gives to its own throttles.
    pub(super) fn reason(&self) -> Option<&str> {
        self.object.as_ref()?.reason.as_ref()?.as_str()
    }

    /// The text of the member `__type`, where the AWS JSON protocols put the error's name.
    pub(super) fn type_name(&self) -> Option<&str> {
        self.object.as_ref()?.type_name.as_ref()?.as_str()
    }

    /// Whether the body is this text and nothing else, but for white space around it.
    pub(super) fn is_text(&self, text: &str) -> bool {
        self.complete && self.head.trim_ascii() == text.as_bytes()
    }

    /// Whether what was held looks like HTML, whatever the content type says.
    pub(super) fn is_markup(&self) -> bool {
        self.head.trim_ascii_start().first() == Some(&b'<')
    }

    /// Whether what was held contains this text.
    pub(super) fn contains(&self, text: &str) -> bool {
        contains(self.head, text.as_bytes())
    }
}

/// Whether `text` occurs in `bytes`; nothing at all occurs everywhere.
pub(super) fn contains(bytes: &[u8], text: &[u8]) -> bool {
    // `windows` panics on a width of zero.
    text.is_empty() || bytes.windows(text.len()).any(|window| window == text)
}

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ObjectVisitor)
    }
}

/// Counts the members and keeps those that matter.
struct ObjectVisitor;

impl<'de> Visitor<'de> for ObjectVisitor {
    type Value = Object;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object, A::Error> {
        let mut object = Object::default();
        while let Some(name) = map.next_key::<String>()? {
            object.members += 1;
            let kept = match name.as_str() {
                "message" => &mut object.message,
                "Reason" => &mut object.reason,
                "__type" => &mut object.type_name,
                _ => {
                    map.next_value::<IgnoredAny>()?;
                    continue;
                }
            };
            // No gateway says one thing twice, and parsers differ on which one counts: such a body proves nothing.
            if kept.replace(map.next_value()?).is_some() {
                return Err(A::Error::custom("a member is given twice"));
            }
        }
        Ok(object)
    }
}
