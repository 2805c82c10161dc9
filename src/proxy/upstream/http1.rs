//! HTTP/1.1 connections to the upstream: one request at a time, written and read by whoever has the connection.
//!
//! What is said here is how a request goes out and the head of its answer comes in; which request gets a connection, and when,
//! is the business of the [`pool`](super::pool). Nobody polls an unused connection.
//!
//! The task of the request writes and waits for the answer. Only an upload that is still on its way when its answer begins gets a
//! task of its own ([`upload`]), since the client may take nothing of the answer for a while. The socket is shared with that one
//! ([`socket`]), and with nobody otherwise. The body of the answer is read from it as it is asked for ([`incoming`]).

mod awaited;
mod incoming;
mod socket;
mod upload;

use std::borrow::Cow;
use std::future::poll_fn;
use std::task::{Context, Poll, Waker, ready};
use std::time::Instant;

use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use http_body::Body;
use tokio_util::task::TaskTracker;

use self::awaited::{Awaited, poll_some};
use self::upload::{Unsent, Upload};
use super::http2::HEADER_BYTES_MAX;
use super::lease::{Answer, Unanswered};
use super::ledger::Noted;
use super::mark::Tally;
use super::wire::{Held, Transport, Wire};
use super::{Head, HeaderCase};
use crate::clock;
use crate::http1::{AsWritten, Case, Framing, Reading, number, request_head, write_fields};
use crate::proxy::body::RequestBody;
use crate::retry::classify::FaultKind;
use crate::retry::fields::present;

pub(super) use self::awaited::Answered;
pub(super) use self::incoming::Incoming;
pub(super) use self::socket::Socket;
pub(super) use self::upload::Apart;

/// A connection that carries one request at a time, and is closed when it is dropped.
pub(super) struct Connection {
    socket: Socket,
    /// What of the latest request goes on by itself.
    apart: Option<Apart>,
    header_case: HeaderCase,
    /// When it was made.
    pub(super) born: Instant,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
enum NoAnswer {
    /// What came is none.
    #[error(transparent)]
    Unreadable(#[from] crate::http1::Refusal),
    /// The connection ended before there was one.
    #[error("the connection ended before the answer's head")]
    Ended,
    /// The connection broke before there was one.
    #[error(transparent)]
    Broken(#[from] std::io::Error),
    /// The request could not be written to its end.
    #[error(transparent)]
    Unsent(#[from] Unsent),
}

/// How far a request is written.
enum Progress {
    UnderWay,
    Written,
    /// The upstream takes no more of it, and may have said why.
    Refused(Unsent),
}

impl Connection {
    /// Speaks HTTP/1.1 over a transport that was just made.
    pub(super) fn open(transport: Transport, header_case: HeaderCase, held: Held) -> Self {
        Self {
            socket: Socket::new(Wire::of(transport, Noted::default(), held)),
            apart: None,
            header_case,
            born: clock::now(),
        }
    }

    /// Sends a request, and returns the answer as soon as its head is there; `tally` is told of the first byte.
    ///
    /// A connection that is found closed, or on which something came that nobody asked for, gets nothing of it.
    pub(super) fn send<'a>(
        &'a mut self,
        head: Head<'a>,
        body: RequestBody,
        tally: &'a mut Tally<'_>,
        tasks: &'a TaskTracker,
    ) -> impl Future<Output = Result<Answer, Unanswered>> + Send + 'a {
        let reading = Reading {
            head_bytes_max: BUFFER_BYTES_MAX,
            keeps_case: self.header_case.preserve,
        };
        // A block, since the future of a function has room for its arguments twice.
        async move {
            if self.has_news() {
                return Err(Unanswered {
                    kind: FaultKind::Closed,
                    untouched: Some(body),
                });
            }
            let mut upload = self.upload(head, body);
            let mut awaited = Awaited::new(head.method, reading);
            let mut progress = Progress::UnderWay;
            self.socket.take_written(); // the end of the last upload is none of this one
            let answered =
                poll_fn(|cx| self.poll(cx, &mut upload, tally, &mut progress, &mut awaited)).await;
            let mut answered = answered.map_err(NoAnswer::tell)?;
            match progress {
                Progress::Written => {}
                // It goes on whether or not the client takes anything of the answer.
                Progress::UnderWay => {
                    tally.first_byte(); // if nothing is written yet, it may be at any moment
                    self.apart = Some(upload.run_apart(self.socket.share(), tasks));
                }
                // Who was not heard to its end cannot leave HTTP.
                Progress::Refused(_) if answered.head.status == StatusCode::SWITCHING_PROTOCOLS => {
                    return Err(Unanswered {
                        kind: FaultKind::Closed,
                        untouched: None,
                    });
                }
                Progress::Refused(_) => answered.keeps_alive = false,
            }
            Ok(Answer::Whole(answered))
        }
    }

    /// Writes, and looks for the answer, which may come before all is written.
    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        upload: &mut Upload,
        tally: &mut Tally<'_>,
        progress: &mut Progress,
        awaited: &mut Awaited<'_>,
    ) -> Poll<Result<Box<Answered>, NoAnswer>> {
        if let Progress::UnderWay = progress {
            // First, since an upload that never has to wait uses up all that a task may do at once.
            if upload.has_begun()
                && let Poll::Ready(answered) = awaited.poll(cx, &mut self.socket)
            {
                return Poll::Ready(answered);
            }
            let written = upload.poll(cx, &mut self.socket);
            if self.socket.take_written() {
                tally.first_byte();
            }
            *progress = match written {
                Poll::Pending => Progress::UnderWay,
                Poll::Ready(Ok(())) => Progress::Written,
                Poll::Ready(Err(unsent @ Unsent::Refused(_))) => Progress::Refused(unsent),
                Poll::Ready(Err(unsent)) => return Poll::Ready(Err(unsent.into())),
            };
            // Rarely is there anything of an answer so soon. What a refusal left is read whatever the runtime has heard.
            if !matches!(progress, Progress::Refused(_)) {
                ready!(self.socket.poll_readable(cx));
            }
        }
        let answered = awaited.poll(cx, &mut self.socket);
        if let Progress::Refused(_) = progress
            && !matches!(answered, Poll::Ready(Ok(_)))
            && let Progress::Refused(unsent) = std::mem::replace(progress, Progress::UnderWay)
        {
            return Poll::Ready(Err(unsent.into()));
        }
        answered
    }

    /// What is to be written of a request, its head first.
    fn upload(&self, head: Head<'_>, body: RequestBody) -> Upload {
        let mut headers = Cow::Borrowed(head.headers);
        let framing = frame(&mut headers, &body);
        let HeaderCase { title, .. } = self.header_case;
        let case = match head.extensions.get::<AsWritten>() {
            Some(names) => Case::AsWritten {
                names,
                is_title: title,
            },
            None if title => Case::Title,
            None => Case::Lower,
        };
        let mut written = Vec::with_capacity(HEAD_BYTES);
        let target = head.uri.path_and_query().map_or("/", PathAndQuery::as_str);
        request_head(&mut written, head.method, target);
        write_fields(&mut written, &headers, case);
        written.extend_from_slice(b"\r\n");
        Upload::new(written, framing, &headers, body, title)
    }

    /// Whether anything came on an unused connection, or it ended, as far as the runtime has heard.
    fn has_news(&mut self) -> bool {
        let mut nobody = Context::from_waker(Waker::noop());
        if !self.socket.may_be_readable() {
            return false;
        }
        let read = poll_fn(|cx| poll_some(&mut self.socket, cx, |_| ()));
        std::pin::pin!(tokio::task::coop::unconstrained(read))
            .poll(&mut nobody)
            .is_ready()
    }

    /// Whether nothing has come on an unused connection, as the kernel knows at this moment.
    pub(super) fn is_quiet(&self) -> bool {
        self.socket.is_quiet()
    }

    /// Whether the peer broke off TLS with an alert.
    pub(super) fn is_alerted(&mut self) -> bool {
        self.socket.is_alerted()
    }

    /// What goes on by itself, and has to end before another request.
    pub(super) fn take_apart(&mut self) -> Option<Apart> {
        self.apart.take()
    }

    /// The socket, for what is spoken on it behind HTTP.
    pub(super) fn into_socket(self) -> (Socket, Option<Apart>) {
        (self.socket, self.apart)
    }
}

impl NoAnswer {
    #[cold]
    fn tell(self) -> Unanswered {
        tracing::debug!(
            error = &self as &dyn std::error::Error,
            "attempt got no answer"
        );
        let kind = match self {
            Self::Unreadable(_) => FaultKind::Unreadable,
            Self::Ended | Self::Broken(_) | Self::Unsent(_) => FaultKind::Closed,
        };
        Unanswered {
            kind,
            untouched: None,
        }
    }
}

/// How the body is framed, as the head says it or else is made to: in one way, whatever it said.
fn frame(headers: &mut Cow<'_, HeaderMap>, body: &RequestBody) -> Framing {
    let [has_length, is_coded] = present(headers, &FRAMING);
    if is_coded {
        if has_length {
            headers.to_mut().remove(CONTENT_LENGTH);
        }
        return Framing::Chunked;
    }
    let said = if has_length {
        the_length(headers)
    } else {
        None
    };
    let Some(length) = said.or_else(|| body.size_hint().exact()) else {
        let headers = headers.to_mut();
        headers.remove(CONTENT_LENGTH);
        headers.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
        return Framing::Chunked;
    };
    if said.is_none() && (has_length || length > 0) {
        let length = HeaderValue::from(length);
        headers.to_mut().insert(CONTENT_LENGTH, length);
    }
    match length {
        0 => Framing::Nothing,
        length => Framing::Sized(length),
    }
}

/// The length that the head says, if it says one in one field, and nothing else.
fn the_length(headers: &HeaderMap) -> Option<u64> {
    let mut fields = headers.get_all(CONTENT_LENGTH).iter();
    let length = number(fields.next()?.as_bytes())?;
    fields.next().is_none().then_some(length)
}

static FRAMING: [HeaderName; 2] = [CONTENT_LENGTH, TRANSFER_ENCODING];

/// Room for most heads.
const HEAD_BYTES: usize = 1000;

/// What a connection may hold of what it reads: room for the longest head that is taken, and of a body no more than helps.
const BUFFER_BYTES_MAX: usize = HEADER_BYTES_MAX as usize;

#[cfg(test)]
mod tests;
