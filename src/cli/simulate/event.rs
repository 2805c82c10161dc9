//! What happens to the simulated gateway, as it is typed: `WHAT@FROM..UNTIL`.

use std::time::Duration;

use crate::simulate::{ColdStart, Disturbance, Trouble};

/// Something that happens, from one moment to another.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Event {
    what: What,
    from: Duration,
    /// To the end, where none is said.
    until: Option<Duration>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum What {
    Outage,
    BlackHole,
    Limits(f64),
}

impl Event {
    /// As the simulator wants it; what is swallowed is given up after `attempt`.
    pub(super) fn disturbance(self, attempt: Duration) -> Disturbance {
        Disturbance {
            from: self.from,
            until: self.until.unwrap_or(Duration::MAX),
            what: match self.what {
                What::Outage => Trouble::Refuses,
                What::BlackHole => Trouble::Swallows(attempt),
                What::Limits(factor) => Trouble::Limits(factor),
            },
        }
    }
}

/// `outage@20s..50s`, `black-hole@20s..50s`, `limits*0.5@30s`.
pub(super) fn event(text: &str) -> Result<Event, String> {
    read_event(text).ok_or_else(|| EXPECTED_EVENT.to_owned())
}

fn read_event(text: &str) -> Option<Event> {
    let (what, span) = text.split_once('@')?;
    let what = match what {
        "outage" => What::Outage,
        "black-hole" => What::BlackHole,
        _ => {
            let factor = what.strip_prefix("limits*")?.parse().ok()?;
            (FACTOR_MIN..=FACTOR_MAX)
                .contains(&factor)
                .then_some(What::Limits(factor))?
        }
    };
    let time = |text: &str| humantime::parse_duration(text).ok();
    let (from, until) = match span.split_once("..") {
        Some((from, until)) => (time(from)?, Some(time(until)?)),
        None => (time(span)?, None),
    };
    let event = Event { what, from, until };
    until.is_none_or(|until| from < until).then_some(event)
}

/// `TIME:PER_SECOND`.
pub(super) fn cold_start(text: &str) -> Result<ColdStart, String> {
    let read = || {
        let (extra, per_second) = text.split_once(':')?;
        Some(ColdStart {
            extra: humantime::parse_duration(extra).ok()?,
            per_second: per_second
                .parse()
                .ok()
                .filter(|it| *it >= 1.0 && *it <= STARTS_MAX)?,
        })
    };
    read().ok_or_else(|| {
        "expected TIME:PER_SECOND, like \"1s:100\": how much longer, and how many a second"
            .to_owned()
    })
}

const EXPECTED_EVENT: &str = "expected WHAT@FROM or WHAT@FROM..UNTIL with WHAT one of outage, black-hole, \
    limits*FACTOR, like \"outage@20s..50s\"";

/// What is less is an outage; what is more is more than any limit is raised by.
const FACTOR_MIN: f64 = 0.001;
const FACTOR_MAX: f64 = 1_000.0;

const STARTS_MAX: f64 = 100_000.0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_says_what_happens_from_when_and_until_when() {
        let seconds = Duration::from_secs;

        let outage = event("outage@20s..50s").unwrap();
        assert_eq!(
            (outage.from, outage.until),
            (seconds(20), Some(seconds(50)))
        );
        let halved = event("limits*0.5@30s").unwrap();
        assert_eq!(halved.what, What::Limits(0.5));
        assert_eq!(halved.until, None);
        let hole = event("black-hole@0s..1m").unwrap().disturbance(seconds(31));
        assert!(matches!(hole.what, Trouble::Swallows(patience) if patience == seconds(31)));
    }

    #[test]
    fn what_is_no_event_is_told_what_one_looks_like() {
        for text in [
            "outage",
            "outage@",
            "outage@20",
            "outage@50s..20s",
            "flood@20s",
            "limits*0@1s",
            "limits*nan@1s",
        ] {
            assert!(event(text).unwrap_err().contains("outage@20s"), "{text}");
        }
        for text in ["1s", "1s:0", "x:5", "1s:inf"] {
            assert!(cold_start(text).unwrap_err().contains("1s:100"), "{text}");
        }
    }
}
