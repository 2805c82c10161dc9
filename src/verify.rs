//! `redrive verify`: asks a real API for every answer that the classification table speaks of, and holds what comes back
//! against what the table expects.
//!
//! The API is one made from `deploy/verify`, whose index says where each case is. What is sent, what is read of an answer
//! and what it proves is the proxy's own code ([`upstream`](crate::proxy::upstream), [`peek`](crate::proxy::peek),
//! [`retry::classify`](crate::retry::classify)) under the default rules; only the expectations stand here, in `case`.
//!
//! Cases are asked one after the other, since a throttle of one would be the fault of another; everything has a limit, and
//! dropping the future closes every connection. Nothing is retried: a case that wants a throttle goes on only for as long as
//! every answer is good.

mod address;
mod case;
mod index;
mod observation;
mod probe;
mod report;

use std::time::Duration;

use crate::clock;
use crate::config;

use self::case::{CASES, Case, Expected, Pattern};
use self::index::{Index, Place};
use self::observation::{Observation, Seen};
use self::probe::Prober;

pub use self::address::{Address, NoAddress};
pub use self::index::NotTheStack;
pub use self::report::Report;

/// What is to be verified, and how it is told.
#[derive(Clone, Debug)]
pub struct Params {
    /// The stack's output `Url`.
    pub url: Address,
    /// One JSON object at the end, and no table.
    pub json: bool,
}

/// Why nothing could be verified.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The defaults, by which everything is classified, are not valid.
    #[error(transparent)]
    Config(#[from] config::Error),
    /// No connection to any API could ever be made.
    #[error("TLS cannot be set up")]
    Tls(#[from] crate::proxy::upstream::TlsError),
    /// Nobody answers there.
    #[error("{url} cannot be verified: {because}")]
    Unreachable {
        /// What was asked.
        url: Address,
        /// What prevented an answer.
        because: &'static str,
    },
    /// Somebody answers, and it is not the stack.
    #[error(
        "{url} is no API made from deploy/verify; the stack's output `Url` is meant, with its stage"
    )]
    NotTheStack {
        /// What was asked.
        url: Address,
        /// What is wrong with the answer.
        #[source]
        source: NotTheStack,
    },
}

/// Asks for every case; `tell` is given the table line by line as it comes about, or the JSON at the end.
///
/// # Errors
/// When the URL is not that of the stack. What a case answers is never an error.
pub async fn run(params: &Params, mut tell: impl FnMut(&str)) -> Result<Report, Error> {
    let prober = Prober::new()?;
    let index = Index::ask(&prober, &params.url).await?;
    let mut report = Report::new(index.unknown());
    if !params.json {
        tell(&report::head());
    }
    let end = clock::now() + TOTAL_MAX;
    for case in CASES {
        let observation = match index.place(case) {
            None => Observation::Absent,
            Some(_) if clock::now() >= end => Observation::OutOfTime,
            Some(place) => observe(&prober, case, place).await?,
        };
        let row = report.add(case, observation);
        if !params.json {
            tell(&row);
        }
    }
    tell(&if params.json {
        report.to_json()
    } else {
        report.foot()
    });
    Ok(report)
}

/// Asks as the case's pattern says.
async fn observe(prober: &Prober, case: &Case, place: &Place) -> Result<Observation, Error> {
    let site = prober.site(&place.at)?;
    let ask = || site.ask(&place.at.path, place.key.as_deref());
    if case.pattern == Pattern::Once {
        return Ok(Observation::seen(1, ask().await));
    }
    let end = clock::now() + CASE_TIME_MAX;
    let mut requests = 0;
    while requests < REQUESTS_MAX && clock::now() < end {
        let (a, b, c, d) = tokio::join!(ask(), ask(), ask(), ask());
        let wave = [a, b, c, d];
        requests += wave.len();
        if let Some(seen) = telling(wave, &case.expected) {
            return Ok(Observation::seen(requests, seen));
        }
    }
    Ok(Observation::NotProvoked { requests })
}

/// The failure that tells most of a wave: the one that was wanted, or else the first; none where every answer was good.
fn telling<const N: usize>(wave: [Seen; N], expected: &Expected) -> Option<Seen> {
    let mut bad: Vec<Seen> = wave.into_iter().filter(|seen| !seen.is_good()).collect();
    let wanted = bad.iter().position(|seen| expected.is_met_by(seen));
    (!bad.is_empty()).then(|| bad.swap_remove(wanted.unwrap_or(0)))
}

/// The most requests of one case; a limit that lets so many through is not the one of the stack.
const REQUESTS_MAX: usize = 40;
/// After this a case begins no further wave; what is under way keeps its own limit, `probe`'s 35 s.
const CASE_TIME_MAX: Duration = Duration::from_secs(30);
/// After this no further case is begun. All of them take about a minute.
const TOTAL_MAX: Duration = Duration::from_secs(300);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::retry::classify::{Class, Classified, Kind, Ran, Scope};

    fn seen(status: u16, class: Class, ran: Ran) -> Seen {
        Seen {
            status: Some(status),
            classified: Classified {
                class,
                ran,
                kind: Kind::Unknown,
                scope: Scope::Unknown,
                because: "a test says so",
            },
            error_type: None,
            marker: None,
            body: String::new(),
        }
    }

    #[test]
    fn of_several_failures_the_wanted_one_is_told_and_else_the_first() {
        let rate = CASES.iter().find(|case| case.name == "http-rate").unwrap();
        let good = seen(200, Class::Ok, Ran::Yes);
        let crash = seen(500, Class::Suspected, Ran::Maybe);
        let outage = seen(503, Class::Overloaded, Ran::Maybe);
        let wanted = seen(429, Class::Throttled, Ran::No);
        let told = |wave: [&Seen; 3]| {
            let seen = telling(wave.map(Seen::clone), &rate.expected)?;
            seen.status
        };

        assert_eq!(told([&good, &crash, &wanted]), Some(429));
        assert_eq!(told([&good, &crash, &outage]), Some(500));
        assert_eq!(told([&good, &good, &good]), None);
    }

    #[test]
    fn a_case_is_named_once() {
        let mut names: Vec<&str> = CASES.iter().map(|case| case.name).collect();
        names.sort_unstable();
        names.dedup();

        assert_eq!(names.len(), CASES.len());
    }
}
