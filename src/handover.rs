//! A client's connection that leaves HTTP, on its way from the server to whoever carries it on.
//!
//! Who answers a request that asks to leave takes the [`Handover`] out of it, and answers 101. The server gives the connection when
//! that answer has gone out, with what came behind the request; or it never does, since the client left.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::oneshot::{Receiver, Sender, channel};

/// A connection that carries any bytes both ways.
pub trait Carries: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Carries for T {}

/// A connection that left HTTP.
pub type Stream = Box<dyn Carries>;

/// The connection of a request that asks to leave HTTP; an extension of such requests.
///
/// Every clone is the same one: who asks first gets it.
#[derive(Clone)]
pub struct Handover(Arc<Mutex<Option<Receiver<Stream>>>>);

/// The end of it that the server has.
pub struct Giver(Sender<Stream>);

/// The connection never left HTTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the connection ended before it had left HTTP")]
pub struct Kept;

/// A hand-over, and the end that gives.
pub fn handover() -> (Giver, Handover) {
    let (giver, receiver) = channel();
    (Giver(giver), Handover(Arc::new(Mutex::new(Some(receiver)))))
}

impl Handover {
    /// Waits for the connection.
    ///
    /// # Errors
    /// When it ends before, or somebody else has it.
    pub async fn taken(self) -> Result<Stream, Kept> {
        let receiver = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        receiver.ok_or(Kept)?.await.map_err(|_gone| Kept)
    }
}

impl Giver {
    /// Gives the connection; it is closed if nobody wants it any more.
    pub fn give(self, stream: Stream) {
        drop(self.0.send(stream));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_connection_is_given_once() {
        let (giver, handover) = handover();
        let (ours, _theirs) = tokio::io::duplex(1);
        let other = handover.clone();

        giver.give(Box::new(ours));

        assert!(handover.taken().await.is_ok());
        assert!(other.taken().await.is_err());
    }

    #[tokio::test]
    async fn a_connection_that_ends_before_is_not_waited_for() {
        let (giver, handover) = handover();

        drop(giver);

        assert!(handover.taken().await.is_err());
    }
}
