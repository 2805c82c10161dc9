//! redrive: a reverse retry proxy sidecar. A throttled answer of Amazon API Gateway becomes a good one.
//!
//! This page is the architecture: what is where, how a request walks through it, and what is deliberately absent. The
//! product itself, as its operators meet it, is in the README.
//!
//! # The map
//!
//! The directory listing is a request's path. A file imports only from layers below its own; `tests/tidy.rs` holds that.
//!
//! | layer | rooms | what happens there |
//! |---|---|---|
//! | 7 | `main`, [`cli`], [`check`], [`health`], [`demo`], [`verify`] | the process and its commands |
//! | 6 | [`app`] | composition: the one file that knows everything |
//! | 5 | [`config`] | text to parameters, every fault at once; [`gateway`], a stand-in for AWS that shares nothing with what it judges; [`simulate`], virtual time around the decisions |
//! | 4 | [`server`], [`admin`], [`telemetry`] | the edges: bytes in, bytes out |
//! | 3 | [`proxy`] | the walk, on one screen |
//! | 2 | [`proxy::screen`], [`proxy::route`], [`proxy::deadline`], [`proxy::sign`], [`proxy::admit`], [`proxy::attempt`], [`proxy::replay`], [`proxy::upstream`] and their siblings | its stages |
//! | 1 | [`retry`], [`pace`] | decisions: what follows an attempt, and how fast an upstream may be asked; [`dns`], which finds upstreams by name |
//! | 0 | [`http1`], HTTP/1.1 as bytes; [`handover`], a connection that leaves it; [`tcp`], [`tls`], [`retry::classify`], [`retry::hint`], [`retry::backoff`], [`retry::budget`], [`retry::futility`], [`retry::fields`], [`clock`] | what decisions are made of |
//!
//! # The walk
//!
//! A connection is **accepted** in [`server`] and handed, request by request, to [`proxy::Proxy::serve`]. [`proxy::screen`]
//! refuses what could be read in two ways; what leaves no trace in a request, [`http1`] refuses as it reads.
//! [`proxy::route`] finds the upstream and its policy; [`proxy::deadline`] fixes the moment after which nothing is worth
//! starting; what redrive is to sign itself ([`proxy::sign`]) is read whole. [`proxy::attempt`] then loops: wait for a turn at
//! the door ([`proxy::admit`]), **send** ([`proxy::upstream`], a fresh copy from [`proxy::replay`], the head made by
//! [`proxy::headers`]), **look** at the answer as far as its status asks for ([`proxy::peek`]), **classify**
//! ([`retry::classify`]), **ask** ([`retry::Session::on_outcome`]): deliver, retry after a wait, or stop because of a named
//! reason. A retry is paid for ([`retry::budget`]) right before it is sent. What comes out is the upstream's own answer, or a
//! [`proxy::error::Error`] that [`proxy::respond`] turns into one; behind a 101 it is a [`proxy::tunnel`]. Whichever way it
//! ends, [`proxy::account`] tells it once, with the same words in header, log, metric and trace.
//!
//! A reload ([`app::Reloader`]) puts another walk in the place of this one, made of the same windows, budgets and connections where
//! they stay; who is on the way ends on the walk that it began.
//!
//! # What is deliberately absent
//!
//! - **Decisions do no I/O.** [`retry`] and [`pace`] import no runtime, no HTTP implementation, no log and no metrics, and
//!   read no clock: `now` and `rng` are arguments. So they can be tested under virtual time, and simulated.
//! - **Nobody looks up at the configuration.** Every room defines its own parameters, already valid; [`config`] constructs
//!   them. A stage's test needs its own parameters, never a whole configuration.
//! - **hyper's errors end in [`proxy::upstream`]**: beyond it there are only faults that say whether a byte was written.
//! - **No label comes from a client**, neither path nor header; [`retry::futility`]'s cells are bounded and never shown.
//! - **Nothing waits without a limit that has a name**, and no task runs without an owner that ends it.
//! - **Cancellation is dropping.** A client that leaves drops its request's future, and with it the wait, the attempt and
//!   its connection, the kept body and the account, which counts it.

pub mod server;

pub mod proxy;

pub mod pace;
pub mod retry;

pub mod clock;
pub mod dns;
pub mod handover;
pub mod http1;
pub mod tcp;
pub mod tls;

pub mod admin;
pub mod telemetry;

pub mod config;
pub mod gateway;
pub mod simulate;

pub mod app;

pub mod check;
pub mod cli;
pub mod demo;
pub mod health;
pub mod verify;
