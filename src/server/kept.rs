//! A client's connection that is kept alive, by hyper only while it carries something.
//!
//! hyper has 16 KiB of buffers and some KiB of state for a connection of HTTP/1 as long as it lasts, and most connections carry
//! nothing most of the time. So hyper gets the stream when bytes come, and is dropped when it has asked for more, none are there,
//! every request has had its whole answer, and no byte has come behind it: then it holds nothing that would be lost. That
//! is seen from below hyper, see [`Watched::is_at_rest`](super::watch::Watched::is_at_rest).
//!
//! To be made again costs hyper 4,000 instructions a request. So it keeps the connections of clients whose requests follow one
//! another closely, as long as they do; of those at once there is a limit, [`WARM_MAX`]. An idle client takes 2.8 KB, without TLS, and 18.4 KB
//! with hyper.
//!
//! A connection of HTTP/2 stays with hyper, which has windows and tables of it.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use hyper::body::{Body, Incoming};
use hyper::rt::bounds::Http2ServerConnExec;
use hyper::server::conn::{http1, http2};
use hyper::service::HttpService;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::BoxError;
use super::activity::Activity;
use super::connection::Stream;
use super::lent::{Home, Lent};
use super::terms::Manner;
use crate::tcp::SharedTcp;

/// Carries requests to `service` until the connection ends.
pub(super) struct Kept<'a, S: HttpService<Incoming>> {
    stage: Stage<S>,
    home: Arc<Home>,
    tcp: SharedTcp,
    manner: &'a Manner,
    service: S,
    activity: Arc<Activity>,
    warm: Warm,
    /// Of those that hyper keeps.
    place: Option<OwnedSemaphorePermit>,
    /// Whether nothing begins any more.
    is_ending: bool,
}

/// Places for connections that hyper keeps between two requests.
pub(super) type Warm = Arc<Semaphore>;

/// Who has the stream.
enum Stage<S: HttpService<Incoming>> {
    /// Nobody: it speaks HTTP/1, and nothing is on its way.
    AtRest(Box<Stream>),
    /// Nobody yet: its first bytes show who is to have it.
    Unknown(Lent),
    Http1(Pin<Box<Http1<S>>>),
    Http2(Pin<Box<Http2<S>>>),
    /// Nobody any more.
    Over,
}

type Http1<S> = http1::UpgradeableConnection<TokioIo<Lent>, S>;
type Http2<S> = http2::Connection<TokioIo<Lent>, S, TokioExecutor>;

impl<'a, S, B> Kept<'a, S>
where
    S: HttpService<Incoming, ResBody = B> + Clone,
    S::Error: Into<BoxError>,
    S::Future: 'static,
    B: Body + 'static,
    B::Error: Into<BoxError>,
    TokioExecutor: Http2ServerConnExec<S::Future, B>,
{
    /// A fresh connection; `tcp` is what the stream comes from.
    pub(super) fn new(
        stream: Box<Stream>,
        tcp: SharedTcp,
        manner: &'a Manner,
        service: S,
        activity: Arc<Activity>,
        warm: Warm,
    ) -> Self {
        let home = Arc::<Home>::default();
        Self {
            // Not at rest: a handshake may have taken in the first request.
            stage: Stage::Unknown(home.lend(stream)),
            home,
            tcp,
            manner,
            service,
            activity,
            warm,
            place: None,
            is_ending: false,
        }
    }

    /// Ends the connection when it has carried what it carries; it is to be polled until then.
    pub(super) fn graceful_shutdown(&mut self) {
        self.is_ending = true;
        self.wake_up();
        match &mut self.stage {
            Stage::Http1(connection) => connection.as_mut().graceful_shutdown(),
            Stage::Http2(connection) => connection.as_mut().graceful_shutdown(),
            // Who has said nothing so far has nothing to lose.
            Stage::AtRest(_) | Stage::Unknown(_) | Stage::Over => self.stage = Stage::Over,
        }
    }

    fn is_at_rest(&self) -> bool {
        matches!(self.stage, Stage::Http1(_)) && self.home.is_at_rest() && !self.is_ending
    }

    /// Whether hyper keeps the stream although it carries nothing.
    fn stays_warm(&mut self) -> bool {
        if !self.activity.is_busy() {
            return false;
        }
        if self.place.is_none() {
            self.place = Arc::clone(&self.warm).try_acquire_owned().ok();
        }
        self.place.is_some()
    }

    /// Lends the stream, if nobody has it.
    fn wake_up(&mut self) {
        self.stage = match std::mem::replace(&mut self.stage, Stage::Over) {
            Stage::AtRest(stream) => self.http1(self.home.lend(stream)),
            stage => stage,
        };
    }

    fn http1(&self, stream: Lent) -> Stage<S> {
        let builder = &self.manner.http1;
        let connection = builder.serve_connection(TokioIo::new(stream), self.service.clone());
        Stage::Http1(Box::pin(connection.with_upgrades()))
    }

    fn http2(&self, stream: Lent) -> Stage<S> {
        let builder = &self.manner.http2;
        let connection = builder.serve_connection(TokioIo::new(stream), self.service.clone());
        Stage::Http2(Box::pin(connection))
    }

    /// It is known which HTTP the client speaks.
    fn begin(&mut self, is_http2: bool) {
        self.stage = match std::mem::replace(&mut self.stage, Stage::Over) {
            Stage::Unknown(stream) if is_http2 => self.http2(stream),
            Stage::Unknown(stream) => self.http1(stream),
            stage => stage,
        };
    }

    /// Takes the stream from hyper if it carries nothing.
    pub(super) fn rest(&mut self) {
        if !self.is_at_rest() {
            return;
        }
        self.place = None;
        self.stage = Stage::Over; // drops hyper, and so brings the stream home
        if let Some(stream) = self.home.take() {
            self.stage = Stage::AtRest(stream);
        }
    }
}

impl<S: HttpService<Incoming>> Unpin for Kept<'_, S> {}

impl<S, B> Future for Kept<'_, S>
where
    S: HttpService<Incoming, ResBody = B> + Clone,
    S::Error: Into<BoxError>,
    S::Future: 'static,
    B: Body + 'static,
    B::Error: Into<BoxError>,
    TokioExecutor: Http2ServerConnExec<S::Future, B>,
{
    type Output = Result<(), BoxError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        loop {
            match &mut self.stage {
                Stage::AtRest(_) => {
                    ready!(self.tcp.poll_readable(cx))?;
                    self.wake_up();
                }
                Stage::Unknown(stream) => {
                    let is_http2 = ready!(stream.poll_is_http2(cx))?;
                    self.begin(is_http2);
                }
                Stage::Http1(connection) => match connection.as_mut().poll(cx) {
                    Poll::Ready(done) => return Poll::Ready(done.map_err(Into::into)),
                    // Around once more, to wait for the next bytes.
                    Poll::Pending if self.is_at_rest() && !self.stays_warm() => self.rest(),
                    Poll::Pending => return Poll::Pending,
                },
                Stage::Http2(connection) => {
                    return connection.as_mut().poll(cx).map_err(Into::into);
                }
                Stage::Over => return Poll::Ready(Ok(())),
            }
        }
    }
}

/// Connections that hyper keeps between two requests of a busy client; one more is taken from it all the same. With 16 KiB each they
/// take no more memory than a few hundred that are in use.
pub(super) const WARM_MAX: usize = 256;

#[cfg(test)]
mod tests {
    use std::future::{Ready, ready};
    use std::net::Ipv4Addr;

    use bytes::Bytes;
    use http::{Request, Response};
    use http_body_util::Full;
    use prometheus::IntGauge;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};

    use super::super::connection::{Places, Transport};
    use super::super::counted::Counted;
    use super::super::terms::Terms;
    use super::super::watch::Watched;
    use super::super::{Params, Upload};
    use super::*;

    type Answers = Counted<fn(Request<Upload>) -> Ready<Response<Full<Bytes>>>>;

    const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";

    fn manner() -> Arc<Manner> {
        let terms = Terms::new(&Params::of_tests());
        terms.now()
    }

    /// A client and its connection, with so many places to stay warm in. Every request is answered at once.
    async fn connected(manner: &Manner, places: usize) -> (TcpStream, Kept<'_, Answers>) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await;
        let tcp = SharedTcp::new(listener.accept().await.unwrap().0);
        let activity = Arc::new(Activity::new());
        let gauge = IntGauge::new("open", "Open.").unwrap();
        let place = Places::new(&gauge).take(1).unwrap();
        let shared = Arc::clone(&activity);
        let io: Box<dyn Transport> = Box::new(tcp.clone());
        let stream = Watched::new(io, None, shared, Arc::new(|| {}), 32 << 10, place);
        let answer = |_| ready(Response::new(Full::new(Bytes::from_static(b"answer"))));
        let service = Counted::new(answer as fn(_) -> _, Arc::clone(&activity));
        let warm = Arc::new(Semaphore::new(places));
        let kept = Kept::new(Box::new(stream), tcp, manner, service, activity, warm);
        (client.unwrap(), kept)
    }

    /// Says this, and reads so many answers.
    async fn ask(
        client: &mut TcpStream,
        kept: &mut Kept<'_, Answers>,
        bytes: &[u8],
        answers: usize,
    ) {
        let asked = async {
            client.write_all(bytes).await.unwrap();
            let mut read = Vec::new();
            while read.windows(6).filter(|it| it == b"answer").count() < answers {
                assert_ne!(
                    client.read_buf(&mut read).await.unwrap(),
                    0,
                    "{}",
                    read.escape_ascii()
                );
            }
        };
        tokio::select! {
            biased;
            done = kept => panic!("it has ended: {done:?}"),
            () = asked => {}
        }
    }

    fn is_at_rest(kept: &Kept<'_, Answers>) -> bool {
        matches!(kept.stage, Stage::AtRest(_))
    }

    #[tokio::test]
    async fn hyper_has_a_connection_only_while_it_carries_something() {
        let manner = manner();
        let (mut client, mut kept) = connected(&manner, 0).await;

        for bytes in [GET.to_vec(), GET.to_vec(), GET.repeat(3)] {
            ask(&mut client, &mut kept, &bytes, bytes.len() / GET.len()).await;

            assert!(is_at_rest(&kept));
        }
    }

    #[tokio::test]
    async fn a_byte_of_the_next_request_keeps_it() {
        for begun in [GET[..5].to_vec(), b"\r".to_vec(), b"\r\n".to_vec()] {
            let manner = manner();
            let (mut client, mut kept) = connected(&manner, 0).await;

            ask(&mut client, &mut kept, &[GET, &begun].concat(), 1).await;

            assert!(!is_at_rest(&kept), "{}", begun.escape_ascii());
        }
    }

    #[tokio::test]
    async fn a_busy_client_keeps_it_where_there_is_a_place_until_it_has_calmed_down() {
        let manner = manner();
        let (mut client, mut kept) = connected(&manner, 1).await;
        ask(&mut client, &mut kept, GET, 1).await;
        let after_one = is_at_rest(&kept);

        ask(&mut client, &mut kept, GET, 1).await;
        let after_two = (is_at_rest(&kept), kept.warm.available_permits());
        kept.rest();
        let calmed = (is_at_rest(&kept), kept.warm.available_permits());
        ask(&mut client, &mut kept, GET, 1).await;

        assert!(after_one);
        assert_eq!(after_two, (false, 0));
        assert_eq!(calmed, (true, 1));
    }

    #[tokio::test]
    async fn a_client_that_leaves_ends_it_at_rest_too() {
        let manner = manner();
        let (mut client, mut kept) = connected(&manner, 0).await;
        ask(&mut client, &mut kept, GET, 1).await;

        drop(client);

        kept.await.unwrap();
    }

    #[tokio::test]
    async fn a_shutdown_closes_it_at_rest_too() {
        let manner = manner();
        let (mut client, mut kept) = connected(&manner, 0).await;
        ask(&mut client, &mut kept, GET, 1).await;

        kept.graceful_shutdown();
        (&mut kept).await.unwrap();

        assert_eq!(client.read(&mut [0]).await.unwrap(), 0);
    }
}
