//! What a connection of a client begins with, and keeps to its end; a reload changes it for those that come later.

use std::sync::Arc;

use arc_swap::ArcSwap;
use hyper::server::conn::{http1, http2};
use hyper_util::rt::TokioExecutor;

use super::Params;

/// What connections begin with from now on. Every clone is the same one.
#[derive(Clone)]
pub struct Terms(Arc<ArcSwap<Manner>>);

/// What one connection begins with.
pub(super) struct Manner {
    pub(super) params: Params,
    pub(super) http1: http1::Builder,
    pub(super) http2: http2::Builder<TokioExecutor>,
}

impl Terms {
    pub(super) fn new(params: &Params) -> Self {
        Self(Arc::new(ArcSwap::from_pointee(Manner::new(params))))
    }

    /// Connections begin with these parameters from now on; the address and the files of TLS stay what they are. Where
    /// `client.max_connections` is lower than before, those that are too many stay.
    pub fn follow(&self, params: &Params) {
        self.0.store(Arc::new(Manner::new(params)));
    }

    pub(super) fn now(&self) -> Arc<Manner> {
        self.0.load_full()
    }
}

impl Manner {
    fn new(params: &Params) -> Self {
        Self {
            params: params.clone(),
            http1: super::http1(params),
            http2: super::http2::builder(params.header_bytes),
        }
    }
}
