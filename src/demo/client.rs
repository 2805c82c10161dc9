//! A client that cannot retry: one connection, one request, one answer, good or bad.
//!
//! Plain HTTP/1.1 without a pool, as scripts and devices do it. At most so many connections are open at once; a request
//! that finds none free waits for one, and that wait counts as its own. A closed connection keeps its port for a minute:
//! at the demo's rate 7,200 of the kernel's usual 28,000, however long the demo stays.
//!
//! Dropping [`Client::send`] closes its connection.

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_TYPE, HOST};
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;

use super::schedule::Arrival;
use super::tally::{Exchange, Failure};
use crate::clock;

/// Clients of one server.
#[derive(Clone, Debug)]
pub(super) struct Client {
    server: SocketAddr,
    slots: Arc<Semaphore>,
}

impl Client {
    /// Clients that have at most `connections_max` connections open together.
    pub(super) fn new(server: SocketAddr, connections_max: usize) -> Self {
        Self {
            server,
            slots: Arc::new(Semaphore::new(connections_max)),
        }
    }

    /// Sends a request that was due at `due`, and waits for its answer until [`PATIENCE`] after that.
    pub(super) async fn send(&self, arrival: Arrival, due: Instant) -> Exchange {
        let asked = tokio::time::timeout_at((due + PATIENCE).into(), self.ask(arrival)).await;
        let outcome = match asked {
            Ok(Ok(status)) if status.is_success() => Ok(()),
            Ok(Ok(status)) => Err(Failure::Status(status.as_u16())),
            Ok(Err(Broken)) => Err(Failure::Broken),
            Err(_) => Err(Failure::TooLate),
        };
        Exchange {
            outcome,
            waited: clock::now().saturating_duration_since(due),
        }
    }

    async fn ask(&self, arrival: Arrival) -> Result<StatusCode, Broken> {
        let _slot = self.slots.acquire().await?;
        let stream = TcpStream::connect(self.server).await?;
        stream.set_nodelay(true)?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let mut exchange = pin!(async {
            let answer = sender.send_request(self.request(arrival)?).await?;
            let status = answer.status();
            // An answer counts once it is there as a whole.
            Limited::new(answer.into_body(), ANSWER_BYTES_MAX)
                .collect()
                .await
                .map_err(|_| Broken)?;
            Ok(status)
        });
        tokio::select! {
            biased;
            status = &mut exchange => status,
            // The connection may end before the exchange has looked at what came.
            _ = connection => exchange.await,
        }
    }

    fn request(&self, arrival: Arrival) -> Result<Request<Full<Bytes>>, http::Error> {
        let number = arrival.number;
        let request = Request::builder()
            .header(HOST, self.server.to_string())
            .header(CONNECTION, "close");
        if arrival.is_post {
            let order = serde_json::json!({ "order": number, "quantity": 1 });
            request
                .method("POST")
                .uri("/orders")
                .header(CONTENT_TYPE, "application/json")
                .body(Full::from(order.to_string()))
        } else {
            request
                .uri(format!("/orders/{number}"))
                .body(Full::default())
        }
    }
}

/// There was no whole answer. Which of the many ways it was makes no difference to a count.
struct Broken;

impl<E: std::error::Error> From<E> for Broken {
    fn from(_: E) -> Self {
        Self
    }
}

/// How long a client waits for its answer: longer than redrive's own limit of 30 s, so that redrive has the last word.
pub(super) const PATIENCE: Duration = Duration::from_secs(35);
/// Far more than the gateway's answers have.
const ANSWER_BYTES_MAX: usize = 64 * 1024;
