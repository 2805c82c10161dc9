//! What is said to whoever is no client of the service: to what cannot be read as a request of HTTP/1, and to a connection too many.

use std::net::Shutdown;
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;

use crate::http1::Refusal;
use crate::tcp::SharedTcp;

/// Turns away connections that are too many.
pub(super) struct Excess {
    /// Of those that are given time to leave.
    places: Arc<Semaphore>,
    tasks: TaskTracker,
}

/// The answer to a head that cannot be taken; the connection is closed behind it.
pub(super) fn of(refusal: Refusal) -> Vec<u8> {
    let detail = match refusal {
        Refusal::TooLarge => {
            "the request's head is larger than client.header_bytes, or has too many fields"
        }
        Refusal::TargetTooLong => "the request's target is too long",
        Refusal::Unreadable(_) => "the request cannot be read as HTTP",
    };
    problem(refusal.status(), detail)
}

/// A whole answer of ours to what is no request.
fn problem(status: StatusCode, detail: &str) -> Vec<u8> {
    let title = status.canonical_reason().unwrap_or("Error");
    let problem = serde_json::json!({
        "type": "about:blank",
        "title": title,
        "status": status.as_u16(),
        "detail": detail,
    })
    .to_string();
    let answer = format!(
        "HTTP/1.1 {} {title}\r\n\
         content-type: application/problem+json\r\n\
         proxy-status: redrive; error=http_request_error\r\n\
         content-length: {}\r\n\
         connection: close\r\n\r\n{problem}",
        status.as_u16(),
        problem.len()
    );
    answer.into_bytes()
}

impl Excess {
    /// None is here yet; who leaves does so in one of these tasks.
    pub(super) fn new(tasks: &TaskTracker) -> Self {
        Self {
            places: Arc::new(Semaphore::new(TURNED_AWAY_MAX)),
            tasks: tasks.clone(),
        }
    }

    /// Tells a client why its connection is closed, at once: a socket that nothing was written to has room for that. Then it may
    /// leave by itself for a moment, where there is a place; to close over bytes that nobody has read would reset the
    /// connection, and the client might never read why.
    pub(super) fn turn_away(&self, mut stream: TcpStream) {
        let socket = SockRef::from(&stream);
        let is_told = socket.send(TOO_MANY).is_ok() && socket.shutdown(Shutdown::Write).is_ok();
        if is_told && let Ok(place) = Arc::clone(&self.places).try_acquire_owned() {
            self.tasks.spawn(async move {
                see_off(&mut stream).await;
                drop(place);
            });
        }
    }
}

/// Plain HTTP where TLS is expected. Its bytes are read on for a while, since closing over them would reset the connection
/// before the answer is read.
pub(super) async fn turn_away_plain(mut stream: SharedTcp) {
    let detail = "this port speaks HTTPS, and the request is plain HTTP";
    say(&mut stream, &problem(StatusCode::BAD_REQUEST, detail)).await;
    see_off(&mut stream).await;
}

/// Reads what nobody wants until the client leaves, or for as long as it may take to.
async fn see_off(stream: &mut (impl AsyncRead + Unpin)) {
    let mut nowhere = tokio::io::sink();
    let rest = tokio::io::copy(stream, &mut nowhere);
    let _left_or_not = tokio::time::timeout(LEAVES_WITHIN, rest).await;
}

/// Best effort, and bounded: a client that does not take its answer is closed all the same.
async fn say(mut stream: impl AsyncWrite + Unpin, answer: &[u8]) {
    let told = async {
        stream.write_all(answer).await?;
        stream.shutdown().await
    };
    if !matches!(tokio::time::timeout(LEAVES_WITHIN, told).await, Ok(Ok(()))) {
        tracing::debug!("a client was turned away without hearing why");
    }
}

const TOO_MANY: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\n\
    content-type: application/problem+json\r\n\
    proxy-status: redrive; error=connection_limit_reached\r\n\
    retry-after: 1\r\n\
    content-length: 104\r\n\
    connection: close\r\n\r\n\
    {\"type\":\"about:blank\",\"title\":\"Service Unavailable\",\"status\":503,\"detail\":\"too many client connections\"}";

/// How long a client whose connection is closed may take to read why, and to leave.
pub(super) const LEAVES_WITHIN: Duration = Duration::from_secs(1);

/// Connections too many that are given that long, at once. One more is told, too, and closed on the spot.
pub const TURNED_AWAY_MAX: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_refused_is_told_as_a_problem_of_its_status() {
        for (refusal, start) in [
            (
                Refusal::TooLarge,
                "HTTP/1.1 431 Request Header Fields Too Large\r\n",
            ),
            (Refusal::TargetTooLong, "HTTP/1.1 414 URI Too Long\r\n"),
            (
                Refusal::Unreadable("two lengths"),
                "HTTP/1.1 400 Bad Request\r\n",
            ),
        ] {
            let answer = String::from_utf8(of(refusal)).unwrap();

            let (head, body) = answer.split_once("\r\n\r\n").unwrap();
            assert!(head.starts_with(start), "{head}");
            assert!(head.contains(&format!("content-length: {}\r\n", body.len())));
            let problem: serde_json::Value = serde_json::from_str(body).unwrap();
            assert_eq!(problem["status"], refusal.status().as_u16());
        }
    }
}
