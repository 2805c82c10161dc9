//! Credentials under virtual time, from a chain that is scripted.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::time::{advance, sleep};

use super::*;

/// Credentials of this number that expire so much later than now by the wall clock.
fn credentials(number: usize, lives: Option<Duration>) -> Credentials {
    let expiry = lives.map(|lives| clock::wall() + lives);
    Credentials::new(format!("AKID{number}"), "secret", None, expiry, "test")
}

/// A keeper whose n-th fetch, counted from 0, is as `script` says, and how many there were.
fn keeper(
    script: impl Fn(usize) -> Option<Credentials> + Send + Sync + 'static,
) -> (Keeper, Arc<AtomicUsize>) {
    let fetches = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&fetches);
    let keeper = Keeper::start(move || {
        let found = script(counted.fetch_add(1, Ordering::Relaxed));
        async move {
            sleep(Duration::from_millis(10)).await;
            found.ok_or_else(|| io::Error::other("nobody has any"))
        }
    });
    (keeper, fetches)
}

async fn id(keeper: &Keeper) -> Option<String> {
    let by = clock::now() + Duration::from_secs(60);
    let found = keeper.credentials(by).await;
    found.map(|it| it.access_key_id().to_owned())
}

/// Lets time pass, and whoever waited for it go on to his next wait.
async fn pass(time: Duration) {
    advance(time).await;
    sleep(Duration::from_millis(100)).await;
}

const HOUR: Duration = Duration::from_secs(3600);

#[tokio::test(start_paused = true)]
async fn however_many_ask_credentials_are_fetched_once() {
    let (keeper, fetches) = keeper(|number| Some(credentials(number, Some(HOUR))));
    let keeper = Arc::new(keeper);

    let mut asking = JoinSet::new();
    for _ in 0..1000 {
        let keeper = Arc::clone(&keeper);
        asking.spawn(async move { id(&keeper).await });
    }

    for id in asking.join_all().await {
        assert_eq!(id.as_deref(), Some("AKID0"));
    }
    assert_eq!(fetches.load(Ordering::Relaxed), 1);
}

#[tokio::test(start_paused = true)]
async fn credentials_are_fetched_anew_before_they_expire() {
    let lives = Duration::from_secs(10 * 60);
    let (keeper, fetches) = keeper(move |number| Some(credentials(number, Some(lives))));

    assert_eq!(id(&keeper).await.as_deref(), Some("AKID0"));
    pass(Duration::from_secs(4 * 60)).await;
    assert_eq!(fetches.load(Ordering::Relaxed), 1);
    pass(Duration::from_secs(61)).await;

    assert_eq!(id(&keeper).await.as_deref(), Some("AKID1"));
}

#[tokio::test(start_paused = true)]
async fn a_fetch_that_fails_leaves_the_old_ones_in_use_while_they_hold() {
    let (keeper, fetches) = keeper(|number| (number == 0).then(|| credentials(0, Some(HOUR))));

    pass(Duration::ZERO).await;
    pass(LOOK_EVERY).await;

    assert_eq!(id(&keeper).await.as_deref(), Some("AKID0"));
    assert_eq!(fetches.load(Ordering::Relaxed), 2);
}

#[tokio::test(start_paused = true)]
async fn what_has_expired_is_used_by_nobody() {
    let (keeper, _) = keeper(|number| Some(credentials(number, Some(Duration::ZERO))));

    assert_eq!(id(&keeper).await, None);
}

#[tokio::test(start_paused = true)]
async fn without_credentials_nobody_waits_and_they_are_looked_for_ever_more_seldom() {
    let (keeper, fetches) = keeper(|number| (number == 3).then(|| credentials(3, None)));

    assert_eq!(id(&keeper).await, None);
    let began = clock::now();
    assert_eq!(id(&keeper).await, None);
    assert_eq!(clock::now(), began);
    // After 1 s, 2 s and 4 s, each with 10 ms for the fetch before.
    pass(Duration::from_millis(950)).await;
    assert_eq!(fetches.load(Ordering::Relaxed), 2);
    pass(Duration::from_secs(1)).await;
    assert_eq!(fetches.load(Ordering::Relaxed), 2);
    pass(Duration::from_secs(1)).await;
    assert_eq!(fetches.load(Ordering::Relaxed), 3);
    pass(Duration::from_secs(4)).await;

    assert_eq!(id(&keeper).await.as_deref(), Some("AKID3"));
}

#[tokio::test(start_paused = true)]
async fn a_fetch_that_never_ends_holds_nobody_up_for_long_and_is_given_up() {
    let fetches = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&fetches);
    let keeper = Keeper::start(move || {
        counted.fetch_add(1, Ordering::Relaxed);
        std::future::pending::<Result<Credentials, io::Error>>()
    });
    let began = clock::now();

    assert_eq!(id(&keeper).await, None);
    assert_eq!(clock::now() - began, WAIT_MAX);
    let by = clock::now() + Duration::from_millis(10);
    assert!(keeper.credentials(by).await.is_none());
    assert_eq!(clock::now(), by);
    pass(FETCH_MAX).await;
    pass(RETRY_MIN).await;

    assert_eq!(fetches.load(Ordering::Relaxed), 2);
}

#[test]
fn credentials_are_fresh_until_five_minutes_before_they_expire_or_half_of_a_short_life() {
    let now = SystemTime::UNIX_EPOCH + HOUR;
    let fresh = |lives: u64| fresh_for(Some(now + Duration::from_secs(lives)), now).as_secs();

    assert_eq!(fresh_for(None, now), LOOK_EVERY);
    assert_eq!(fresh(6 * 3600), LOOK_EVERY.as_secs());
    assert_eq!(fresh(900), 600);
    assert_eq!(fresh(600), 300);
    assert_eq!(fresh(60), 30);
    assert_eq!(fresh(1), 1);
    assert_eq!(fresh(0), 1);
    assert_eq!(fresh_for(Some(SystemTime::UNIX_EPOCH), now), RETRY_MIN);
}
