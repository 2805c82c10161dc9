//! Names, looked up by our own resolver at a name server that says what the test wants.

use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use redrive::dns::{Resolver, Unresolved};
use tower::Service;

use crate::answers::ok;
use crate::support::{Client, NameServer, Sidecar, Upstream, in_time};

#[tokio::test]
async fn requests_get_to_the_address_of_the_upstreams_name() {
    let upstream = Upstream::answering([ok()]).await;
    let names = NameServer::new("").await;
    names.set("api.redrive.test", &["127.0.0.1"], 60);
    let sidecar = before(&named("api.redrive.test", upstream.addr), &names).await;

    assert_eq!(Client::get(sidecar.addr, "/").await.status, 200);

    assert_eq!(upstream.count(), 1);
}

#[tokio::test]
async fn a_name_that_does_not_exist_is_an_attempt_that_was_not_sent() {
    let names = NameServer::new("").await;
    let sidecar = before("http://nowhere.redrive.test", &names).await;

    let answer = Client::get(sidecar.addr, "/").await;

    assert_eq!(answer.status, 502, "{}", answer.head);
    assert_eq!(answer.header("redrive-ran"), Some("no"));
    let body = String::from_utf8(answer.body).unwrap();
    assert!(body.contains("its name does not resolve"), "{body}");
    let unsent = [r#"class="unsent""#];
    let attempts = sidecar.total("redrive_attempts_total", &unsent).await;
    assert!(attempts >= 1.0);
    let why = why(&names.resolver(), "nowhere.redrive.test").await;
    assert!(why.contains("no such name (NXDOMAIN)"), "{why}");
}

#[tokio::test]
async fn a_changed_record_is_followed_once_its_time_is_over() {
    let names = NameServer::new("").await;
    names.set("api.redrive.test", &["127.0.0.1"], 1);
    let resolver = names.resolver();

    follows(&names, &resolver).await;
}

#[tokio::test]
async fn a_changed_record_is_followed_at_the_limit_however_long_it_was_to_be_kept() {
    let mut names = NameServer::new("").await;
    names.params.kept_max = Duration::from_secs(1);
    names.set("api.redrive.test", &["127.0.0.1"], 86_400);
    let resolver = names.resolver();

    follows(&names, &resolver).await;
}

/// The record is kept for a while, and changed meanwhile.
async fn follows(names: &NameServer, resolver: &Resolver) {
    assert_eq!(found(resolver, "api.redrive.test").await, ["127.0.0.1"]);
    names.set("api.redrive.test", &["127.0.0.2"], 86_400);

    let changed = async {
        let mut lookups = 1;
        while found(resolver, "api.redrive.test").await != ["127.0.0.2"] {
            lookups += 1;
            tokio::task::yield_now().await;
        }
        lookups
    };
    let lookups = in_time("following", changed).await;

    // The first, and the one that found the change; whatever was between was answered by what was kept.
    assert_eq!(names.asked(), ["api.redrive.test"; 2]);
    assert!(lookups > 1, "it was not kept at all");
}

#[tokio::test]
async fn a_short_name_is_searched_in_the_domains_of_the_system() {
    let names = NameServer::new("search first.test second.test").await;
    names.set("api.second.test", &["127.0.0.1"], 60);

    assert_eq!(found(&names.resolver(), "api").await, ["127.0.0.1"]);

    assert_eq!(names.asked(), ["api.first.test", "api.second.test"]);
}

#[tokio::test]
async fn ndots_says_which_names_are_searched_first() {
    let names = NameServer::new("search first.test\noptions ndots:2").await;
    names.set("api.shop", &["127.0.0.1"], 60);
    names.set("api.shop.eu", &["127.0.0.2"], 60);
    let resolver = names.resolver();

    assert_eq!(found(&resolver, "api.shop").await, ["127.0.0.1"]);
    assert_eq!(found(&resolver, "api.shop.eu").await, ["127.0.0.2"]);
    assert_eq!(found(&resolver, "api.shop.").await, ["127.0.0.1"]);

    // The last one was whole already, and kept.
    let asked = ["api.shop.first.test", "api.shop", "api.shop.eu"];
    assert_eq!(names.asked(), asked);
}

#[tokio::test]
async fn addresses_of_both_families_are_found_and_the_one_to_prefer_is_the_first() {
    let names = NameServer::new("").await;
    names.set("api.redrive.test", &["127.0.0.1", "::1"], 60);
    names.set("six.redrive.test", &["::1"], 60);
    let resolver = names.resolver();

    // A machine without IPv6 has no way to ::1, and it goes last there.
    let six = std::net::UdpSocket::bind("[::1]:0").is_ok();
    let expected = if six {
        ["::1", "127.0.0.1"]
    } else {
        ["127.0.0.1", "::1"]
    };
    assert_eq!(found(&resolver, "api.redrive.test").await, expected);
    assert_eq!(found(&resolver, "six.redrive.test").await, ["::1"]);
}

#[tokio::test]
async fn a_name_of_the_hosts_file_is_asked_of_nobody() {
    let names = NameServer::new("search first.test").await;
    fs::write(&names.params.hosts, "127.0.0.3 Api api.local\n").unwrap();
    let resolver = names.resolver();

    assert_eq!(found(&resolver, "api").await, ["127.0.0.3"]);
    assert_eq!(found(&resolver, "API.local").await, ["127.0.0.3"]);

    assert!(names.asked().is_empty());
}

#[tokio::test]
async fn without_a_name_server_names_fail_and_say_why_until_there_is_one() {
    let upstream = Upstream::answering([ok()]).await;
    let names = NameServer::new("").await;
    names.set("api.redrive.test", &["127.0.0.1"], 60);
    let text = fs::read(&names.params.resolv_conf).unwrap();
    fs::remove_file(&names.params.resolv_conf).unwrap();
    let resolver = names.resolver();
    let missing = why(&resolver, "api.redrive.test").await;
    fs::write(&names.params.resolv_conf, "# nothing yet\n").unwrap();
    let empty = why(&resolver, "api.redrive.test").await;

    let local = found(&resolver, "localhost").await;
    let by_address = format!("http://{}", upstream.addr);
    let by_address = Sidecar::resolving(&toml(&by_address), &[], resolver.clone()).await;
    let by_localhost = named("localhost", upstream.addr);
    let by_localhost = Sidecar::resolving(&toml(&by_localhost), &[], resolver.clone()).await;

    assert!(
        missing.contains("resolv.conf\" cannot be read"),
        "{missing}"
    );
    assert!(empty.contains("resolv.conf\" is of no use"), "{empty}");
    assert!(empty.contains("no nameservers found"), "{empty}");
    assert!(local.contains(&"127.0.0.1".to_owned()), "{local:?}");
    assert_eq!(Client::get(by_address.addr, "/").await.status, 200);
    assert_eq!(Client::get(by_localhost.addr, "/").await.status, 200);
    fs::write(&names.params.resolv_conf, text).unwrap();
    assert_eq!(found(&resolver, "api.redrive.test").await, ["127.0.0.1"]);
}

#[tokio::test]
async fn a_name_server_that_is_silent_is_named_as_the_fault() {
    let names = NameServer::new("options timeout:1 attempts:1").await;
    names.fall_silent();
    let sidecar = before("http://api.redrive.test", &names).await;

    let answer = Client::get(sidecar.addr, "/").await;

    let body = String::from_utf8(answer.body.clone()).unwrap();
    assert!(body.contains("its name does not resolve"), "{body}");
    assert_eq!(answer.header("redrive-ran"), Some("no"));
    let why = why(&names.resolver(), "api.redrive.test").await;
    assert!(why.contains("no name server answered in time"), "{why}");
}

/// redrive before an upstream whose name these know. One attempt, so that a test waits for one lookup.
async fn before(upstream: &str, names: &NameServer) -> Sidecar {
    Sidecar::resolving(&toml(upstream), &[], names.resolver()).await
}

fn toml(upstream: &str) -> String {
    format!("upstream = \"{upstream}\"\n[retry]\nmax_attempts = {{ other = 1 }}\n")
}

fn named(name: &str, addr: SocketAddr) -> String {
    format!("http://{name}:{}", addr.port())
}

/// A name's addresses, in order.
async fn found(resolver: &Resolver, name: &str) -> Vec<String> {
    let addresses = look_up(resolver, name).await.unwrap();
    addresses.iter().map(IpAddr::to_string).collect()
}

/// Why a name has none, with every cause.
async fn why(resolver: &Resolver, name: &str) -> String {
    let unresolved = look_up(resolver, name).await.unwrap_err();
    let mut text = unresolved.to_string();
    let mut cause = std::error::Error::source(&unresolved);
    while let Some(error) = cause {
        text += &format!(": {error}");
        cause = error.source();
    }
    text
}

/// As the connector asks.
async fn look_up(resolver: &Resolver, name: &str) -> Result<Vec<IpAddr>, Unresolved> {
    let asked = resolver.clone().call(name.parse().unwrap());
    let found = in_time("looking up", asked).await?;
    Ok(found.map(|address| address.ip()).collect())
}
