//! `redrive simulate`: the user's own configuration against given limits and load.

mod event;

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use self::event::Event;
use crate::config::{Flags, Loaded, Sources};
use crate::simulate::{
    Bursts, ColdStart, Gateway, Load, Neighbours, Params, Policy, Rate, Service,
};

/// `redrive simulate`.
#[derive(Clone, Debug, Args)]
#[command(after_help = EXAMPLE)]
pub struct SimulateArgs {
    /// Configuration file [env: REDRIVE_CONFIG]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The gateway's rate per second [default: none]
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = above_zero)]
    rate: Option<f64>,
    /// Its burst [default: half the rate]
    #[arg(long, value_name = "N", requires = "rate", value_parser = above_zero)]
    burst: Option<f64>,
    /// Its executions at once [default: no limit]
    #[arg(long, value_name = "N")]
    concurrency: Option<u32>,
    /// How long an execution takes
    #[arg(long, value_name = "TIME", default_value = "100ms", value_parser = humantime::parse_duration)]
    service_time: Duration,
    /// New environments: longer by, and a second at most
    #[arg(long, value_name = "TIME:N", value_parser = event::cold_start)]
    cold_start: Option<ColdStart>,
    /// outage@9s..50s, black-hole@9s, limits*0.5@9s
    #[arg(long = "event", value_name = "EVENT", value_parser = event::event)]
    events: Vec<Event>,
    /// The clients' requests per second
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = above_zero)]
    load: f64,
    /// So many times the load for 1 s in 10 s
    #[arg(long, value_name = "FACTOR", value_parser = above_zero)]
    bursts: Option<f64>,
    /// Sidecars that share the load evenly
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1000))]
    sidecars: u16,
    /// Senders beside them, say 2:none
    #[arg(long, value_name = "N:POLICY", value_parser = neighbours)]
    neighbours: Option<Neighbours>,
    /// How long they keep coming
    #[arg(long, value_name = "TIME", default_value = "1m", value_parser = length)]
    duration: Duration,
    /// Everything random follows from it
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Also redrive without budget and attempt limits
    #[arg(long)]
    open: bool,
    /// Draw what redrive does over time
    #[arg(long, value_name = "FILE.svg")]
    pub plot: Option<PathBuf>,
    /// Print one JSON object instead of a table
    #[arg(long)]
    pub json: bool,
}

impl SimulateArgs {
    /// The configuration whose decisions are simulated. It needs no upstream: nothing is sent anywhere.
    pub fn sources(&self) -> Sources<'static> {
        let flags = Flags {
            config: self.config.clone(),
            upstream: Some(NOWHERE.to_owned()),
            ..Flags::default()
        };
        super::sources(flags)
    }

    /// What is simulated: the default route's decisions, under these limits and this load.
    pub fn params(&self, loaded: &Loaded) -> Params {
        let routes = &loaded.config.proxy.routes;
        let route = routes.last().expect("the default route is always there");
        Params {
            gateway: Gateway {
                rate: self.rate.map(|per_second| Rate {
                    per_second,
                    burst: self.burst.unwrap_or(per_second / 2.0).max(1.0),
                }),
                concurrency: self.concurrency,
                service: Service {
                    mean: self.service_time,
                    sigma: SERVICE_SIGMA,
                },
                network: NETWORK,
                cold_start: self.cold_start,
                tells_kind: true,
                disturbances: self
                    .events
                    .iter()
                    .map(|event| event.disturbance(route.deadline.attempt))
                    .collect(),
            },
            load: Load {
                per_second: self.load,
                bursts: self.bursts.map(|factor| Bursts {
                    factor,
                    span: BURST_SPAN,
                    every: BURST_EVERY,
                }),
            },
            sidecars: usize::from(self.sidecars),
            neighbours: self.neighbours,
            policies: Policy::ALL
                .into_iter()
                .filter(|policy| self.open || *policy != Policy::RedriveOpen)
                .collect(),
            clocks_apart: CLOCKS_APART,
            deadline: route.deadline.total,
            duration: self.duration,
            warm_up: self.duration / 4,
            seed: self.seed,
            retry: route.retry.clone(),
            budget: route.budget,
            pace: route.pace,
        }
    }
}

fn above_zero(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(number) if number > 0.0 && number <= NUMBER_MAX => Ok(number),
        _ => Err(format!("expected a number above 0, at most {NUMBER_MAX}")),
    }
}

fn length(text: &str) -> Result<Duration, String> {
    match humantime::parse_duration(text) {
        Ok(length) if (LENGTH_MIN..=LENGTH_MAX).contains(&length) => Ok(length),
        _ => Err("expected a time from 4s to 1day, like \"1m\"".to_owned()),
    }
}

fn neighbours(text: &str) -> Result<Neighbours, String> {
    let words = Policy::ALL.map(Policy::as_str).join(", ");
    let expected = || format!("expected N:POLICY, with N from 1 to 1000 and POLICY one of {words}");
    let (count, word) = text.split_once(':').ok_or_else(expected)?;
    let count = count
        .parse()
        .ok()
        .filter(|count| (1..=1000).contains(count))
        .ok_or_else(expected)?;
    let policy = Policy::ALL
        .into_iter()
        .find(|policy| policy.as_str() == word)
        .ok_or_else(expected)?;
    Ok(Neighbours { count, policy })
}

/// Satisfies the configuration; nothing is ever sent there.
const NOWHERE: &str = "http://simulated.invalid";

/// The spread of execution times: the slowest hundredth takes about three times the median, as is common behind an API.
const SERVICE_SIGMA: f64 = 0.5;

/// One way through the network: the same region, with some jitter.
const NETWORK: (Duration, Duration) = (Duration::from_micros(2_500), Duration::from_millis(15));

/// How far clocks are apart that are kept by NTP without much care; the machines of one cloud are nearer to one another.
const CLOCKS_APART: Duration = Duration::from_millis(20);

/// Bursts as the documentation's figures have them.
const BURST_SPAN: Duration = Duration::from_secs(1);
const BURST_EVERY: Duration = Duration::from_secs(10);

/// What a simulation can hold in memory and finish in minutes.
const NUMBER_MAX: f64 = 100_000.0;
const LENGTH_MIN: Duration = Duration::from_secs(4);
const LENGTH_MAX: Duration = Duration::from_secs(24 * 60 * 60);

const EXAMPLE: &str = "Example: redrive simulate --rate 100 --burst 50 --load 60 --bursts 5";

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use clap::Parser;

    use super::*;
    use crate::cli::{Cli, Command};
    use crate::config::Config;

    fn parse(line: &str) -> Result<SimulateArgs, clap::Error> {
        let cli = Cli::try_parse_from(line.split(' '))?;
        let Command::Simulate(args) = cli.into_command() else {
            panic!("a simulation");
        };
        Ok(args)
    }

    fn params(line: &str, env: &[(&str, &str)]) -> Params {
        let args = parse(line).unwrap();
        let env = env
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let sources = Sources {
            env: env.collect::<BTreeMap<_, _>>(),
            ..args.sources()
        };
        args.params(&Config::load(&sources).unwrap())
    }

    #[test]
    fn limits_and_load_are_as_asked_and_the_decisions_as_configured() {
        let line = "redrive simulate --rate 100 --load 60 --sidecars 4 --neighbours 2:aws-standard";

        let params = params(line, &[("REDRIVE_RETRY__MAX_ATTEMPTS__THROTTLED", "7")]);

        let rate = params.gateway.rate.unwrap();
        assert_eq!((rate.per_second, rate.burst), (100.0, 50.0));
        assert_eq!(params.gateway.concurrency, None);
        assert_eq!((params.load.per_second, params.sidecars), (60.0, 4));
        let neighbours = params.neighbours.unwrap();
        assert_eq!(
            (neighbours.count, neighbours.policy),
            (2, Policy::AwsStandard)
        );
        assert_eq!(params.retry.max_attempts.throttled.get(), 7);
    }

    #[test]
    fn a_simulation_needs_no_upstream_and_tells_every_policy_in_table_and_json() {
        let params = params(
            "redrive simulate --rate 20 --load 15 --bursts 5 --duration 8s",
            &[],
        );

        let table = crate::simulate::told(&params, false);
        let json: serde_json::Value =
            serde_json::from_str(&crate::simulate::told(&params, true)).unwrap();

        let told = |policy: &&Policy| table.contains(policy.as_str());
        assert_eq!(Policy::ALL.iter().filter(told).count(), 6, "{table}");
        assert_eq!(json["rows"].as_array().unwrap().len(), 6);
    }

    #[test]
    fn beside_what_is_configured_stands_what_its_limits_keep_it_from_if_that_is_asked() {
        let line = "redrive simulate --rate 20 --load 60 --duration 20s --open";
        let env = [
            ("REDRIVE_BUDGET__CAPACITY", "3"),
            ("REDRIVE_BUDGET__RATIO", "0"),
            ("REDRIVE_BUDGET__MIN_PER_SECOND", "0"),
        ];

        let report = crate::simulate::run(&params(line, &env));

        let policies = [report.rows[0].policy, report.rows[1].policy];
        assert_eq!(policies, [Policy::Redrive, Policy::RedriveOpen]);
        assert_eq!(report.gave_up[0].reason, "budget");
        assert!(
            report
                .to_string()
                .contains("redrive made no further attempt for: ")
        );
    }

    #[test]
    fn a_number_that_makes_no_sense_is_a_usage_error_that_says_what_was_expected() {
        for (line, expected) in [
            ("redrive simulate --load 0", "above 0"),
            ("redrive simulate --load 1 --rate -5", "above 0"),
            ("redrive simulate --load 1 --neighbours 2", "N:POLICY"),
            ("redrive simulate --load 1 --neighbours 0:none", "from 1"),
            ("redrive simulate --load 1 --duration 1s", "from 4s"),
        ] {
            let error = parse(line).expect_err(line);

            assert_eq!(error.exit_code(), 2, "{line}");
            assert!(error.to_string().contains(expected), "{error}");
        }
    }
}
