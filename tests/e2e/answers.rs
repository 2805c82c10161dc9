//! Answers as AWS gives them, byte for byte, for scripts.

use crate::support::Reply;

/// A whole answer with a sized body.
pub(crate) fn answer(status: &str, headers: &[(&str, &str)], body: &str) -> Vec<u8> {
    let mut text = format!("HTTP/1.1 {status}\r\n");
    for (name, value) in headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    text.push_str(&format!("Content-Length: {}\r\n\r\n{body}", body.len()));
    text.into_bytes()
}

/// A good answer.
pub(crate) fn ok() -> Reply {
    Reply::Bytes(answer("200 OK", &[("Content-Type", "text/plain")], "done"))
}

fn rest(status: &str, error: &str, body: &str) -> Vec<u8> {
    let headers = [
        ("Content-Type", "application/json"),
        ("x-amzn-RequestId", "2a5c3f0e-0000-4000-8000-1234567890ab"),
        ("x-amzn-ErrorType", error),
        ("x-amz-apigw-id", "KxYzAbCdEfGhIjK="),
    ];
    answer(status, &headers, body)
}

/// A REST API's rate throttle.
pub(crate) fn throttled() -> Vec<u8> {
    rest(
        "429 Too Many Requests",
        "TooManyRequestsException",
        r#"{"message":"Too Many Requests"}"#,
    )
}

/// A REST API's rate throttle with more headers.
pub(crate) fn throttled_with(headers: &[(&str, &str)]) -> Vec<u8> {
    let more: String = headers
        .iter()
        .map(|(name, value)| format!("{name}: {value}\r\n"))
        .collect();
    String::from_utf8(throttled())
        .unwrap()
        .replacen("x-amzn-RequestId", &format!("{more}x-amzn-RequestId"), 1)
        .into_bytes()
}

/// A REST API's used-up quota.
pub(crate) fn quota() -> Vec<u8> {
    rest(
        "429 Too Many Requests",
        "LimitExceededException",
        r#"{"message":"Limit Exceeded"}"#,
    )
}

/// What a REST API says of a throttled Lambda function, with today's 500 or the 502 of 2018.
pub(crate) fn suspected(status: &str) -> Vec<u8> {
    rest(
        status,
        "InternalServerErrorException",
        r#"{"message": "Internal server error"}"#,
    )
}

/// A function URL's throttle.
pub(crate) fn function_url() -> Vec<u8> {
    let body = r#"{"Reason":"ReservedFunctionConcurrentInvocationLimitExceeded","Type":"User","message":"Rate Exceeded."}"#;
    let headers = [
        ("Content-Type", "application/json"),
        ("x-amzn-RequestId", "2a5c3f0e-0000-4000-8000-1234567890ab"),
        ("x-amzn-ErrorType", "TooManyRequestsException"),
    ];
    answer("429 Too Many Requests", &headers, body)
}

/// A 429 that proves nothing.
pub(crate) fn bare_429() -> Vec<u8> {
    answer(
        "429 Too Many Requests",
        &[("Content-Type", "text/plain")],
        "slow down",
    )
}

/// An HTTP API's rate throttle, which only its body and request id tell.
pub(crate) fn http_api_429() -> Vec<u8> {
    let headers = [
        ("Content-Type", "application/json"),
        ("apigw-requestid", "KxYzAbCdEfGhIjK="),
    ];
    answer(
        "429 Too Many Requests",
        &headers,
        r#"{"message":"Too Many Requests"}"#,
    )
}

/// A REST API's gateway response whose owner has put its type into the marker header.
pub(crate) fn marked(status: &str, marker: &str) -> Vec<u8> {
    let headers = [
        ("Content-Type", "application/json"),
        ("x-amzn-ErrorType", "SomeException"),
        ("x-gw-error", marker),
    ];
    answer(status, &headers, r#"{"message":"Customised"}"#)
}

/// A REST API's 504, by what it says.
pub(crate) fn gateway_timeout(message: &str) -> Vec<u8> {
    rest(
        "504 Gateway Timeout",
        "InternalServerErrorException",
        &format!(r#"{{"message": "{message}"}}"#),
    )
}

/// A throttle of an AWS service that speaks a JSON protocol.
pub(crate) fn aws_json_throttle() -> Vec<u8> {
    answer(
        "400 Bad Request",
        &[("Content-Type", "application/x-amz-json-1.1")],
        r#"{"__type":"com.amazonaws.kinesis#ThrottlingException","message":"Rate exceeded"}"#,
    )
}
