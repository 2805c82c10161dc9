//! What the report says, and that its figures add up.

use super::*;
use crate::demo::tally::{Exchange, Failure};

fn side(waits_millis: &[u64], refused: u64, seen: Seen) -> SideReport {
    let mut tally = Tally::new();
    let served = waits_millis.iter().map(|millis| (Ok(()), *millis));
    let failed = (0..refused).map(|_| (Err(Failure::Status(429)), 1));
    for (outcome, millis) in served.chain(failed) {
        tally.count_sent();
        tally.record(Exchange {
            outcome,
            waited: Duration::from_millis(millis),
        });
    }
    SideReport::new(&tally, &seen)
}

fn seen(requests: u64, served: u64) -> Seen {
    Seen {
        requests,
        served,
        ..Seen::default()
    }
}

fn report(direct: SideReport, redrive: SideReport) -> Report {
    Report {
        traffic: Traffic::new(Shape::default(), 1, Duration::from_secs(20)),
        gateway: Limits::new(&gateway::Params {
            rate: Some(100),
            ..gateway::Params::default()
        }),
        direct,
        redrive,
    }
}

#[test]
fn shares_and_attempts_come_from_who_knows_them() {
    let direct = side(&[20, 22, 24], 1, seen(4, 3));
    let redrive = side(&[20, 22, 24, 1_500], 0, seen(6, 4));

    assert_eq!(direct.success, Some(0.75));
    assert_eq!(direct.attempts_per_success, Some(4.0 / 3.0));
    assert_eq!(direct.failures, BTreeMap::from([("429".to_owned(), 1)]));
    assert_eq!(redrive.success, Some(1.0));
    assert_eq!(redrive.attempts_per_success, Some(1.5));
    assert_eq!(redrive.p50_seconds, Some(0.022));
    assert_eq!(redrive.p99_seconds, Some(1.5));
    assert_eq!(redrive.longest_wait_seconds, 1.5);
}

#[test]
fn the_table_shows_both_sides_in_every_row() {
    let report = report(
        side(&[20, 22, 24], 1, seen(4, 3)),
        side(&[20, 22, 24, 1_500], 0, seen(6, 4)),
    );

    let expected = "
                                          direct through redrive
success share                              0.750           1.000
attempts per success                        1.33            1.50
p50 of successes                           22 ms           22 ms
p99 of successes                           24 ms          1.50 s
longest wait                               24 ms          1.50 s
sent by clients                                4               4
failed                                   1 x 429            none
seen by the gateway                            4               6
served by the gateway                          3               4

Of 100 requests 25.0 failed when sent directly and 0.0 through redrive.
The price is time: the longest wait was 1.50 s with redrive and 24 ms without.";
    assert_eq!(format!("\n{report}"), expected);
}

#[test]
fn a_share_short_of_everything_is_never_shown_as_everything() {
    let almost = side(&vec![20; 2_999], 1, seen(3_000, 2_999));

    assert_eq!(almost.share(), "0.999");
}

#[test]
fn a_redrive_that_does_not_help_is_not_praised() {
    let report = report(
        side(&[20, 20], 0, seen(2, 2)),
        side(&[20, 20], 0, seen(2, 2)),
    );

    assert!(report.to_string().contains("Here redrive did not help"));
}

#[test]
fn nothing_measured_is_shown_as_nothing_and_not_as_zero() {
    let report = report(side(&[], 0, seen(0, 0)), side(&[], 0, seen(0, 0)));

    let table = report.to_string();
    assert!(table.contains(&format!("success share{:>35}{:>16}", "-", "-")));
    assert!(table.ends_with("Too little was answered to compare."));
    let json = serde_json::to_value(&report).unwrap();
    assert!(json["direct"]["success"].is_null());
    assert!(json["direct"]["p99_seconds"].is_null());
}

#[test]
fn requests_cut_off_at_the_end_are_told_and_not_counted() {
    let mut tally = Tally::new();
    for _ in 0..3 {
        tally.count_sent();
    }
    tally.record(Exchange {
        outcome: Ok(()),
        waited: Duration::from_millis(20),
    });
    let cut = SideReport::new(&tally, &seen(3, 1));

    assert_eq!((cut.unanswered, cut.success), (2, Some(1.0)));
    let report = report(cut.clone(), cut);
    let row = format!("waiting at the end, not counted{:>17}{:>16}\n", 2, 2);
    assert!(report.to_string().contains(&row));
}

#[test]
fn the_names_in_the_json_are_those_that_programs_read() {
    let one = side(&[20], 0, seen(1, 1));
    let json = serde_json::to_value(report(one.clone(), one)).unwrap();
    let names = |value: &serde_json::Value| -> Vec<String> {
        value.as_object().unwrap().keys().cloned().collect()
    };

    assert_eq!(names(&json), ["direct", "gateway", "redrive", "traffic"]);
    assert_eq!(
        names(&json["redrive"]),
        [
            "attempts_per_success",
            "failed",
            "failures",
            "gateway_requests",
            "gateway_served",
            "longest_wait_seconds",
            "ok",
            "p50_seconds",
            "p99_seconds",
            "sent",
            "success",
            "unanswered",
        ]
    );
}
