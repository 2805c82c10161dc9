//! The form of a line for machines: one JSON object, with the event's fields beside its time, level and target.
//!
//! A field without a value is absent. tracing knows no lists, and a request's attempts are one: the field named
//! [`ATTEMPTS`] comes as JSON already, and is embedded as it is.

use std::error::Error;
use std::fmt::{self, Debug, Write};

use serde::Serializer;
use serde::ser::SerializeMap;
use serde_json::value::RawValue;
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use crate::proxy::account::ATTEMPTS;

/// One JSON object a line.
#[derive(Clone, Copy, Debug)]
pub(super) struct Json;

impl<S, N> FormatEvent<S, N> for Json
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _ctx: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut line = Vec::new();
        object(&mut line, event).map_err(|_| fmt::Error)?;
        let line = std::str::from_utf8(&line).map_err(|_| fmt::Error)?;
        writeln!(writer, "{line}")
    }
}

fn object(line: &mut Vec<u8>, event: &Event<'_>) -> serde_json::Result<()> {
    let mut time = String::new();
    // Into a string; a clock before 1970 leaves it empty.
    SystemTime
        .format_time(&mut Writer::new(&mut time))
        .unwrap_or_default();
    let mut serializer = serde_json::Serializer::new(line);
    let mut map = serializer.serialize_map(None)?;
    let metadata = event.metadata();
    map.serialize_entry("timestamp", &time)?;
    map.serialize_entry("level", metadata.level().as_str())?;
    map.serialize_entry("target", metadata.target())?;
    let mut fields = Fields {
        map: &mut map,
        end: Ok(()),
    };
    event.record(&mut fields);
    fields.end?;
    map.end()
}

/// Writes fields as entries; after an error nothing more.
struct Fields<'a, M: SerializeMap> {
    map: &'a mut M,
    end: Result<(), M::Error>,
}

impl<M: SerializeMap> Fields<'_, M> {
    fn entry<T: serde::Serialize + ?Sized>(&mut self, field: &Field, value: &T) {
        if self.end.is_ok() {
            self.end = self.map.serialize_entry(field.name(), value);
        }
    }
}

impl<M: SerializeMap> Visit for Fields<'_, M> {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.entry(field, &value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.entry(field, &value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.entry(field, &value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.entry(field, &value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.entry(field, value);
    }

    /// With all its causes.
    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        let mut text = value.to_string();
        let mut cause = value.source();
        while let Some(error) = cause {
            let _infallible = write!(text, ": {error}");
            cause = error.source();
        }
        self.entry(field, &text);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if field.name() == ATTEMPTS
            && let Ok(list) = RawValue::from_string(format!("{value:#?}"))
        {
            return self.entry(field, &list);
        }
        self.entry(field, &format!("{value:?}"));
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use serde_json::{Value, json};

    use super::*;

    /// What the log says of the events that `tell` makes.
    fn told(tell: impl FnOnce()) -> Vec<Value> {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&lines);
        let subscriber = tracing_subscriber::fmt()
            .event_format(Json)
            .with_writer(move || Sink(Arc::clone(&sink)))
            .finish();
        tracing::subscriber::with_default(subscriber, tell);
        let lines = lines.lock().unwrap();
        let lines = lines.split(|byte| *byte == b'\n');
        lines
            .filter(|line| !line.is_empty())
            .map(|line| serde_json::from_slice(line).expect("a line is one JSON object"))
            .collect()
    }

    struct Sink(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn every_field_keeps_its_name_and_its_type() {
        let events = told(|| {
            tracing::info!(
                number = 3,
                share = 0.25,
                flag = true,
                word = "a\n\"b\"",
                shown = %"text",
                absent = None::<u64>,
                "what happened"
            );
        });

        let mut event = events[0].clone();
        let time = event["timestamp"].take();
        assert!(time.as_str().unwrap().ends_with('Z'), "{time}");
        assert_eq!(
            event,
            json!({
                "timestamp": null, "level": "INFO", "target": module_path!(), "message": "what happened",
                "number": 3, "share": 0.25, "flag": true, "word": "a\n\"b\"", "shown": "text",
            })
        );
    }

    #[test]
    fn attempts_are_a_list_and_what_is_no_json_stays_text() {
        let events = told(|| {
            tracing::info!(attempts = %r#"[{"class":"ok"}]"#, "one");
            tracing::info!(attempts = %"[ok 200", "other");
        });

        assert_eq!(events[0]["attempts"], json!([{"class": "ok"}]));
        assert_eq!(events[1]["attempts"], "[ok 200");
    }

    #[test]
    fn an_error_is_told_with_its_causes() {
        let cause = io::Error::new(io::ErrorKind::NotFound, Outer(io::Error::other("inner")));

        let events = told(|| tracing::warn!(error = &cause as &dyn Error, "it failed"));

        assert_eq!(events[0]["error"], "outer: inner");
    }

    #[derive(Debug, thiserror::Error)]
    #[error("outer")]
    struct Outer(#[source] io::Error);
}
