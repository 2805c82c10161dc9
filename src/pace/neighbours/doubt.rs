//! Doubt: so much is throttled that others may be to blame.

use super::Sight;

/// Whether there is a doubt about whose throttles these are.
pub(super) fn is_due(sight: &Sight) -> bool {
    let most = if sight.delivered >= MAX_FROM {
        MAX
    } else {
        f64::INFINITY
    };
    sight.throttled_share >= (TIMES * sight.usual).min(most).max(LEAST)
}

/// The throttled share from which there is a doubt, and as a multiple of what is tolerated. Polite senders tolerate a tenth at
/// most behind a rate limit, and meet a little more for seconds when all begin.
const LEAST: f64 = 0.08;
const TIMES: f64 = 2.0;

/// And the share that is doubtful however much is tolerated. Behind a concurrency limit small senders tolerate a fifth, and urgency
/// doubles that: half of a fleet that is pressed would swing, and the other half would look like neighbours to it.
///
/// For those that get so many attempts per second through: the many small senders of a crowd are never throttled less, and would
/// swing for ever. A hundred of them before a limit of 20 would lose a twentieth of what they get through.
const MAX: f64 = 0.27;
const MAX_FROM: f64 = 3.0;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::retry::classify::Kind;

    #[test]
    fn behind_a_rate_limit_twice_what_is_usual_is_doubtful_and_no_less_than_so_much() {
        let is_doubtful = |throttled_share, usual| {
            is_due(&Sight {
                throttled_share,
                usual,
                ..Sight::of_tests()
            })
        };

        assert!(is_doubtful(0.11, 0.05) && !is_doubtful(0.09, 0.05));
        assert!(is_doubtful(0.09, 0.01) && !is_doubtful(0.07, 0.01));
    }

    #[test]
    fn so_large_a_share_is_doubtful_however_much_is_usual() {
        let is_doubtful = |throttled_share, delivered| {
            is_due(&Sight {
                kind: Kind::Concurrency,
                throttled_share,
                delivered,
                usual: 0.2,
                ..Sight::of_tests()
            })
        };

        assert!(is_doubtful(0.28, 5.0) && !is_doubtful(0.26, 5.0));
        assert!(
            is_doubtful(0.42, 1.0) && !is_doubtful(0.38, 1.0),
            "one of a crowd"
        );
    }
}
