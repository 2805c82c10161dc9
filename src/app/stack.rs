//! What stands around the walk of every request.

use std::net::IpAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body::Body;

use crate::proxy::body::{BoxError, ResponseBody};
use crate::proxy::error::Error;
use crate::proxy::{Current, respond};

/// A request on its walk. Boxed where it is made: everything around it would move all of its bytes once or twice (13,000 instructions).
type Walk = Pin<Box<dyn Future<Output = Response<ResponseBody>> + Send>>;

/// A walk whose panic is answered. A panic is a bug; it costs its own request only.
pub(super) struct Caught(Walk);

/// The walk of the requests of one client.
pub(super) fn stack<B>(
    current: Current,
    client: IpAddr,
) -> impl Fn(Request<B>) -> Caught + Clone + Send + 'static
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    move |mut request| {
        hide(request.headers_mut());
        // A request ends on the path that it begins on, whatever is reloaded meanwhile.
        let proxy = current.load_full();
        Caught(Box::pin(proxy.serve(request, client)))
    }
}

impl Future for Caught {
    type Output = Response<ResponseBody>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let walk = self.0.as_mut();
        catch_unwind(AssertUnwindSafe(|| walk.poll(cx)))
            .unwrap_or_else(|_told_by_the_hook| Poll::Ready(respond::problem(&Error::Internal)))
    }
}

/// Marks the values that never show in a log: in one pass over all of them.
fn hide(headers: &mut HeaderMap) {
    for (name, value) in headers.iter_mut() {
        if is_secret(name.as_str()) {
            value.set_sensitive(true);
        }
    }
}

/// Whether values of this header never show in a log.
fn is_secret(name: &str) -> bool {
    matches!(
        name,
        "authorization" | "cookie" | "x-api-key" | "x-amz-security-token" | "idempotency-key"
    )
}
