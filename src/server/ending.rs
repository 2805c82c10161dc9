//! How a connection of a client ends if it does not end by itself, and how all of them do when redrive does: told first, closed
//! later.

use std::pin::Pin;

use tokio_util::sync::CancellationToken;

use super::Params;
use super::activity::{Activity, Overdue};
use super::aside::{First, beside};
use crate::tcp::SharedTcp;

/// The two steps in which the server ends.
#[derive(Clone, Debug, Default)]
pub struct Ending {
    /// Whoever can be told to go elsewhere is told. Everybody is served, also who comes just then.
    pub drain: CancellationToken,
    /// What is carried is finished, and nothing else begins.
    pub stop: CancellationToken,
}

/// Why a connection is not simply carried on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    /// The server is about to end.
    Drain,
    /// The server ends.
    Stop,
    /// The client keeps it waiting.
    Overdue(Overdue),
    /// The client has left its request.
    HungUp,
}

/// Serves until it is done, or the server is dropped.
pub(super) async fn or_cut_off(
    dropped: CancellationToken,
    mut serve: impl Future<Output = ()> + Unpin,
) {
    match beside(Pin::new(&mut serve), dropped.cancelled()).await {
        First::Busy(()) | First::Aside(()) => {}
    }
}

/// Which of the two steps a connection has taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Told {
    of_drain: bool,
    pub(super) of_stop: bool,
}

impl Told {
    /// It has taken this one.
    pub(super) fn note(&mut self, why: Why) {
        self.of_drain = true;
        self.of_stop |= why == Why::Stop;
    }
}

impl Ending {
    /// Waits for a reason not to carry a connection on, which it was not told yet. What is carried to its end may still be left by
    /// its client.
    pub(super) async fn or_end(
        &self,
        activity: &Activity,
        tcp: &SharedTcp,
        params: &Params,
        told: Told,
    ) -> Why {
        let why = tokio::select! {
            why = activity.overdue(params) => Why::Overdue(why),
            () = activity.abandoned(tcp), if !params.half_close => Why::HungUp,
            () = self.drain.cancelled(), if !told.of_drain => return Why::Drain,
            () = self.stop.cancelled(), if !told.of_stop => return Why::Stop,
        };
        tracing::debug!(?why, "client connection closed");
        if why == Why::Overdue(Overdue::Deaf) {
            tcp.reset_at_close();
        }
        why
    }
}

#[cfg(test)]
mod tests {
    use std::pin::Pin;
    use std::sync::Arc;
    use std::time::Duration;

    use bytes::Bytes;
    use http::{Request, Response};
    use http_body_util::Full;
    use prometheus::Registry;
    use tokio::io::AsyncWriteExt;
    use tokio::net::TcpStream;
    use tokio::sync::Notify;
    use tokio::task::JoinSet;

    use super::super::{Server, Upload};
    use super::*;

    /// Far more than noticing takes.
    const PATIENCE: Duration = Duration::from_secs(10);

    type Answer = Pin<Box<dyn Future<Output = Response<Full<Bytes>>> + Send>>;

    /// Tells when it is dropped.
    struct Told(Arc<Notify>);

    impl Drop for Told {
        fn drop(&mut self) {
            self.0.notify_one();
        }
    }

    #[tokio::test]
    async fn a_client_that_leaves_its_request_behind_a_stop_is_noticed_as_well() {
        let registry = Registry::new();
        let server = Server::bind(Params::of_tests(), None, &registry)
            .await
            .unwrap();
        let address = server.local_addr().unwrap();
        let (came, left) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let tell = (Arc::clone(&came), Arc::clone(&left));
        let ending = Ending::default();
        let stop = ending.stop.clone();
        let never_answers = move |_| {
            let (came, left) = tell.clone();
            move |_: Request<Upload>| -> Answer {
                let told = Told(Arc::clone(&left));
                came.notify_one();
                Box::pin(async move {
                    let _told = told;
                    std::future::pending().await
                })
            }
        };
        let mut running = JoinSet::new();
        running.spawn(server.run(never_answers, || {}, ending));
        let mut client = TcpStream::connect(address).await.unwrap();
        let request = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
        client.write_all(request).await.unwrap();
        came.notified().await;

        stop.cancel();
        for _ in 0..10 {
            tokio::task::yield_now().await; // there is one thread, so that everybody hears of it
        }
        drop(client);

        let noticed = tokio::time::timeout(PATIENCE, left.notified()).await;
        assert!(noticed.is_ok(), "nobody noticed");
    }
}
