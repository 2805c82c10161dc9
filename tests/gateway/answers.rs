//! What each front says, to the byte.

use std::time::Duration;

use redrive::gateway::{Front, Params};

use crate::support::{GET, closed_by_concurrency, closed_by_rate, start};

#[tokio::test]
async fn rest_answers_to_the_byte() {
    let rate = "HTTP/1.1 429 Too Many Requests\r\nDate: *\r\nContent-Type: application/json\r\n\
        Content-Length: 31\r\nConnection: keep-alive\r\nx-amzn-RequestId: *\r\n\
        x-amzn-ErrorType: TooManyRequestsException\r\nx-amz-apigw-id: *\r\n\r\n\
        {\"message\":\"Too Many Requests\"}";
    check_bytes(closed_by_rate(Front::Rest), 1, rate).await;
    check_bytes(closed_by_rate(Front::Rest2018), 1, rate).await;

    let concurrency = "HTTP/1.1 500 Internal Server Error\r\nDate: *\r\nContent-Type: application/json\r\n\
        Content-Length: 36\r\nConnection: keep-alive\r\nx-amzn-RequestId: *\r\n\
        x-amzn-ErrorType: InternalServerErrorException\r\nx-amz-apigw-id: *\r\n\r\n\
        {\"message\": \"Internal server error\"}";
    check_bytes(closed_by_concurrency(Front::Rest), 1, concurrency).await;
    let in_2018 = concurrency.replace("500 Internal Server Error", "502 Bad Gateway");
    check_bytes(closed_by_concurrency(Front::Rest2018), 1, &in_2018).await;

    let quota = "HTTP/1.1 429 Too Many Requests\r\nDate: *\r\nContent-Type: application/json\r\n\
        Content-Length: 28\r\nConnection: keep-alive\r\nx-amzn-RequestId: *\r\n\
        x-amzn-ErrorType: LimitExceededException\r\nx-amz-apigw-id: *\r\n\r\n\
        {\"message\":\"Limit Exceeded\"}";
    for front in [Front::Rest, Front::Rest2018] {
        let params = Params {
            front,
            quota: Some(2),
            ..Params::default()
        };
        check_bytes(params, 3, quota).await;
    }
}

#[tokio::test]
async fn http_answers_to_the_byte() {
    let rate = "HTTP/1.1 429 Too Many Requests\r\ndate: *\r\ncontent-type: application/json\r\n\
        content-length: 31\r\nconnection: keep-alive\r\napigw-requestid: *\r\n\r\n\
        {\"message\":\"Too Many Requests\"}";
    check_bytes(closed_by_rate(Front::Http), 1, rate).await;

    let concurrency = "HTTP/1.1 500 Internal Server Error\r\ndate: *\r\ncontent-type: application/json\r\n\
        content-length: 35\r\nconnection: keep-alive\r\napigw-requestid: *\r\n\r\n\
        {\"message\":\"Internal Server Error\"}";
    check_bytes(closed_by_concurrency(Front::Http), 1, concurrency).await;
}

#[tokio::test]
async fn a_function_url_answers_to_the_byte() {
    let expected = |length: usize, reason: &str| {
        format!(
            "HTTP/1.1 429 Too Many Requests\r\nDate: *\r\nContent-Type: application/json\r\n\
             Content-Length: {length}\r\nConnection: keep-alive\r\nx-amzn-RequestId: *\r\n\
             x-amzn-ErrorType: TooManyRequestsException\r\n\r\n\
             {{\"Reason\":\"{reason}\",\"Type\":\"User\",\"message\":\"Rate Exceeded.\"}}"
        )
    };
    let rate = expected(89, "FunctionInvocationRateLimitExceeded");
    check_bytes(closed_by_rate(Front::FunctionUrl), 1, &rate).await;
    let concurrency = expected(103, "ReservedFunctionConcurrentInvocationLimitExceeded");
    check_bytes(closed_by_concurrency(Front::FunctionUrl), 1, &concurrency).await;
}

#[tokio::test]
async fn a_load_balancer_answers_every_throttle_with_the_same_bytes() {
    let expected = "HTTP/1.1 502 Bad Gateway\r\nServer: awselb/2.0\r\nDate: *\r\nContent-Type: text/html\r\n\
        Content-Length: 122\r\nConnection: keep-alive\r\n\r\n\
        <html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n\
        <center><h1>502 Bad Gateway</h1></center>\r\n</body>\r\n</html>\r\n";
    check_bytes(closed_by_rate(Front::Alb), 1, expected).await;
    check_bytes(closed_by_concurrency(Front::Alb), 1, expected).await;
}

#[tokio::test]
async fn a_served_answer_describes_the_request() {
    let served = start(Params::default()).await;
    let mut client = served.client().await;

    let answer = client
        .ask("PUT /a/b?c=d HTTP/1.1\r\nHost: x\r\nA: b\r\nContent-Length: 6\r\n\r\nfoobar")
        .await;

    assert_eq!(
        answer.json(),
        serde_json::json!({
            "method": "PUT", "path": "/a/b?c=d", "headers": 3, "bytes": 6, "fnv1a": "85944171f73967e8",
        })
    );
    let length = answer.body.len();
    assert_eq!(
        answer.masked(),
        format!(
            "HTTP/1.1 200 OK\r\nDate: *\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\
             Connection: keep-alive\r\nx-amzn-RequestId: *\r\nx-amz-apigw-id: *\r\n\r\n{}",
            answer.body
        )
    );
}

#[tokio::test]
async fn an_answer_to_head_has_a_length_and_no_body() {
    let gateway = start(closed_by_rate(Front::Rest)).await;
    let mut client = gateway.client().await;

    client
        .send("HEAD / HTTP/1.1\r\nConnection: close\r\n\r\n")
        .await;

    assert!(client.head().await.contains("\r\nContent-Length: 31\r\n"));
    client.expect_end().await;
}

/// Sends `requests` GETs one after the other and compares the last answer byte for byte.
async fn check_bytes(params: Params, requests: usize, expected: &str) {
    let gateway = start(Params {
        service_time: Duration::ZERO,
        ..params
    })
    .await;
    let mut client = gateway.client().await;
    for _ in 1..requests {
        assert_eq!(client.ask(GET).await.status(), "200");
    }

    let answer = client.ask(GET).await;

    assert_eq!(answer.masked(), expected, "{params}");
}
