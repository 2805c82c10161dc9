//! One request after the other through the whole of redrive, over sockets, in one thread.

use std::collections::BTreeMap;
use std::env;
use std::net::SocketAddr;
use std::path::Path;

use redrive::app::App;
use redrive::config::{Config, Flags, Sources};
use redrive::dns::Resolver;

use super::Fault;
use super::load::Client;
use super::origin::Origin;
use super::scenario::Scenario;

/// GET, and 64 bytes back.
pub(crate) fn request(times: u32) -> Result<(), Fault> {
    through("plain", times)
}

/// POST of 20 KB, and 64 bytes back.
pub(crate) fn post(times: u32) -> Result<(), Fault> {
    through("post", times)
}

fn through(scenario: &str, times: u32) -> Result<(), Fault> {
    // Before any TLS is built, as the process does.
    rustls::crypto::aws_lc_rs::default_provider()
        .install_default()
        .map_err(|_| "a TLS provider is installed already")?;
    let mut scenarios = Scenario::ALL.iter();
    let scenario = scenarios
        .find(|it| it.name == scenario)
        .ok_or("no such scenario")?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let origin = Origin::start(scenario, &env::temp_dir()).await?;
        let app = App::build(&config(origin.addr)?, Resolver::of_system()).await?;
        let addr = app.client_addr().ok_or("it does not listen")?;
        let asked = async {
            let mut client = Client::open(addr).await?;
            let request = scenario.request();
            for _ in 0..times {
                client.ask(&request).await?;
            }
            Ok(())
        };
        tokio::select! {
            asked = asked => asked,
            () = app.run(std::future::pending()) => Err("it ended".into()),
        }
    })
}

/// redrive on its defaults, on free ports, before this upstream.
pub(crate) fn config(upstream: SocketAddr) -> Result<Config, Fault> {
    let variables = [
        ("REDRIVE_UPSTREAM", format!("http://{upstream}")),
        ("REDRIVE_LISTEN", "127.0.0.1:0".to_owned()),
        ("REDRIVE_ADMIN", "127.0.0.1:0".to_owned()),
    ];
    let env: BTreeMap<_, _> = variables.map(|(name, value)| (name.into(), value)).into();
    let loaded = Config::load(&Sources {
        flags: Flags::default(),
        env,
        read: &|path: &Path| std::fs::read_to_string(path),
    });
    Ok(loaded?.config)
}
