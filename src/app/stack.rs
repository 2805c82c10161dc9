//! What stands around the walk of every request.

use std::net::IpAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{AUTHORIZATION, COOKIE};
use http::{HeaderMap, HeaderName, Request, Response};
use http_body::Body;
use pin_project_lite::pin_project;

use crate::proxy::body::{BoxError, ResponseBody};
use crate::proxy::error::Error;
use crate::proxy::{Current, respond};

/// A request on its walk. Boxed where it is made: everything around it would move all of its bytes once or twice (13,000 instructions).
pub(super) type Walk = Pin<Box<dyn Future<Output = Response<ResponseBody>> + Send>>;

pin_project! {
    /// A walk whose panic is answered. A panic is a bug; it costs its own request only.
    struct Caught<F> {
        #[pin]
        walk: F,
    }
}

/// The walk of the requests of one client.
pub(super) fn stack<B>(
    current: Current,
    client: IpAddr,
) -> impl Fn(Request<B>) -> Walk + Clone + Send + 'static
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    move |mut request| {
        hide(request.headers_mut());
        // A request ends on the path that it begins on, whatever is reloaded meanwhile.
        let proxy = current.load_full();
        Box::pin(Caught {
            walk: async move { proxy.serve(request, client).await },
        })
    }
}

impl<F: Future<Output = Response<ResponseBody>>> Future for Caught<F> {
    type Output = Response<ResponseBody>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let walk = self.project().walk;
        catch_unwind(AssertUnwindSafe(|| walk.poll(cx)))
            .unwrap_or_else(|_told_by_the_hook| Poll::Ready(respond::problem(&Error::Internal)))
    }
}

/// Marks the values that never show in a log: in one pass over all of them.
fn hide(headers: &mut HeaderMap) {
    for (name, value) in headers.iter_mut() {
        if SECRETS.contains(name) {
            value.set_sensitive(true);
        }
    }
}

/// Headers whose values never show in a log.
static SECRETS: [HeaderName; 5] = [
    AUTHORIZATION,
    COOKIE,
    HeaderName::from_static("x-api-key"),
    HeaderName::from_static("x-amz-security-token"),
    HeaderName::from_static("idempotency-key"),
];
