//! hyper's own refusals, in our words; and ours of a connection too many.
//!
//! What cannot be read as HTTP never becomes a request: hyper answers it with a bare status and closes. The only place
//! where that answer can be told from others is the stream below hyper, see [`Watched`](super::watch::Watched).

use std::net::Shutdown;
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;

use crate::tcp::SharedTcp;

/// Turns away connections that are too many.
pub(super) struct Excess {
    /// Of those that are given time to leave.
    places: Arc<Semaphore>,
    tasks: TaskTracker,
}

/// The answer for the client in the place of hyper's, if what hyper writes is a refusal.
///
/// To be asked only for the first bytes of an answer to no request: an upstream's answer may look the same.
pub(super) fn in_our_words(written: &[u8]) -> Option<Vec<u8>> {
    let rest = written
        .strip_prefix(b"HTTP/1.1 ")
        .or_else(|| written.strip_prefix(b"HTTP/1.0 "))?;
    let status = StatusCode::from_bytes(rest.get(..3)?).ok()?;
    let detail = match status {
        StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => {
            "the request's head is larger than client.header_bytes, or has too many fields"
        }
        StatusCode::URI_TOO_LONG => "the request's target is too long",
        status if status.is_client_error() => "the request cannot be read as HTTP",
        _ => return None,
    };
    Some(problem(status, detail))
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
    let _left_or_not = tokio::time::timeout(TURN_AWAY_MAX, rest).await;
}

/// Best effort, and bounded: a client that does not take its answer is closed all the same.
async fn say(mut stream: impl AsyncWrite + Unpin, answer: &[u8]) {
    let told = async {
        stream.write_all(answer).await?;
        stream.shutdown().await
    };
    if !matches!(tokio::time::timeout(TURN_AWAY_MAX, told).await, Ok(Ok(()))) {
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

/// How long a turned-away client may take to read why, and to leave.
const TURN_AWAY_MAX: Duration = Duration::from_secs(1);

/// Connections too many that are given that long, at once. One more is told, too, and closed on the spot.
pub const TURNED_AWAY_MAX: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_of_hypers_becomes_a_problem_of_the_same_status() {
        let bare = b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\n\r\n";

        let answer = String::from_utf8(in_our_words(bare).unwrap()).unwrap();

        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 431 Request Header Fields Too Large\r\n"));
        assert!(head.contains(&format!("content-length: {}\r\n", body.len())));
        let problem: serde_json::Value = serde_json::from_str(body).unwrap();
        assert_eq!(problem["status"], 431);
    }

    #[test]
    fn what_is_no_refusal_stays_as_it_is() {
        for written in [
            b"HTTP/1.1 200 OK\r\n\r\n".as_slice(),
            b"HTTP/1.1 100 Continue\r\n\r\n",
            b"HTTP/1.1 4",
            b"\0\0\x12\x04\0\0\0\0\0",
            b"",
        ] {
            assert_eq!(in_our_words(written), None, "{written:?}");
        }
    }
}
