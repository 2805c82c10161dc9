//! When our own certificates expire: the one date that an operator has to know of them.
//!
//! rustls does not tell. A certificate is opened here as far as its validity and no further: a gauge depends on it, and no
//! decision, so that a certificate that cannot be read this way only goes without its date.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::UNIX_EPOCH;

use prometheus::{IntGauge, Registry};
use rustls::pki_types::CertificateDer;

/// The dates of all our certificates; the gauge shows the first.
#[derive(Clone, Debug)]
pub struct Expiries {
    gauge: IntGauge,
    dates: Arc<Mutex<Dates>>,
}

#[derive(Debug, Default)]
struct Dates {
    places: usize,
    by_place: BTreeMap<usize, i64>,
}

/// The place of one certificate among them, for as long as anybody has it.
#[derive(Clone, Debug)]
pub struct Expiry(Arc<Place>);

#[derive(Debug)]
struct Place {
    all: Expiries,
    number: usize,
}

impl Expiries {
    /// No certificate yet, which the gauge shows as 0.
    ///
    /// # Errors
    /// When the name is taken already.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let gauge = IntGauge::new(
            "redrive_tls_expiry_timestamp_seconds",
            "When the first of redrive's own certificates expires, in Unix time; 0 without one.",
        )?;
        registry.register(Box::new(gauge.clone()))?;
        Ok(Self {
            gauge,
            dates: Arc::default(),
        })
    }

    /// A place for one more certificate.
    pub fn place(&self) -> Expiry {
        let mut dates = self.dates.lock().unwrap_or_else(PoisonError::into_inner);
        dates.places += 1;
        Expiry(Arc::new(Place {
            all: self.clone(),
            number: dates.places,
        }))
    }

    /// Changes the dates, and shows the first of them.
    fn change(&self, change: impl FnOnce(&mut BTreeMap<usize, i64>) -> Option<i64>) {
        let mut dates = self.dates.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut dates.by_place);
        let first = dates.by_place.values().copied().min();
        self.gauge.set(first.unwrap_or(0));
    }
}

impl Expiry {
    /// This chain is shown from now on: its first end counts, since it is of no use after that.
    pub(super) fn note(&self, chain: &[CertificateDer<'_>]) {
        let ends = chain.iter().filter_map(|it| not_after(it)).min();
        let number = self.0.number;
        self.0.all.change(|dates| match ends {
            Some(ends) => dates.insert(number, ends),
            None => dates.remove(&number),
        });
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let number = self.number;
        self.all.change(|dates| dates.remove(&number));
    }
}

/// The end of a certificate's validity in Unix time (RFC 5280 section 4.1).
fn not_after(certificate: &[u8]) -> Option<i64> {
    let (SEQUENCE, certificate, _) = element(certificate)? else {
        return None;
    };
    let (SEQUENCE, mut rest, _) = element(certificate)? else {
        return None;
    };
    if let (VERSION, _, after) = element(rest)? {
        rest = after;
    }
    for _serial_algorithm_issuer in 0..3 {
        (_, _, rest) = element(rest)?;
    }
    let (SEQUENCE, validity, _) = element(rest)? else {
        return None;
    };
    let (_, _, rest) = element(validity)?;
    let (tag, date, _) = element(rest)?;
    let date = std::str::from_utf8(date).ok()?;
    let (century, date) = match tag {
        // Two digits stand for the years from 1950 to 2049 (RFC 5280 section 4.1.2.5.1).
        UTC_TIME if date.get(..2)? < "50" => ("20", date),
        UTC_TIME => ("19", date),
        GENERALIZED_TIME => (date.get(..2)?, date.get(2..)?),
        _ => return None,
    };
    let part = |at: usize| date.get(at..at + 2);
    let spelled = format!(
        "{century}{}-{}-{}T{}:{}:{}Z",
        part(0)?,
        part(2)?,
        part(4)?,
        part(6)?,
        part(8)?,
        part(10)?
    );
    let ends = humantime::parse_rfc3339(&spelled).ok()?;
    i64::try_from(ends.duration_since(UNIX_EPOCH).ok()?.as_secs()).ok()
}

/// The first element of DER: its tag, its content, and what follows.
fn element(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&[tag, length], rest) = der.split_first_chunk()?;
    let (length, rest) = match length {
        0..0x80 => (usize::from(length), rest),
        _ => {
            let (length, rest) = rest.split_at_checked(usize::from(length & 0x7f))?;
            let shift = |sum: usize, byte: &u8| sum.checked_mul(256)?.checked_add((*byte).into());
            (length.iter().try_fold(0, shift)?, rest)
        }
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((tag, content, rest))
}

const SEQUENCE: u8 = 0x30;
/// `[0] EXPLICIT`, where a certificate says its version.
const VERSION: u8 = 0xa0;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

#[cfg(test)]
mod tests {
    use super::*;

    fn certificate(year: i32) -> CertificateDer<'static> {
        let mut params = rcgen::CertificateParams::new(vec!["a.example".to_owned()]).unwrap();
        params.not_before = rcgen::date_time_ymd(1999, 1, 1);
        params.not_after = rcgen::date_time_ymd(year, 3, 1);
        let key = rcgen::KeyPair::generate().unwrap();
        params.self_signed(&key).unwrap().der().clone()
    }

    #[test]
    fn the_end_of_a_certificate_is_read_in_both_spellings() {
        assert_eq!(not_after(&certificate(2030)), Some(1_898_553_600));
        assert_eq!(not_after(&certificate(2060)), Some(2_845_324_800));
    }

    #[test]
    fn what_is_no_certificate_has_no_end_and_does_no_harm() {
        let whole = certificate(2030);

        for cut in 0..whole.len() {
            not_after(&whole[..cut]);
        }
        assert_eq!(not_after(&whole[..whole.len() / 2]), None);
        assert_eq!(not_after(b"\x30\xff"), None);
    }

    #[test]
    fn the_first_end_of_all_chains_is_shown() {
        let expiries = Expiries::register(&Registry::new()).unwrap();
        let (listen, upstream) = (expiries.place(), expiries.place());
        assert_eq!(expiries.gauge.get(), 0);

        listen.note(&[certificate(2060), certificate(2030)]);
        upstream.note(&[certificate(2060)]);
        assert_eq!(expiries.gauge.get(), 1_898_553_600);

        listen.note(&[certificate(2060)]);
        assert_eq!(expiries.gauge.get(), 2_845_324_800);

        let also_listen = listen.clone();
        drop((listen, upstream));
        assert_eq!(expiries.gauge.get(), 2_845_324_800);
        drop(also_listen);
        assert_eq!(expiries.gauge.get(), 0, "nobody shows any more");
    }
}
