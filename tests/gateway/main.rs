//! The embedded gateway over real sockets: what it says, when it says it, and that its counts are true.

use std::net::SocketAddr;
use std::time::Duration;

use redrive::gateway::{Error, Front, Gateway, Params, Seen};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::support::{FOREVER, GET, PATIENCE, start};

mod answers;
mod cases;
mod limits;
mod support;
mod uploads;

#[tokio::test]
async fn a_request_that_has_begun_is_answered_before_the_gateway_ends() {
    let mut gateway = start(Params {
        service_time: Duration::from_millis(200),
        ..Params::default()
    })
    .await;
    let mut idle = gateway.client().await;
    idle.ask("GET /-/counts HTTP/1.1\r\n\r\n").await;
    let mut client = gateway.client().await;
    client.send(GET).await;
    gateway
        .until(|seen| seen.in_flight + seen.served == 1)
        .await;

    gateway.stop.send(()).unwrap();

    assert_eq!(client.answer().await.status(), "200");
    client.expect_end().await;
    idle.expect_end().await;
    drop((client, idle));
    timeout(PATIENCE, gateway.task.join_next())
        .await
        .unwrap()
        .unwrap()
        .unwrap();
    assert!(TcpStream::connect(gateway.addr).await.is_err());
}

#[tokio::test]
async fn parameters_that_contradict_themselves_are_errors() {
    async fn check(params: Params, expected: &str) {
        let error = Gateway::bind(params).await.expect_err("no such gateway");
        assert_eq!(error.to_string(), expected);
    }
    let params = Params {
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        ..Params::default()
    };

    let burst = Params {
        burst: Some(1),
        ..params
    };
    check(burst, "a burst needs a rate").await;
    for front in [Front::Http, Front::FunctionUrl, Front::Alb] {
        let quota = Params {
            quota: Some(1),
            front,
            ..params
        };
        let expected =
            format!("front `{front}` has no quota; usage plans exist on `rest` and `rest-2018`");
        check(quota, &expected).await;
    }
    let slow = Params {
        service_time: FOREVER + Duration::from_nanos(1),
        ..params
    };
    check(
        slow,
        "service time 29.000000001s is longer than 29s, after which API Gateway gives up",
    )
    .await;
}

#[tokio::test]
async fn an_address_in_use_is_an_error_that_names_it() {
    let gateway = start(Params::default()).await;

    let second = Gateway::bind(Params {
        listen: gateway.addr,
        ..Params::default()
    })
    .await;

    assert!(
        matches!(second, Err(Error::Listen { listen, .. }) if listen == gateway.addr),
        "{second:?}"
    );
}

#[test]
fn what_the_command_prints_names_every_limit_and_every_count() {
    let params = Params {
        rate: Some(10),
        concurrency: Some(5),
        quota: Some(100),
        ..Params::default()
    };

    assert_eq!(
        params.to_string(),
        "front rest, 10 requests/s in bursts of 10, 5 executions at once, 100 requests in all, service time 20ms"
    );
    assert_eq!(Seen::default().to_string().lines().count(), 9);
}
