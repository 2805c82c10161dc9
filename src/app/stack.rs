//! What stands around the walk of every request, and is not ours to write.

use std::convert::Infallible;
use std::net::IpAddr;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, Request, Response};
use http_body::Body;
use tower::{Service, ServiceBuilder, service_fn};
use tower_http::catch_panic::CatchPanicLayer;

use crate::proxy::body::{BoxError, ResponseBody};
use crate::proxy::error::Error;
use crate::proxy::{Current, respond};

/// The layers around the walk: what is not ours to write. A panic is a bug; it costs its own request only.
pub(super) fn stack<B>(
    current: Current,
    client: IpAddr,
) -> impl Service<
    Request<B>,
    Response = Response<impl Body<Data = Bytes, Error: Into<BoxError>> + Send + Unpin + 'static>,
    Error = Infallible,
    Future: Send,
> + Clone
+ Send
+ 'static
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    ServiceBuilder::new()
        .layer(CatchPanicLayer::custom(|_| -> Response<ResponseBody> {
            respond::problem(&Error::Internal)
        }))
        .service(service_fn(move |mut request: Request<B>| {
            hide(request.headers_mut());
            // A request ends on the path that it begins on, whatever is reloaded meanwhile.
            let proxy = current.load_full();
            // Boxed here, where it is made: every layer around it would move all of its bytes once or twice (13,000 instructions).
            Box::pin(proxy.serve(request, client))
        }))
}

/// Marks the values that never show in a log: in one pass, where tower-http's layer looks each name up.
fn hide(headers: &mut HeaderMap) {
    for (name, value) in headers.iter_mut() {
        if is_secret(name) {
            value.set_sensitive(true);
        }
    }
}

/// Whether a header's value never shows in a log.
fn is_secret(name: &HeaderName) -> bool {
    matches!(
        name.as_str(),
        "authorization" | "cookie" | "idempotency-key" | "x-amz-security-token" | "x-api-key"
    )
}
