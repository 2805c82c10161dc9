//! Any answer's class: total, the same every time, and never a proof where there can be none.

use std::time::Duration;

use http::HeaderName;
use redrive::retry::classify::{Class, Integration, Outcome, Proof, Ran, Rules};

use super::message::Answer;

pub fn holds(bytes: &[u8]) {
    // The first byte chooses what an operator may choose, and how much of the body was there in time.
    let Some((choice, bytes)) = bytes.split_first() else {
        return;
    };
    let Some(answer) = Answer::read(bytes) else {
        return;
    };
    let bit = |n: u8| choice >> n & 1 == 1;
    let rules = |proof| Rules {
        custom: Vec::new(),
        marker_header: HeaderName::from_static("x-gw-error"),
        proof,
        integration: if bit(0) {
            Integration::Lambda
        } else {
            Integration::Any
        },
    };
    let outcome = Outcome::Answered {
        status: answer.status,
        headers: &answer.headers,
        body_head: answer.body,
        body_complete: bit(1),
        elapsed: Duration::from_secs(if bit(2) { 6 } else { 0 }),
    };

    let usual = rules(Proof::Usual).classify(&outcome);
    let strict = rules(Proof::Strict).classify(&outcome);

    assert_eq!(usual, rules(Proof::Usual).classify(&outcome));
    assert_eq!(usual.class, strict.class, "proof is about what ran");
    assert!(usual.ran == strict.ran || (usual.ran == Ran::No && strict.ran == Ran::Maybe));
    let status = answer.status.as_u16();
    assert_eq!(usual.class == Class::Ok, status < 400);
    assert!(!matches!(usual.class, Class::Unsent | Class::Cancelled));
    if usual.ran == Ran::No {
        assert!(matches!(
            usual.class,
            Class::Throttled | Class::Quota | Class::Suspected
        ));
        assert!(status >= 400);
    }
    if matches!(usual.class, Class::Ok | Class::Permanent) {
        assert_ne!(usual.ran, Ran::No, "it would be sent again");
    }
}
