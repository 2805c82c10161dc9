//! An answer's body that closes its request's account when it ends, whichever way.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use super::account::Account;
use super::admit::Permit;
use super::body::{BoxError, ResponseBody};

/// An answer's body with what lives as long as it: the account, and the permit of the attempt that it came from.
pub(super) struct Ending {
    body: ResponseBody,
    held: Option<(Account, Option<Permit>)>,
}

impl Ending {
    /// Ends with `body`; one without bytes to send ends at once, since nobody polls it.
    pub(super) fn new(
        body: ResponseBody,
        account: Account,
        permit: Option<Permit>,
        is_sent: bool,
    ) -> Self {
        let held = (is_sent && !body.is_end_stream()).then_some((account, permit));
        Self { body, held }
    }
}

impl Body for Ending {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        match &frame {
            Some(Ok(frame)) if frame.is_data() && !self.body.is_end_stream() => {}
            Some(Err(error)) => {
                tracing::debug!(
                    error = &**error as &dyn std::error::Error,
                    "the answer's body broke"
                );
                if let Some((account, _)) = &mut self.held {
                    account.broke();
                }
                self.held = None;
            }
            // Trailers are an end, too: the body is dropped behind them without being asked for more.
            Some(Ok(_)) | None => self.held = None,
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        if let Some((account, _)) = &mut self.held {
            account.left();
        }
    }
}
