//! The path of a request.
pub mod body;
pub mod deadline;
pub mod headers;
pub mod replay;
pub mod route;
pub mod upstream;

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
    /// The routes in file order; the last one matches everything and is named `default`.
    pub routes: Vec<route::Params>,
}
