//! Every front's answers, as recorded.

use super::*;

#[test]
fn every_front_is_found_by_its_name_and_nothing_else_is() {
    for front in Front::ALL {
        assert_eq!(front.as_str().parse(), Ok(front));
    }
    assert_eq!(
        "REST".parse::<Front>(),
        Err(UnknownFront {
            name: "REST".into()
        })
    );
}

#[test]
fn bodies_have_the_recorded_lengths() {
    #[track_caller]
    fn check(front: Front, refusal: Refusal, length: usize) {
        assert_eq!(
            front.refusal(refusal).body.len(),
            length,
            "{front} {refusal:?}"
        );
    }
    check(Front::Rest, Refusal::Rate, 31);
    check(Front::Rest, Refusal::Quota, 28);
    check(Front::Rest, Refusal::Concurrency, 36);
    check(Front::Rest2018, Refusal::Concurrency, 36);
    check(Front::Http, Refusal::Rate, 31);
    check(Front::Http, Refusal::Concurrency, 35);
    check(Front::FunctionUrl, Refusal::Concurrency, 103);
    check(Front::Alb, Refusal::Concurrency, 122);
}

#[test]
fn ids_have_the_recorded_shapes_and_differ() {
    let uuid = request_id();
    let parts: Vec<usize> = uuid.split('-').map(str::len).collect();
    assert_eq!(parts, [8, 4, 4, 4, 12]);
    assert_eq!(&uuid[14..15], "4", "{uuid}");
    assert!("89ab".contains(&uuid[19..20]), "{uuid}");
    assert_ne!(uuid, request_id());
    assert_eq!(extended_id().len(), 16);
    assert_ne!(extended_id(), extended_id());
}
