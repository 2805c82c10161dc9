//! The path of a request, on one screen.
//!
//! `Proxy::serve` is the whole of it: **screen** what may not be forwarded, find the **route**, and let the
//! [`attempt`] loop send, classify, ask and wait until there is something to deliver. Around it, whatever happens, the
//! request's [`account`] is told once, and errors become answers in one place.

pub mod account;
pub mod admit;
pub mod attempt;
pub mod body;
pub mod deadline;
mod ending;
pub mod error;
pub mod headers;
pub mod host_port;
pub mod lane;
mod lasting;
pub mod metrics;
pub mod names;
pub mod notice;
pub mod peek;
pub mod pulse;
pub mod reading;
pub mod recent;
pub mod replay;
pub mod respond;
pub mod route;
pub mod screen;
pub mod shared;
pub mod sign;
pub mod slow;
pub mod status;
pub mod trace;
pub mod tunnel;
pub mod upstream;

mod build;

use std::net::IpAddr;
use std::sync::Arc;

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::header::CONNECTION;
use http::{HeaderValue, Method, Request, Response, StatusCode, Version};
use http_body::Body;
use http_body_util::BodyExt;

use self::account::{Account, Told};
use self::admit::Door;
use self::attempt::Exchange;
use self::body::{BoxError, ResponseBody};
use self::build::Pooled;
use self::ending::Ending;
use self::error::Error;
use self::lane::{Bucket, Lane};
use self::lasting::Lasting;
use self::metrics::{Gauges, RequestOutcome};
use self::names::Names;
use self::route::Table;
use self::screen::{Screened, screen};
use self::shared::Shared;
use self::sign::Signer;
use self::status::Status;
use self::trace::Tracer;
use self::tunnel::Tunnels;
use crate::clock;

pub use self::build::{BuildError, Surroundings};
pub use crate::tls::Reloaded;

/// Everything that the path of a request needs to be built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Params {
    /// Pass everything straight through.
    pub bypass: bool,
    /// Which `Host` the upstream sees.
    pub host: headers::Host,
    /// How the client's address is told.
    pub forwarded: headers::Forwarded,
    /// What is kept of request bodies.
    pub replay: replay::Params,
    /// What is said to the API in clients' names.
    pub sign: sign::Params,
    /// The routes in file order; the last one matches everything and is named `default`.
    pub routes: Vec<route::Params>,
}

/// The path of a request, ready to take some.
pub struct Proxy {
    table: Table<Arc<Lane>>,
    default: Arc<Lane>,
    lanes: Vec<Arc<Lane>>,
    buckets: Vec<Arc<Bucket>>,
    doors: Vec<Arc<Door>>,
    pools: Vec<Pooled>,
    names: Names,
    signer: Arc<Signer>,
    shared: Shared,
    told: Told,
    tracer: Tracer,
    gauges: Gauges,
    lasting: Arc<Lasting>,
}

/// The path that requests take from now on. A reload puts another one in its place, and who is on the way ends on the old one.
pub type Current = Arc<ArcSwap<Proxy>>;

/// Where a request goes.
enum Way<'a> {
    /// To the upstream.
    Forward(Box<Exchange<'a>>),
    /// Nowhere: it asks about redrive itself.
    Options,
}

impl Proxy {
    /// Answers one request. Dropping the future is the client leaving: everything that it started stops.
    pub fn serve<B>(
        self: Arc<Self>,
        request: Request<B>,
        client: IpAddr,
    ) -> impl Future<Output = Response<ResponseBody>>
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let version = request.version();
        // A block, since the future of a function has room for its arguments twice.
        async move {
            self.shared.arrived();
            let method = request.method().clone();
            let mut account = Account::open(
                Arc::clone(&self.default),
                self.told,
                method.clone(),
                request.uri().path_and_query().cloned(),
                self.tracer.open(&request),
            );
            let mut now = account.arrival;
            let answered = match self.way(request, client, &mut account) {
                Ok(Way::Forward(exchange)) => {
                    if version == Version::HTTP_2 {
                        // Cancelled in the same breath, it is dropped here, and no upstream is asked for nothing.
                        tokio::task::yield_now().await;
                        now = clock::now();
                    }
                    // In a box of its own, so that both are small: the allocator keeps small ones at hand.
                    Box::pin(exchange.run(now)).await
                }
                Ok(Way::Options) => Ok((respond::options(), None)),
                Err(error) => Err(error),
            };
            let mut response = match answered {
                Ok((response, permit)) => {
                    account.answered(response.status(), permit);
                    response
                }
                Err(error) => self.refuse(&error, version, &mut account),
            };
            account.explain(response.headers_mut());
            let is_http = response.status() != StatusCode::SWITCHING_PROTOCOLS;
            if self.shared.drain.has_begun() && version < Version::HTTP_2 && is_http {
                // This connection ends with us. A client that is told so sends its next request on another, while there is somebody to
                // take it, and not on this one at the moment of its end, when nobody can say what became of it.
                response.headers_mut().insert(CONNECTION, CLOSE);
            }
            let is_sent = method != Method::HEAD;
            response.map(|body| Ending::new(body, account, is_sent).boxed_unsync())
        }
    }

    /// Where a request goes: screen, route, and what all its attempts share.
    fn way<'a, B>(
        &'a self,
        mut request: Request<B>,
        client: IpAddr,
        account: &'a mut Account,
    ) -> Result<Way<'a>, Error>
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        if screen(&request)? == Screened::Options {
            return Ok(Way::Options);
        }
        self.names.localise(&mut request)?;
        let lane = self.table.find(request.method(), request.uri().path());
        account.route(lane);
        let exchange = Exchange::new(&self.shared, lane, account, request, client)?;
        Ok(Way::Forward(exchange))
    }

    #[cold]
    fn refuse(
        &self,
        error: &Error,
        version: Version,
        account: &mut Account,
    ) -> Response<ResponseBody> {
        let mut response = respond::problem(error);
        account.refused(error, response.status());
        let is_in_body = matches!(error, Error::SlowUpload);
        if (error.is_clients() || is_in_body) && version < Version::HTTP_2 {
            // What follows on this connection may not be where the client thinks it is.
            response.headers_mut().insert(CONNECTION, CLOSE);
        }
        response
    }

    /// Counts and tells a request that nobody could read; it has no route.
    pub fn count_unreadable(&self) {
        let outcome = RequestOutcome::Rejected;
        self.default.metrics.requests(outcome).inc();
        self.default.pulse.arrive();
        if self.told != Told::None {
            tracing::info!(
                route = self.default.name,
                outcome = outcome.as_str(),
                error = error::UNREADABLE,
                detail = "the request cannot be read",
                "request"
            );
        }
    }

    /// Brings the gauges that are only looked at up to date, and tells what they show.
    pub fn show(&self) -> Status {
        let gauges = &self.gauges;
        let amount = |amount: usize| i64::try_from(amount).unwrap_or(i64::MAX);
        let futile = self.shared.cells().futile_count(clock::now());
        gauges.futile_cells.set(amount(futile));
        gauges.replay_bytes.set(amount(self.shared.memory.used()));
        let routes = self.lanes.iter().map(|lane| status::Route::new(lane));
        Status::new(
            self.shared.bypass,
            gauges,
            self.windows(),
            self.budgets(),
            routes.collect(),
        )
    }

    fn windows(&self) -> Vec<status::Window> {
        let doors = self.doors.iter().map(|door| {
            let (route, seen) = door.show();
            status::Window::new(route, &seen)
        });
        doors.collect()
    }

    fn budgets(&self) -> Vec<status::Budget> {
        let buckets = self.buckets.iter();
        buckets.map(|bucket| status::Budget::new(bucket)).collect()
    }

    /// Reads the files that TLS towards the upstreams and the API key need again; blocks for as long as that takes. Says the
    /// worst that came of it.
    pub fn reload_files(&self) -> Reloaded {
        let reloaded = self.pools.iter().map(|pool| pool.upstream.reload());
        reloaded.fold(self.signer.reload(), Reloaded::max)
    }

    /// Whether there is any such file.
    pub fn has_tls_files(&self) -> bool {
        self.pools.iter().any(|it| it.upstream.has_tls_files())
    }

    /// How many requests and tunnels have no end yet.
    pub fn in_flight(&self) -> i64 {
        self.gauges.in_flight.get() + self.gauges.tunnels.get()
    }

    /// The connections that left HTTP.
    pub fn tunnels(&self) -> &Tunnels {
        &self.shared.tunnels
    }

    /// How many requests came since the process began.
    pub fn arrivals(&self) -> u64 {
        self.shared.arrivals()
    }

    /// Tells the operator what happened since the last time, if something did, also on routes that are gone by now.
    pub fn tell_notices(&self) {
        let learned = self.lasting.learned();
        let pasts = learned.pasts.all();
        pasts.for_each(|past| past.notices.tell(&past.name));
    }

    /// Does so once a minute, on whatever is the path by then. Never returns.
    pub async fn tell_notices_each_minute(current: &ArcSwap<Self>) {
        notice::each_minute(|| current.load().tell_notices()).await;
    }
}

/// This connection carries no other request.
const CLOSE: HeaderValue = HeaderValue::from_static("close");
