//! What stands around the walk of every request, and is not ours to write.

use std::convert::Infallible;
use std::net::IpAddr;

use bytes::Bytes;
use http::header::{AUTHORIZATION, COOKIE};
use http::{HeaderName, Request, Response};
use http_body::Body;
use http_body_util::BodyExt;
use tower::{Service, ServiceBuilder, service_fn};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::sensitive_headers::SetSensitiveRequestHeadersLayer;

use crate::proxy::body::{BoxError, ResponseBody};
use crate::proxy::error::Error;
use crate::proxy::{Current, respond};

/// The layers around the walk: what is not ours to write. A panic is a bug; it costs its own request only.
pub(super) fn stack<B>(
    current: Current,
    client: IpAddr,
) -> impl Service<Request<B>, Response = Response<ResponseBody>, Error = Infallible, Future: Send>
+ Clone
+ Send
+ 'static
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    ServiceBuilder::new()
        .map_response(|response: Response<_>| response.map(BodyExt::boxed_unsync))
        .layer(CatchPanicLayer::custom(|_| -> Response<ResponseBody> {
            respond::problem(&Error::Internal)
        }))
        .layer(SetSensitiveRequestHeadersLayer::new(SECRETS))
        .service(service_fn(move |request: Request<B>| {
            // A request ends on the path that it begins on, whatever is reloaded meanwhile.
            let proxy = current.load_full();
            async move { Ok::<_, Infallible>(proxy.serve(request, client).await) }
        }))
}

/// Headers whose values never show in a log.
const SECRETS: [HeaderName; 5] = [
    AUTHORIZATION,
    COOKIE,
    HeaderName::from_static("x-api-key"),
    HeaderName::from_static("x-amz-security-token"),
    HeaderName::from_static("idempotency-key"),
];
