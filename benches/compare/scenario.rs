//! What is asked and what is answered.

/// One kind of request and answer.
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    /// What a request's body has; 0 is a GET.
    pub(crate) request_bytes: usize,
    /// What an answer's body has.
    pub(crate) answer_bytes: usize,
    /// Whether the upstream speaks TLS.
    pub(crate) is_secure: bool,
    /// Connections that ask at the same time.
    pub(crate) clients: usize,
    /// Requests a second at which it is looked how long they take; none where that says nothing.
    pub(crate) pace: Option<u32>,
}

impl Scenario {
    /// The first one is what the others differ from.
    pub(crate) const ALL: [Self; 5] = [
        Self {
            name: "plain",
            about: "GET, 64 bytes back, 64 connections",
            request_bytes: 0,
            answer_bytes: 64,
            is_secure: false,
            clients: 64,
            pace: Some(2_000),
        },
        Self {
            name: "tls",
            about: "the same to an upstream that speaks TLS",
            request_bytes: 0,
            answer_bytes: 64,
            is_secure: true,
            clients: 64,
            pace: Some(2_000),
        },
        Self {
            name: "10k",
            about: "GET, 10 KB back, 64 connections",
            request_bytes: 0,
            answer_bytes: 10 << 10,
            is_secure: false,
            clients: 64,
            pace: None,
        },
        Self {
            name: "1m",
            about: "GET, 1 MB back, 8 connections",
            request_bytes: 0,
            answer_bytes: 1 << 20,
            is_secure: false,
            clients: 8,
            pace: None,
        },
        Self {
            name: "post",
            about: "POST of 20 KB, 64 bytes back, 64 connections",
            request_bytes: 20 << 10,
            answer_bytes: 64,
            is_secure: false,
            clients: 64,
            pace: None,
        },
    ];

    /// A request as it goes over the wire.
    pub(crate) fn request(&self) -> Vec<u8> {
        let head = if self.request_bytes == 0 {
            "GET /v1/orders HTTP/1.1\r\nhost: sidecar\r\nuser-agent: compare\r\naccept: */*\r\n\r\n"
                .to_owned()
        } else {
            format!(
                "POST /v1/orders HTTP/1.1\r\nhost: sidecar\r\nuser-agent: compare\r\naccept: */*\r\ncontent-length: {}\r\n\r\n",
                self.request_bytes
            )
        };
        [head.into_bytes(), vec![b'x'; self.request_bytes]].concat()
    }

    /// An answer as it goes over the wire.
    pub(crate) fn answer(&self) -> Vec<u8> {
        let head = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ndate: Fri, 01 Jun 2018 00:00:00 GMT\r\nx-amzn-requestid: 2a5c3f0e-5d6e-4b7c-9c3f-8f1d2e3a4b5c\r\ncontent-length: {}\r\n\r\n",
            self.answer_bytes
        );
        [head.into_bytes(), vec![b'x'; self.answer_bytes]].concat()
    }
}
