//! Names to addresses: where a connection to somebody who is known by name can be made.
//!
//! Without the feature `dns` the system's C library is asked (`dns/system.rs`), with everything that it knows. With it, our own
//! resolver does what the system's files say (`dns/servers.rs`): a static program cannot rely on the C library's, which loads
//! parts of itself at run time.
//!
//! Addresses that are written as such, and ports, are not its affair. Dropping a lookup gives it up.

#[cfg(feature = "dns")]
mod files;
#[cfg(feature = "dns")]
mod order;
#[cfg(feature = "dns")]
mod servers;
#[cfg(not(feature = "dns"))]
mod system;

use std::error::Error;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::vec;

use hyper_util::client::legacy::connect::dns::Name;
use tower::Service;

#[cfg(feature = "dns")]
pub use self::files::Params;
#[cfg(feature = "dns")]
pub use self::servers::Resolver;
#[cfg(not(feature = "dns"))]
pub use self::system::Resolver;

/// A name did not resolve.
#[derive(Debug, thiserror::Error)]
#[error("the name does not resolve")]
pub struct Unresolved(#[source] pub(crate) Box<dyn Error + Send + Sync>);

impl Unresolved {
    /// Whether this is what an error comes from; hyper-util's own does not tell.
    pub fn is_behind(error: &(dyn Error + 'static)) -> bool {
        let mut cause = Some(error);
        while let Some(error) = cause {
            if error.is::<Self>() {
                return true;
            }
            cause = error.source();
        }
        false
    }
}

/// As hyper-util's connector asks; the ports are its own affair.
impl Service<Name> for Resolver {
    type Response = vec::IntoIter<SocketAddr>;
    type Error = Unresolved;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Unresolved>> + Send>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Unresolved>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let resolver = self.clone();
        Box::pin(async move { Ok(resolver.addresses(name).await?.into_iter()) })
    }
}
