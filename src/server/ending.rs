//! How connections of clients end when redrive does: told first, closed later.

use tokio_util::sync::CancellationToken;

/// The two steps in which the server ends.
#[derive(Clone, Debug, Default)]
pub struct Ending {
    /// Whoever can be told to go elsewhere is told. Everybody is served, also who comes just then.
    pub drain: CancellationToken,
    /// What is carried is finished, and nothing else begins.
    pub stop: CancellationToken,
}
