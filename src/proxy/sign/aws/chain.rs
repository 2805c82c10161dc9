//! Where credentials come from: AWS's own chain, in the order of its SDKs. Environment, profile, web identity, container, EC2.
//!
//! Without SSO and without programs that print a secret (`credential_process`): both are for people at a desk.

use aws_config::default_provider::credentials::DefaultCredentialsChain;
use aws_config::provider_config::ProviderConfig;
use aws_config::{BehaviorVersion, Region};
use aws_credential_types::Credentials;
use aws_credential_types::provider::ProvideCredentials;
use aws_credential_types::provider::error::CredentialsError;

use super::client::Client;

/// The chain; every clone asks over the same client.
#[derive(Clone)]
pub(super) struct Chain {
    client: Client,
    region: Region,
}

impl Chain {
    /// The chain, with STS asked in this region.
    pub(super) fn new(region: &str) -> Self {
        Self {
            client: Client::new(),
            region: Region::new(region.to_owned()),
        }
    }

    /// Looks for credentials, from the beginning: files and variables may have changed.
    ///
    /// # Errors
    /// When no part of the chain has any, or the one that should have cannot be asked.
    pub(super) async fn credentials(&self) -> Result<Credentials, CredentialsError> {
        let config = ProviderConfig::without_region()
            .with_region(Some(self.region.clone()))
            .with_http_client(self.client.clone())
            .with_behavior_version(Some(BehaviorVersion::latest()));
        let chain = DefaultCredentialsChain::builder()
            .configure(config)
            .region(self.region.clone());
        chain.build().await.provide_credentials().await
    }
}
