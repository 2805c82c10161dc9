//! An answer's body that closes its request's account when it ends, whichever way.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use super::account::Account;
use super::body::{BoxError, ResponseBody};

/// An answer's body with the account that lives as long as it.
pub(super) struct Ending {
    body: ResponseBody,
    account: Option<Account>,
}

impl Ending {
    /// Ends with `body`; one without bytes to send ends at once, since nobody polls it.
    pub(super) fn new(body: ResponseBody, account: Account, is_sent: bool) -> Self {
        let account = (is_sent && !body.is_end_stream()).then_some(account);
        Self { body, account }
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
                if let Some(mut account) = self.account.take() {
                    account.broke();
                }
            }
            // Trailers are an end, too: the body is dropped behind them without being asked for more.
            Some(Ok(_)) | None => self.account = None,
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
        if let Some(account) = &mut self.account {
            account.left();
        }
    }
}
