//! The battery: raw bytes in, raw bytes out, one case after the other from files that can be read.
//!
//! `requests.txt` holds what clients may send and what the upstream then sees, to the byte; `answers.txt` holds what an
//! upstream may answer and what becomes of the client's connection and the pool. Both say at their top how a case is
//! written; [`script`] reads them. Every case has a redrive and an upstream of its own, so that whatever is counted is the
//! case's. What can be forwarded is sent a second time with every first attempt throttled by the gateway, so that the
//! second attempt's bytes can be compared with the first's.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on says so and where"
)]

#[path = "../e2e/support/mod.rs"]
#[expect(dead_code, unused_imports, reason = "shared with the end-to-end tests")]
mod support;

/// One test a group, so that they run beside one another and the name tells where to look. The module has `CASES`, at least
/// `CASES_MIN` of them, `cases` of a group, and `run` for one.
macro_rules! groups {
    ($($name:ident: $group:literal,)*) => {
        $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() {
            run_all($group, cases($group), |case| async {
                in_time("a case", run(case)).await;
            })
            .await;
        })*

        #[test]
        fn every_group_is_run() {
            let known = [$($group),*];
            let written = script::read(CASES);

            let unknown = written.iter().find(|case| !known.contains(&case.group.as_str()));

            assert!(unknown.is_none(), "{unknown:?}");
            assert!(written.len() >= CASES_MIN, "only {} cases", written.len());
        }
    };
}

mod answers;
mod mutants;
mod origin;
mod requests;
mod script;

use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// Runs every case of a group, a few at a time, and tells all that failed at once.
pub(crate) async fn run_all<C, F>(group: &str, cases: Vec<C>, run: fn(C) -> F)
where
    F: Future<Output = ()> + Send + 'static,
    C: Named + Send + 'static,
{
    assert!(!cases.is_empty(), "no case in group {group:?}");
    let slots = Arc::new(Semaphore::new(AT_ONCE));
    let mut running = JoinSet::new();
    for case in cases {
        let slots = Arc::clone(&slots);
        let name = case.name();
        running.spawn(async move {
            let _slot = slots.acquire().await.unwrap();
            // In a task of its own, so that its panic is its own, too.
            let mut alone = JoinSet::new();
            alone.spawn(run(case));
            let outcome = alone.join_next().await.unwrap();
            outcome.err().map(|error| format!("{name}: {error}"))
        });
    }
    let failed: Vec<String> = running.join_all().await.into_iter().flatten().collect();
    assert!(
        failed.is_empty(),
        "in group {group:?}:\n{}",
        failed.join("\n")
    );
}

/// What can be told by a name.
pub(crate) trait Named {
    /// Its name.
    fn name(&self) -> String;
}

/// Enough to keep two cores busy.
const AT_ONCE: usize = 4;
