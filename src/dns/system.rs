//! The C library's resolver, for a program that is linked to it as usual.

use std::net::SocketAddr;

use hyper_util::client::legacy::connect::dns::{GaiResolver, Name};
use tower::ServiceExt;

use super::Unresolved;

/// Resolves names. There is nothing to share.
#[derive(Clone, Debug)]
pub struct Resolver;

impl Resolver {
    /// The system's.
    pub fn of_system() -> Self {
        Self
    }

    /// The addresses of a name, in the order in which they are to be tried. Asked on a thread that nobody can stop.
    pub(super) async fn addresses(&self, name: Name) -> Result<Vec<SocketAddr>, Unresolved> {
        let addresses = GaiResolver::new().oneshot(name).await;
        let addresses = addresses.map_err(|error| Unresolved(Box::new(error)))?;
        Ok(addresses.collect())
    }
}
