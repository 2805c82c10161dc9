//! One sample of the history: what happened within a second or five, and how it stood at the end.

use crate::proxy::reading::{Counts, Reading};

/// What happened within a second or five, and how it stood at the end.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::admin) struct Sample {
    /// Its end, in milliseconds since 1970.
    pub(in crate::admin) at: u64,
    /// How long it is.
    pub(in crate::admin) seconds: f32,
    /// What happened.
    pub(in crate::admin) counts: Counts<u32>,
    /// How it stood; none for a route that was gone by then.
    pub(in crate::admin) levels: Option<Levels>,
}

/// What goes up and down.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::admin) struct Levels {
    /// How many attempts may be in flight; none while nothing limits.
    pub(in crate::admin) window: Option<f32>,
    /// Attempts in flight.
    pub(in crate::admin) in_flight: u32,
    /// Requests that wait.
    pub(in crate::admin) waiting: u32,
    /// The share of the budget that is left, `[0, 1]`; of several, the lowest.
    pub(in crate::admin) budget: f32,
}

impl Sample {
    /// This and the next one as one: what happened adds up, and of what goes up and down the worst is kept.
    pub(super) fn join(self, next: Self) -> Self {
        Self {
            at: next.at,
            seconds: self.seconds + next.seconds,
            counts: self.counts.zip(&next.counts, u32::saturating_add),
            levels: match (self.levels, next.levels) {
                (Some(one), Some(other)) => Some(one.worst(other)),
                (one, other) => one.or(other),
            },
        }
    }
}

impl Levels {
    /// How it stands with this route, or with all together; none for a route that is not there.
    pub(super) fn of(reading: &Reading, route: Option<&str>) -> Option<Self> {
        let route = match route {
            Some(name) => Some(reading.routes.iter().find(|it| it.name == name)?),
            None => None,
        };
        let windows = reading.windows.iter().enumerate();
        let windows: Vec<_> = windows
            .filter(|(index, _)| route.is_none_or(|route| route.window == *index))
            .map(|(_, window)| window)
            .collect();
        let limits = windows.iter().filter(|window| window.gate_closed);
        let limits = limits.map(|window| window.window);
        let budgets = reading.budgets.iter().enumerate();
        let shares = budgets
            .filter(|(index, _)| route.is_none_or(|route| route.budget == *index))
            .map(|(_, budget)| budget.tokens / budget.capacity_tokens.max(f64::MIN_POSITIVE));
        let in_windows = windows.iter().map(|window| window.waiting).sum::<usize>();
        Some(Self {
            window: limits.reduce(|one, other| one + other).map(to_f32),
            in_flight: narrow(windows.iter().map(|it| it.in_flight as u64).sum()),
            waiting: match route {
                None => u32::try_from(reading.waiting.max(0)).unwrap_or(u32::MAX),
                Some(_) => narrow(in_windows as u64),
            },
            budget: to_f32(shares.fold(1.0, f64::min)),
        })
    }

    /// Of each the worse.
    fn worst(self, other: Self) -> Self {
        Self {
            window: match (self.window, other.window) {
                (Some(one), Some(other)) => Some(one.min(other)),
                (one, other) => one.or(other),
            },
            in_flight: self.in_flight.max(other.in_flight),
            waiting: self.waiting.max(other.waiting),
            budget: self.budget.min(other.budget),
        }
    }
}

/// A count as it is kept: nobody serves four thousand million requests in five seconds.
pub(super) fn narrow(count: u64) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

#[expect(clippy::cast_possible_truncation, reason = "three digits are shown")]
fn to_f32(level: f64) -> f32 {
    level as f32
}
