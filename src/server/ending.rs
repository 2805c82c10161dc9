//! How a connection of a client ends if it does not end by itself, and how all of them do when redrive does: told first, closed
//! later.

use tokio_util::sync::CancellationToken;

use super::Params;
use super::activity::{Activity, Overdue};
use super::aside::Aside;
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
    /// It is carried on: the client has been busy, and is no longer.
    Calmed,
}

/// Serves until it is done, or the server is dropped.
pub(super) async fn or_cut_off(
    dropped: CancellationToken,
    serve: impl Future<Output = ()> + Unpin,
) {
    tokio::select! {
        biased;
        () = Aside::new(dropped.cancelled()) => {}
        () = serve => {}
    }
}

impl Ending {
    /// Waits for a reason not to carry a connection on; for that of a drain only until it `is_told`.
    pub(super) async fn or_end(
        &self,
        activity: &Activity,
        tcp: &SharedTcp,
        params: &Params,
        is_told: bool,
    ) -> Why {
        let why = tokio::select! {
            overdue = activity.overdue(params) => match overdue {
                Some(why) => Why::Overdue(why),
                None => return Why::Calmed,
            },
            () = activity.abandoned(tcp), if !params.half_close => Why::HungUp,
            () = self.drain.cancelled(), if !is_told => return Why::Drain,
            () = self.stop.cancelled() => return Why::Stop,
        };
        tracing::debug!(?why, "client connection closed");
        if why == Why::Overdue(Overdue::Deaf) {
            tcp.reset_at_close();
        }
        why
    }
}
