//! Whose throttles are they? What the last seconds of attempts say about it, without sending anything for the purpose.
//!
//! Two accounts of the same seconds are compared. If the throttles are *our own*, a limit lets so many attempts pass each second
//! whatever we send: as the window sinks, as many pass, and a smaller share is throttled. If they are *others'*, the share that
//! passes is what it is: as the window sinks, fewer pass. The difference of the two accounts' log likelihoods says how much
//! better the second one fits; while the window stands still both fit alike, and nothing follows.
//!
//! Where nothing follows for long, a share that stays far above the tolerated one is a reason as well: the window that rules
//! would have brought it down.

#[cfg(test)]
mod tests;

use crate::retry::classify::Kind;

/// Attempts whose outcome became known within one span of the owner's time.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Span {
    pub(super) passed: u32,
    pub(super) throttled: u32,
    /// The share that the window tolerated, at most.
    pub(super) tolerated: f64,
}

/// The last spans, and what they say.
#[derive(Clone, Copy, Debug)]
pub(super) struct Evidence {
    /// How long a span is, seconds.
    length: f64,
    /// How many spans with attempts in them a weight takes.
    told_min: usize,
    spans: [Span; SPANS],
    /// The span that is being filled, counted from the owner's start.
    current: u64,
    /// How many spans are complete.
    complete: usize,
    says: Option<Says>,
}

/// Why the throttles of the last spans are likely others'.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Says {
    /// Fewer pass as less is sent, and as large a share is throttled.
    FewerPass,
    /// A large share has been throttled all along.
    ShareStays,
}

impl Evidence {
    /// For windows that sink within seconds.
    pub(super) fn of_seconds() -> Self {
        Self::new(1.0, TOLD_MIN_SECONDS)
    }

    /// For those that sink at once. It says nothing of a share that stays: it does not look back far enough.
    pub(super) fn of_halves() -> Self {
        Self::new(0.5, TOLD_MIN_HALVES)
    }

    fn new(length: f64, told_min: usize) -> Self {
        Self {
            length,
            told_min,
            spans: [Span::default(); SPANS],
            current: 0,
            complete: 0,
            says: None,
        }
    }

    /// What speaks for throttles of others, if anything does.
    pub(super) fn says(&self) -> Option<Says> {
        self.says
    }

    /// Attempts that passed per second, over the last few spans.
    pub(super) fn passed_lately(&self) -> f64 {
        let few = LATELY.min(self.complete);
        let passed: u32 = (1..=few).map(|ago| self.ago(ago).passed).sum();
        f64::from(passed) / (few.max(1) as f64 * self.length)
    }

    pub(super) fn count(&mut self, was_throttled: bool) {
        let span = &mut self.spans[index_of(self.current)];
        let counter = if was_throttled {
            &mut span.throttled
        } else {
            &mut span.passed
        };
        *counter = counter.saturating_add(1);
    }

    /// Forgets all: what was sent was not what the window allowed.
    pub(super) fn clear(&mut self) {
        *self = Self {
            current: self.current,
            ..Self::new(self.length, self.told_min)
        };
    }

    /// Moves on to `now`, with the kind of the throttles and the share of them that is tolerated now, and weighs what is complete.
    pub(super) fn advance(&mut self, now: f64, kind: Kind, tolerated: f64) {
        let target = whole(now / self.length);
        if target.saturating_sub(self.current) > SPANS as u64 {
            self.clear();
            self.current = target;
        }
        let span = &mut self.spans[index_of(self.current)];
        span.tolerated = span.tolerated.max(tolerated);
        if self.current == target {
            return;
        }
        while self.current < target {
            self.current += 1;
            self.complete = (self.complete + 1).min(SPANS - 1);
            self.spans[index_of(self.current)] = Span {
                tolerated,
                ..Span::default()
            };
        }
        self.weigh(weight_min(kind));
    }

    fn weigh(&mut self, weight_min: f64) {
        let mut told = [Span::default(); SPANS];
        let mut len = 0;
        for ago in (1..=self.complete).rev() {
            let span = self.ago(ago);
            if span.attempts() > 0 {
                told[len] = Span {
                    tolerated: self.tolerated_before(ago),
                    ..span
                };
                len += 1;
            }
        }
        let told = &told[..len];
        let is_long = self.length >= 1.0 && self.complete == SPANS - 1 && len >= TOLD_MIN_LONG;
        let is_told = len >= self.told_min;
        self.says = if is_told && weight(told, PER_SECOND_MIN * self.length) >= weight_min {
            Some(Says::FewerPass)
        } else if is_long && does_not_fall(told) {
            Some(Says::ShareStays)
        } else {
            None
        };
    }

    fn ago(&self, spans: usize) -> Span {
        self.spans[index_of(self.current + (SPANS - spans) as u64)]
    }

    /// The window answers to a smaller tolerated share within seconds, not at once.
    fn tolerated_before(&self, ago: usize) -> f64 {
        let oldest = (ago + WINDOW_LAGS).min(self.complete);
        (ago..=oldest).fold(0.0, |most, ago| self.ago(ago).tolerated.max(most))
    }
}

impl Span {
    fn attempts(&self) -> u32 {
        self.passed.saturating_add(self.throttled)
    }

    /// How much less likely this span is if the given share passes, than if exactly the share passes that did: the difference
    /// of the logarithms, bounded.
    fn misfit(&self, passing: f64) -> f64 {
        let (passed, throttled) = (f64::from(self.passed), f64::from(self.throttled));
        let likelihood = |share: f64| {
            let share = share.clamp(SHARE_ENDS, 1.0 - SHARE_ENDS);
            passed * share.ln() + throttled * (1.0 - share).ln()
        };
        let best = likelihood(passed / (passed + throttled));
        (best - likelihood(passing)).max(0.0)
    }
}

/// How much better the spans fit throttles of others than our own, as a difference of log likelihoods; zero if they are too few
/// to say, or fit neither.
fn weight(told: &[Span], per_span_min: f64) -> f64 {
    let passed: f64 = told.iter().map(|span| f64::from(span.passed)).sum();
    let attempts: f64 = told.iter().map(|span| f64::from(span.attempts())).sum();
    if attempts < per_span_min * told.len() as f64 {
        return 0.0;
    }
    let share = (passed + 0.5) / (attempts + 1.0);
    let unexplained: f64 = told.iter().map(|span| span.misfit(share)).sum();
    if unexplained > MISFIT_MAX * told.len() as f64 {
        return 0.0;
    }
    let of_others = |limit: f64, spans: &[Span]| -> f64 {
        let advantage = |span: &Span| {
            let in_equilibrium = (1.0 - span.tolerated).max(share);
            let own = (limit / f64::from(span.attempts())).min(in_equilibrium);
            span.misfit(own).min(MISFIT_COUNTS) - span.misfit(share).min(MISFIT_COUNTS)
        };
        spans.iter().map(advantage).sum()
    };
    // The limit that speaks most for throttles of our own.
    let limits = told
        .iter()
        .flat_map(|span| [f64::from(span.passed), f64::from(span.attempts())]);
    let (weight, limit) = limits
        .chain([passed / told.len() as f64])
        .map(|limit| limit.max(LIMIT_MIN))
        .map(|limit| (of_others(limit, told), limit))
        .fold((f64::INFINITY, LIMIT_MIN), |least, next| {
            if next.0 < least.0 { next } else { least }
        });
    // When senders begin together, their windows sink together: a share that is falling now is nobody else's.
    let is_still_so = of_others(limit, &told[told.len() - LATELY..]) >= -CHANGE_MIN;
    if is_still_so { weight } else { 0.0 }
}

fn weight_min(kind: Kind) -> f64 {
    match kind {
        Kind::Rate | Kind::Quota => WEIGHT_MIN,
        Kind::Concurrency | Kind::Unknown => WEIGHT_MIN_OTHER,
    }
}

/// Whether the share of throttles stays where no window that has an effect would leave it.
fn does_not_fall(told: &[Span]) -> bool {
    let tolerated = told
        .iter()
        .fold(0.0, |most: f64, span| most.max(span.tolerated));
    let latest = &told[told.len().saturating_sub(SPANS / 2)..];
    let throttled: u32 = latest.iter().map(|span| span.throttled).sum();
    let attempts: u32 = latest.iter().map(Span::attempts).sum();
    attempts >= ATTEMPTS_MIN
        && f64::from(throttled) >= SHARE_MIN.max(2.0 * tolerated) * f64::from(attempts)
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "spans since the start, which saturates"
)]
fn whole(spans: f64) -> u64 {
    spans as u64
}

fn index_of(span: u64) -> usize {
    usize::try_from(span % SPANS as u64).unwrap_or_default()
}

/// The spans that are looked at: twelve, and the one that is being filled. A window sinks to a third within one second or
/// eight, by its rate; what is older belongs to another load.
const SPANS: usize = 13;

/// Spans with attempts in them that a weight takes. The first two or three seconds after an overload began say little: all
/// windows sink together.
const TOLD_MIN_SECONDS: usize = 5;
const TOLD_MIN_HALVES: usize = 8;

/// And that a share takes that does not fall: a window of one attempt in a second or two leaves some empty.
const TOLD_MIN_LONG: usize = 8;

/// Attempts in a second, on average, that a weight takes. Of a hundred polite senders that get a few attempts a second through each,
/// some see what throttles of others would look like, by chance, and when their limit is halved fewer pass for all of them.
const PER_SECOND_MIN: f64 = 8.0;

/// The last spans, in which whatever is concluded must still be so, and from what weight for the opposite on it is not.
const LATELY: usize = 3;
const CHANGE_MIN: f64 = 0.5;

/// A weight from which throttles by a rate limit are taken for others': four hundred times as likely. With five, some of a hundred
/// polite senders go freely once their limit is halved; with seven, neighbours that exceed a limit by a fifth are not found out.
const WEIGHT_MIN: f64 = 6.0;

/// And other throttles: behind a concurrency limit some are throttled well below it, by chance, which the account of throttles
/// of our own knows nothing of.
const WEIGHT_MIN_OTHER: f64 = 12.0;

/// What one span may weigh at most, so that none decides alone.
const MISFIT_COUNTS: f64 = 4.0;

/// The mean misfit up to which an account explains anything; chance alone makes it one half.
const MISFIT_MAX: f64 = 1.0;

/// Spans until the window has followed a change of the tolerated share.
const WINDOW_LAGS: usize = 3;

/// The least share of throttles that is a reason when it does not fall, and the attempts that it rests on. A small sender among
/// many polite ones lets a sixth be throttled.
const SHARE_MIN: f64 = 0.25;
const ATTEMPTS_MIN: u32 = 8;

/// Keeps logarithms finite.
const SHARE_ENDS: f64 = 0.01;
const LIMIT_MIN: f64 = 0.3;
