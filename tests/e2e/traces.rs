//! Traces, as a collector and the upstream see them.

#[cfg(not(feature = "otlp"))]
mod without {
    use crate::answers::ok;
    use crate::support::{Client, Process, Upstream};

    #[tokio::test]
    async fn a_redrive_that_makes_no_traces_says_so_to_those_who_expect_some() {
        let upstream = Upstream::answering([ok()]).await;
        let endpoint = "http://127.0.0.1:4318".to_owned();
        let env = [("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)];

        let redrive = Process::with(upstream.addr, "", &env).await;

        let told = redrive.before_ready();
        assert_eq!(told.len(), 1, "{told:?}");
        assert_eq!(told[0]["variable"], "OTEL_EXPORTER_OTLP_ENDPOINT");
        let message = told[0]["message"].as_str().unwrap();
        assert!(message.contains("without the feature `otlp`"), "{message}");
        assert_eq!(Client::get(redrive.addr, "/").await.status, 200);
        assert_eq!(upstream.seen()[0].header("traceparent"), None);
    }
}

#[cfg(feature = "otlp")]
mod exported;
#[cfg(feature = "otlp")]
mod lost;
