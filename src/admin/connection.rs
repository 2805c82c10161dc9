//! One connection of an operator, and the task that tells its listener, if it has one.

use std::any::Any;
use std::convert::Infallible;
use std::net::IpAddr;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::channel::Channel;
use http_body_util::{Either, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::{ServiceBuilder, service_fn};
use tower_http::catch_panic::CatchPanicLayer;

use super::answer::text;
use super::events::{Left, Listener};

/// What an answer's body is: known at once, or told bit by bit.
pub(super) type AnswerBody = Either<Full<Bytes>, Channel<Bytes, Infallible>>;

/// One connection's surroundings.
#[derive(Clone)]
pub(super) struct Connection {
    /// Whose it is.
    pub(super) peer: IpAddr,
    /// Where the task of its listener runs.
    tasks: TaskTracker,
    /// Ends with the admin listener.
    end: CancellationToken,
    /// Cuts it off.
    cut: CancellationToken,
}

impl Connection {
    /// A connection of this peer; its tasks run here, and end with this.
    pub(super) fn new(peer: IpAddr, tasks: &TaskTracker, end: &CancellationToken) -> Self {
        Self {
            peer,
            tasks: tasks.clone(),
            end: end.clone(),
            cut: CancellationToken::new(),
        }
    }

    /// Answers until the other side leaves, is idle, or is too slow a listener. A panic is a bug, and costs one answer only.
    pub(super) async fn serve<I>(
        &self,
        io: I,
        answer: impl Fn(&Request<Incoming>, &Self) -> Response<AnswerBody>,
    ) where
        I: AsyncRead + AsyncWrite + Unpin,
    {
        let answer = |request| std::future::ready(Ok::<_, Infallible>(answer(&request, self)));
        let service = ServiceBuilder::new()
            .layer(CatchPanicLayer::custom(panicked))
            .service(service_fn(answer));
        let served = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(IDLE_MAX)
            .max_buf_size(BUFFER_BYTES_MAX)
            .serve_connection(TokioIo::new(io), TowerToHyperService::new(service));
        let served = tokio::select! {
            served = served => served,
            () = self.cut.cancelled() => {
                tracing::debug!("a reader of the status page was too slow");
                return;
            }
        };
        if let Err(error) = served {
            tracing::debug!(
                error = &error as &dyn std::error::Error,
                "admin connection ended"
            );
        }
    }

    /// Tells the listener of this connection from now on, until either ends; one who is too slow loses the connection, since its
    /// answer could not be ended otherwise.
    pub(super) fn tell(&self, listener: Listener) {
        let cut = self.cut.clone();
        let told = async move {
            if listener.tell().await == Left::TooSlow {
                cut.cancel();
            }
        };
        self.tasks
            .spawn(self.end.clone().run_until_cancelled_owned(told));
    }
}

fn panicked(_told_by_the_hook: Box<dyn Any + Send>) -> Response<AnswerBody> {
    text(
        StatusCode::INTERNAL_SERVER_ERROR,
        "a bug in redrive: the log says where\n",
    )
}

/// An admin connection without a request is closed after this.
const IDLE_MAX: Duration = Duration::from_secs(30);

/// What a connection may buffer: a request's head, and what a slow reader has not taken.
const BUFFER_BYTES_MAX: usize = 16 << 10;

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;
    use crate::admin::events::Events;
    use crate::clock;
    use crate::proxy::reading::Reading;

    fn nothing() -> Reading {
        Reading {
            bypass: false,
            in_flight: 0,
            waiting: 0,
            routes: Vec::new(),
            gone: Vec::new(),
            windows: Vec::new(),
            budgets: Vec::new(),
            recent: std::sync::Arc::default(),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_panic_costs_one_answer() {
        let (mut client, server) = tokio::io::duplex(4096);
        let (tasks, end) = (TaskTracker::new(), CancellationToken::new());
        let connection = Connection::new(Ipv4Addr::LOCALHOST.into(), &tasks, &end);
        let requests = b"GET /bug HTTP/1.1\r\nHost: localhost\r\n\r\n\
                         GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        client.write_all(requests).await.unwrap();

        let answer = |request: &Request<_>, _: &_| match request.uri().path() {
            "/bug" => panic!("a bug"),
            _ => text(StatusCode::OK, "fine\n"),
        };
        connection.serve(server, answer).await;

        let mut answers = String::new();
        client.read_to_string(&mut answers).await.unwrap();
        assert!(answers.starts_with("HTTP/1.1 500 "), "{answers}");
        assert!(answers.ends_with("fine\n"), "{answers}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_reader_who_takes_nothing_loses_the_connection_and_its_place() {
        let events = Events::new();
        let (mut client, server) = tokio::io::duplex(512);
        let (tasks, end) = (TaskTracker::new(), CancellationToken::new());
        let connection = Connection::new(Ipv4Addr::LOCALHOST.into(), &tasks, &end);
        let request = b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n";
        client.write_all(request).await.unwrap();
        let served = connection.serve(server, |_, connection| {
            let (listener, body) = events.listen(None).unwrap();
            connection.tell(listener);
            Response::new(Either::Right(body))
        });
        let readings = async {
            for _ in 0..60 {
                events.record(clock::now(), clock::wall(), nothing());
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        };

        tokio::select! {
            () = served => {}
            () = readings => panic!("still connected after a minute"),
        }

        tasks.close();
        tasks.wait().await;
        assert_eq!(events.places_left(), crate::admin::events::LISTENERS_MAX);
        let mut taken = Vec::new();
        client.read_to_end(&mut taken).await.unwrap();
        assert!(taken.starts_with(b"HTTP/1.1 200 OK\r\n"));
        assert!(taken.len() <= 512, "only what the pipe holds");
    }
}
