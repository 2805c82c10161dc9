//! HTTP/2 on the client's side (RFC 9113): its limits, each by name.
//!
//! What h2 limits by itself and lets nobody set stands at the end, as far as it can be relied on: `tests/h2` and `tests/abuse`
//! hold both. There is no limit for SETTINGS, PING, PRIORITY and WINDOW_UPDATE: nothing is kept of them, and while an
//! acknowledgement cannot be written, nothing more is read.

use std::time::Duration;

use hyper_util::rt::{TokioExecutor, TokioTimer};
use hyper_util::server::conn::auto::Builder;

use super::Params;

/// Sets the limits.
pub(super) fn limit(builder: &mut Builder<TokioExecutor>, params: &Params) {
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS_MAX)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_send_buf_size(SEND_BUFFER_BYTES)
        .max_frame_size(FRAME_BYTES_MAX)
        .max_header_list_size(u32::try_from(params.header_bytes).unwrap_or(u32::MAX))
        .max_pending_accept_reset_streams(RESETS_PENDING_MAX)
        .max_local_error_reset_streams(ERROR_RESETS_MAX)
        .keep_alive_interval(PING_EVERY)
        .keep_alive_timeout(PING_TIMEOUT);
}

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
