//! Listeners without a network: over a pipe in memory, with paused time.

use std::sync::Arc;

use http_body_util::BodyExt;
use serde_json::Value;

use super::*;
use crate::clock;
use crate::proxy::reading::{Counts, RouteReading};

fn reading(names: &[&str]) -> Reading {
    let routes = names.iter().map(|name| RouteReading {
        name: (*name).to_owned(),
        dry_run: false,
        window: 0,
        budget: 0,
        counts: Counts::default(),
    });
    Reading {
        bypass: false,
        in_flight: 0,
        waiting: 0,
        routes: routes.collect(),
        gone: Vec::new(),
        windows: Vec::new(),
        budgets: Vec::new(),
        recent: Arc::default(),
    }
}

fn record(events: &Events, reading: &Reading) {
    events.record(clock::now(), clock::wall(), reading.clone());
}

async fn next(body: &mut Channel<Bytes, Infallible>) -> Value {
    let frame = body.frame().await.expect("an event").unwrap();
    let text = String::from_utf8(frame.into_data().unwrap().to_vec()).unwrap();
    let json = text.trim_start_matches(RETRY).strip_prefix("data: ");
    let json = json.and_then(|it| it.strip_suffix("\n\n"));
    serde_json::from_str(json.expect("one line of data and an empty one")).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_listener_is_told_everything_once_and_then_what_is_new() {
    let events = Events::new();
    let reading = reading(&["default"]);
    for _ in 0..4 {
        record(&events, &reading);
        tokio::time::advance(Duration::from_secs(1)).await;
    }

    let (listener, mut body) = events.listen(None).unwrap();
    let scenario = async {
        let first = next(&mut body).await;
        record(&events, &reading);
        (first, next(&mut body).await)
    };
    let (first, second) = tokio::select! {
        told = scenario => told,
        left = listener.tell() => panic!("{left:?}"),
    };

    assert_eq!(first["reset"], true);
    assert_eq!(first["rows"].as_array().unwrap().len(), 3);
    assert_eq!(first["rows"][0].as_array().unwrap().len(), COLUMNS);
    assert_eq!(second["reset"], false);
    assert_eq!(second["rows"].as_array().unwrap().len(), 1);
    assert!(second.get("explained").is_none(), "nothing new to explain");
}

#[tokio::test(start_paused = true)]
async fn a_listener_who_takes_nothing_is_cut_off_and_nothing_piles_up() {
    let events = Events::new();
    let (listener, body) = events.listen(None).unwrap();
    let began = clock::now();
    let readings = async {
        for _ in 0..60 {
            record(&events, &reading(&["default"]));
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    };

    let left = tokio::select! {
        left = listener.tell() => left,
        () = readings => panic!("still told after a minute"),
    };

    assert_eq!(left, Left::TooSlow);
    let took = clock::now() - began;
    assert!(took <= STALL_MAX + Duration::from_secs(3), "{took:?}");
    let held = body.collect().await.unwrap().to_bytes();
    let pieces = held
        .split(|byte| *byte == b'\n')
        .filter(|it| !it.is_empty());
    assert!(pieces.count() <= 3, "one event and its retry, at most two");
}

#[tokio::test(start_paused = true)]
async fn a_listener_who_leaves_makes_room() {
    let events = Events::new();
    record(&events, &reading(&["default"]));
    let mut kept: Vec<_> = (0..LISTENERS_MAX)
        .map(|_| events.listen(None).unwrap())
        .collect();
    assert_eq!(events.listen(None).err(), Some(Refused::Full));

    let (listener, body) = kept.pop().unwrap();
    drop(body);
    assert_eq!(listener.tell().await, Left::ByItself);

    assert!(events.listen(None).is_ok());
}

#[test]
fn a_route_that_nobody_knows_takes_no_place() {
    let events = Events::new();
    record(&events, &reading(&["orders", "default"]));

    for _ in 0..2 * LISTENERS_MAX {
        let refused = events.listen(Some("nobody".to_owned()));
        assert_eq!(refused.err(), Some(Refused::Unknown));
    }
    assert!(events.listen(Some("orders".to_owned())).is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_route_that_is_gone_is_told_of_until_it_is_forgotten_and_then_its_stream_ends() {
    let events = Events::new();
    let mut dry = reading(&["old", "default"]);
    dry.routes[0].dry_run = true;
    record(&events, &dry);
    let (listener, mut body) = events.listen(Some("old".to_owned())).unwrap();
    let there = async {
        let before = next(&mut body).await;
        tokio::time::advance(Duration::from_secs(1)).await;
        record(&events, &reading(&["default"]));
        (before, next(&mut body).await)
    };
    let mut telling = std::pin::pin!(listener.tell());
    let (before, after) = tokio::select! {
        told = there => told,
        left = &mut telling => panic!("{left:?}"),
    };

    assert_eq!(before["summary"]["words"], "Dry run: redrive only watches.");
    assert_eq!(after["reset"], false);
    assert_eq!(after["routes"], serde_json::json!(["default"]));
    assert_eq!(after["routes_gone"], serde_json::json!(["old"]));
    assert_eq!(after["summary"]["words"], "Nobody has asked.");
    assert_eq!(after["rows"][0][9], Value::Null, "it has no budget");
    assert!(events.listen(Some("old".to_owned())).is_ok());

    tokio::time::advance(Duration::from_secs(15 * 60)).await;
    record(&events, &reading(&["default"]));

    assert_eq!(telling.await, Left::Forgotten);
    assert!(body.frame().await.is_none(), "ended, and not cut off");
    let refused = events.listen(Some("old".to_owned()));
    assert_eq!(refused.err(), Some(Refused::Unknown));
}

#[test]
fn what_a_name_holds_never_ends_an_event() {
    let evil = "</script>\n\ndata: {\"x\":1}\r\n\r";
    let events = Events::new();
    record(&events, &reading(&[evil]));
    let (mut listener, _body) = events.listen(Some(evil.to_owned())).unwrap();

    let event = listener.event().unwrap();

    let text = String::from_utf8(event.to_vec()).unwrap();
    let data = text.strip_prefix(RETRY).unwrap();
    let (line, rest) = data.split_once('\n').unwrap();
    assert_eq!(rest, "\n");
    assert!(!line.contains('\r'));
    let json: Value = serde_json::from_str(line.strip_prefix("data: ").unwrap()).unwrap();
    assert_eq!(json["route"], evil);
}
