//! The cases of `redrive verify`, as they stand beside whatever else the gateway pretends to be.

use redrive::gateway::{Front, Params};

use crate::support::{Client, closed_by_rate, start};

fn get(case: &str) -> String {
    format!("GET /-/verify/{case} HTTP/1.1\r\nHost: x\r\n\r\n")
}

/// One case, byte for byte.
async fn check_bytes(client: &mut Client, case: &str, expected: &str) {
    assert_eq!(client.ask(&get(case)).await.masked(), expected, "{case}");
}

#[tokio::test]
async fn a_case_is_answered_by_its_own_front_whatever_the_gateway_is() {
    let gateway = start(closed_by_rate(Front::Alb)).await;
    let mut client = gateway.client().await;

    check_bytes(
        &mut client,
        "marked-throttled",
        "HTTP/1.1 500 Internal Server Error\r\nDate: *\r\nContent-Type: application/json\r\n\
         Content-Length: 35\r\nConnection: keep-alive\r\nx-amzn-RequestId: *\r\n\
         x-amzn-ErrorType: InternalServerErrorException\r\nx-gw-error: INTEGRATION_FAILURE\r\n\
         x-amz-apigw-id: *\r\n\r\n{\"message\":\"Internal server error\"}",
    )
    .await;
    check_bytes(
        &mut client,
        "http-crash",
        "HTTP/1.1 500 Internal Server Error\r\ndate: *\r\ncontent-type: application/json\r\n\
         content-length: 35\r\nconnection: keep-alive\r\napigw-requestid: *\r\n\r\n\
         {\"message\":\"Internal Server Error\"}",
    )
    .await;
    check_bytes(
        &mut client,
        "url-crash",
        "HTTP/1.1 502 Bad Gateway\r\nDate: *\r\nContent-Type: text/plain\r\nContent-Length: 21\r\n\
         Connection: keep-alive\r\nx-amzn-RequestId: *\r\n\r\nInternal Server Error",
    )
    .await;
    let elsewhere = client.ask("GET / HTTP/1.1\r\n\r\n").await;

    assert!(elsewhere.head.contains("\r\nServer: awselb/2.0\r\n"));
    assert_eq!(
        gateway.counts.snapshot().requests,
        1,
        "cases are not counted"
    );
}

#[tokio::test]
async fn a_case_without_a_fault_takes_an_upload() {
    let gateway = start(Params::default()).await;
    let mut client = gateway.client().await;

    let answer = client
        .ask("POST /-/verify/rest-ok HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello")
        .await;

    assert_eq!((answer.status(), answer.says_close()), ("200", false));
    assert_eq!(client.ask(&get("rest-ok")).await.status(), "200");
}
