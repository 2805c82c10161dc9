//! Requests with a body: counted, answered early, refused; and what becomes of their connection.

use redrive::gateway::{Front, Params, Seen};

use crate::support::{GET, closed_by_rate, start};

#[tokio::test]
async fn a_chunked_upload_is_counted_to_the_byte() {
    let gateway = start(Params::default()).await;
    let mut client = gateway.client().await;
    let sizes = [1, 16_384, 65_537, 999];

    client
        .send("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n")
        .await;
    for size in sizes {
        client
            .send(format!("{size:x}\r\n{}\r\n", "y".repeat(size)))
            .await;
    }
    client.send("0\r\n\r\n").await;
    let chunked = client.answer().await.json();

    let length: usize = sizes.iter().sum();
    assert_eq!(chunked["bytes"], length);
    let body = "y".repeat(length);
    let sized = client
        .ask(&format!(
            "POST / HTTP/1.1\r\nContent-Length: {length}\r\n\r\n{body}"
        ))
        .await
        .json();
    assert_eq!(chunked["fnv1a"], sized["fnv1a"]);
}

#[tokio::test]
async fn a_throttle_does_not_wait_for_the_upload_and_survives_it() {
    let gateway = start(closed_by_rate(Front::Rest)).await;
    let mut client = gateway.client().await;

    client
        .send("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
        .await;
    let answer = client.answer().await;
    client.expect_end().await;

    assert_eq!(answer.status(), "429");
    assert!(answer.says_close(), "{}", answer.head);
    client.send("3\r\nabc\r\n0\r\n\r\n").await;
}

#[tokio::test]
async fn a_client_that_writes_everything_before_it_reads_still_gets_the_throttle() {
    let gateway = start(closed_by_rate(Front::Rest)).await;
    let mut client = gateway.client().await;
    let length = 8 * 1024 * 1024;

    client
        .send(format!(
            "POST / HTTP/1.1\r\nContent-Length: {length}\r\n\r\n"
        ))
        .await;
    client.send(vec![0; length]).await;

    assert_eq!(client.answer().await.status(), "429");
    client.expect_end().await;
}

#[tokio::test]
async fn a_connection_outlives_a_throttle_of_a_small_upload() {
    let gateway = start(Params {
        quota: Some(1),
        ..Params::default()
    })
    .await;
    let mut client = gateway.client().await;
    assert_eq!(client.ask(GET).await.status(), "200");

    client
        .send("POST / HTTP/1.1\r\nContent-Length: 65536\r\n\r\n")
        .await;
    let early = client.answer().await;
    client.send(vec![b'G'; 65_536]).await;
    let after = client.ask(GET).await;

    assert_eq!((early.status(), early.says_close()), ("429", false));
    assert_eq!((after.status(), after.says_close()), ("429", false));
    assert_eq!(gateway.counts.snapshot().requests, 3);
}

#[tokio::test]
async fn a_client_that_asks_first_is_told_to_go_on_only_if_it_may() {
    let ask = "POST / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n";
    let gateway = start(Params {
        quota: Some(1),
        ..Params::default()
    })
    .await;
    let mut client = gateway.client().await;

    client.send(ask).await;
    assert_eq!(client.head().await, "HTTP/1.1 100 Continue\r\n\r\n");
    let served = client.ask("abc").await;
    assert_eq!(served.json()["bytes"], 3);

    let refused = client.ask(ask).await;
    assert_eq!((refused.status(), refused.says_close()), ("429", true));
}

#[tokio::test]
async fn requests_sent_at_once_are_answered_in_order_on_one_connection() {
    let gateway = start(Params::default()).await;
    let mut client = gateway.client().await;

    client
        .send(
            "POST /1 HTTP/1.1\r\nContent-Length: 1\r\n\r\naPOST /2 HTTP/1.1\r\nContent-Length: 2\r\n\r\nbb\
             GET /3 HTTP/1.1\r\nConnection: close\r\n\r\n",
        )
        .await;

    for path in ["/1", "/2", "/3"] {
        assert_eq!(client.answer().await.json()["path"], path);
    }
    client.expect_end().await;
}

#[tokio::test]
async fn a_payload_over_the_limit_is_refused_before_it_has_come() {
    let gateway = start(Params::default()).await;

    let mut sized = gateway.client().await;
    let answer = sized
        .ask("POST / HTTP/1.1\r\nContent-Length: 10485761\r\nExpect: 100-continue\r\n\r\n")
        .await;
    let mut chunked = gateway.client().await;
    chunked
        .send("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\na00001\r\n")
        .await;

    for answer in [answer, chunked.answer().await] {
        assert_eq!(
            answer.masked(),
            "HTTP/1.1 413 Payload Too Large\r\nDate: *\r\nContent-Type: text/plain\r\nContent-Length: 44\r\n\
             Connection: close\r\nx-amzn-RequestId: *\r\nx-amz-apigw-id: *\r\n\r\n\
             HTTP content length exceeded 10485760 bytes."
        );
    }
    let seen = gateway.counts.snapshot();
    assert_eq!((seen.requests, seen.too_large, seen.served), (2, 2, 0));
}

#[tokio::test]
async fn a_payload_at_the_limit_is_served() {
    let gateway = start(Params::default()).await;
    let mut client = gateway.client().await;

    client
        .send("POST / HTTP/1.1\r\nContent-Length: 10485760\r\n\r\n")
        .await;
    client.send(vec![0; 10_485_760]).await;

    assert_eq!(client.answer().await.json()["bytes"], 10_485_760);
}

#[tokio::test]
async fn what_is_no_request_is_refused_and_not_counted() {
    let gateway = start(Params::default()).await;
    for (garbage, status) in [
        ("nonsense\r\n\r\n", "400"),
        ("CONNECT a:1 HTTP/1.1\r\n\r\n", "405"),
    ] {
        let mut client = gateway.client().await;
        let answer = client.ask(garbage).await;
        assert_eq!((answer.status(), answer.says_close()), (status, true));
        client.expect_end().await;
    }

    assert_eq!(gateway.counts.snapshot(), Seen::default());
}
