//! HTTP/2 on the client's side (RFC 9113): its limits, each by name.
//!
//! What h2 limits by itself and lets nobody set stands at the end, as far as it can be relied on: `tests/h2` and `tests/abuse`
//! hold both. It has none for SETTINGS, PING, PRIORITY and WINDOW_UPDATE: those are counted below it, in
//! [`calm`](super::calm). Nothing is kept of them, and while an acknowledgement cannot be written, nothing more is read.

use std::time::Duration;

use hyper::server::conn::http2::Builder;
use hyper_util::rt::{TokioExecutor, TokioTimer};

/// Within these limits. A request whose fields are longer than `header_bytes`, each with 32 bytes on top (RFC 9113, section
/// 6.5.2), is answered 431 by h2; one that is longer by far ends the connection with ENHANCE_YOUR_CALM.
pub(super) fn builder(header_bytes: usize) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        // The service's answers are dated already, or came without a date that is ours to give.
        .auto_date_header(false)
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS_MAX)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_send_buf_size(SEND_BUFFER_BYTES)
        .max_frame_size(FRAME_BYTES_MAX)
        .max_header_list_size(u32::try_from(header_bytes).unwrap_or(u32::MAX))
        .max_pending_accept_reset_streams(RESETS_PENDING_MAX)
        .max_local_error_reset_streams(ERROR_RESETS_MAX)
        .keep_alive_interval(PING_EVERY)
        .keep_alive_timeout(PING_TIMEOUT);
    builder
}

/// What a client of HTTP/2 says first (RFC 9113, section 3.4).
pub(super) const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Streams of one connection at once (SETTINGS_MAX_CONCURRENT_STREAMS). One more is reset with REFUSED_STREAM, which tells the
/// client that it may be sent again. The least that RFC 9113, section 6.5.2, recommends.
const STREAMS_MAX: u32 = 100;

/// How much of one upload is taken in before it is sent on (SETTINGS_INITIAL_WINDOW_SIZE). The client waits with the rest.
const STREAM_WINDOW_BYTES: u32 = 64 << 10;

/// How much of all uploads of one connection is taken in before it is sent on. Room for every stream's window, since
/// requests that wait for their turn leave their uploads unread: with less room they would keep the uploads of those that
/// have theirs from coming. It is what a client may make a connection hold, about as much as Linux takes into a socket.
const CONNECTION_WINDOW_BYTES: u32 = STREAMS_MAX * STREAM_WINDOW_BYTES;

/// How much of one answer is kept for a client whose window is closed. The upstream waits with the rest.
const SEND_BUFFER_BYTES: usize = 64 << 10;

/// The longest frame that is taken (SETTINGS_MAX_FRAME_SIZE), the least that RFC 9113 allows. A longer one ends the connection.
const FRAME_BYTES_MAX: u32 = 16 << 10;

/// Requests that are cancelled before they were looked at ("rapid reset", CVE-2023-44487). One more ends the connection with
/// ENHANCE_YOUR_CALM.
const RESETS_PENDING_MAX: usize = 20;

/// Streams that the client had us reset by breaking the rules ("MadeYouReset", CVE-2025-8671), counted over the connection's
/// life. One more ends it with ENHANCE_YOUR_CALM.
const ERROR_RESETS_MAX: usize = 100;

/// How often a connection is asked whether its client is still there. A client that was cut off from the network sends no end.
const PING_EVERY: Duration = Duration::from_secs(20);

/// How long the client may take to say so; then its connection is closed, and its requests are those of a client that left.
const PING_TIMEOUT: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use bytes::Bytes;
    use http::Response;
    use http_body_util::Empty;
    use hyper::service::service_fn;
    use hyper_util::rt::TokioIo;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

    use super::*;
    use crate::clock;

    /// A client that has told its settings, and says nothing more than the acknowledgement of so many PINGs.
    async fn client(mut io: DuplexStream, mut acknowledged: usize) {
        io.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0")
            .await
            .unwrap();
        let mut head = [0; 9];
        while io.read_exact(&mut head).await.is_ok() {
            let mut payload = vec![0; usize::from(head[2])];
            io.read_exact(&mut payload).await.unwrap();
            let is_ping = head[3] == 6 && head[4] == 0;
            if is_ping && acknowledged > 0 {
                acknowledged -= 1;
                head[4] = 1;
                io.write_all(&[&head, &payload[..]].concat()).await.unwrap();
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_no_longer_answers_is_let_go() {
        let (ours, theirs) = tokio::io::duplex(1 << 16);
        let builder = builder(32 << 10);
        let service =
            service_fn(async |_| Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new())));
        let began = clock::now();

        let served = builder.serve_connection(TokioIo::new(ours), service);
        let (ended, ()) = tokio::join!(served, client(theirs, 5));

        assert!(
            ended.is_err(),
            "its requests are those of a client that left"
        );
        assert_eq!((clock::now() - began).as_secs(), 5 * 20 + 20 + 10);
    }
}
