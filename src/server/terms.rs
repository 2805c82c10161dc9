//! What a connection of a client begins with, and keeps to its end; a reload changes it for those that come later.

use std::sync::Arc;

use arc_swap::ArcSwap;
use hyper::server::conn::http2;
use hyper_util::rt::TokioExecutor;

use super::Params;
use crate::http1::Reading;

/// What connections begin with from now on. Every clone is the same one.
#[derive(Clone)]
pub struct Terms(Arc<ArcSwap<Manner>>);

/// What one connection begins with.
pub(super) struct Manner {
    pub(super) params: Params,
    /// How heads of HTTP/1 are read.
    pub(super) reading: Reading,
    /// Whether their names are written in Title-Case.
    pub(super) is_title: bool,
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
            reading: Reading {
                head_bytes_max: params.header_bytes.max(HEAD_BYTES_MIN),
                keeps_case: params.preserve_header_case,
            },
            is_title: params.title_case_headers,
            http2: super::http2::builder(params.header_bytes),
        }
    }
}

/// The least that a head over HTTP/1 may have, whatever `header_bytes` says.
const HEAD_BYTES_MIN: usize = 8192;
