//! What is signed: the body first, which is read to its end before anything is sent, then every attempt on its own.

use std::time::{Duration, Instant};

use http::{Request, request};

use super::Exchange;
use crate::clock;
use crate::proxy::error::Error;
use crate::proxy::replay::Unkept;
use crate::retry::Reason;
use crate::retry::classify::{Fault, FaultKind, Sent};

impl Exchange<'_> {
    /// Reads the body of a request that is to be signed, until the deadline at most.
    ///
    /// # Errors
    /// When it cannot be kept whole, so that nobody can say its hash before it is sent; when it is broken, or late.
    pub(super) async fn seal(&mut self) -> Result<(), Error> {
        let Some(signer) = self.signer else {
            return Ok(());
        };
        let by = self.deadline.start_by;
        let whole = tokio::time::timeout_at(by.into(), self.replay.whole()).await;
        let body = match whole {
            Ok(Ok(body)) => body,
            Ok(Err(Unkept::Broken(cause))) => return Err(Error::ClientBody(cause)),
            Ok(Err(Unkept::No(reason))) => {
                self.account.stop(reason);
                return Err(match reason {
                    Reason::Memory => Error::Shed {
                        retry_after: MEMORY_BACK_AFTER,
                    },
                    _ => Error::TooLargeToSign,
                });
            }
            Err(_) => {
                let waited = clock::now().saturating_duration_since(self.deadline.arrival);
                return Err(Error::Deadline { waited });
            }
        };
        self.payload = signer.payload(&body);
        Ok(())
    }

    /// The head of an attempt that begins at `started`, with its signature; `None` if it is not to be signed.
    pub(super) async fn signed(
        &self,
        started: Instant,
    ) -> Result<Option<Box<request::Parts>>, Fault> {
        let (Some(signer), Some(payload)) = (self.signer, &self.payload) else {
            return Ok(None);
        };
        let head = self.head();
        let mut request = Request::new(());
        *request.method_mut() = head.method.clone();
        *request.uri_mut() = head.uri.clone();
        *request.headers_mut() = head.headers.clone();
        *request.extensions_mut() = head.extensions.clone();
        let by = self.deadline.head(&self.lane.deadline, started);
        let signed = signer.sign(&mut request, payload, by).await;
        signed.map_err(|_| Fault {
            kind: FaultKind::Unsigned,
            sent: Sent::Nothing,
        })?;
        let (parts, ()) = request.into_parts();
        Ok(Some(Box::new(parts)))
    }
}

/// When coming back may help where the memory for bodies is used up: they go with their requests, which are many.
const MEMORY_BACK_AFTER: Duration = Duration::from_secs(1);
