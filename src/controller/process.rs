//! What the controller is as a process, whatever it looks after: a client, a turn among replicas, a port for its health.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::Server;
use futures_util::future;
use kube::Client;
use kube::client::ClientBuilder;
use kube::runtime::events::{Recorder, Reporter};
use log::{info, warn};
use ring::rand::{SecureRandom as _, SystemRandom};
use tokio::time::timeout;

use super::certificates::{self, Keeper};
use super::leader::{Candidate, Leadership};
use super::metrics::Metrics;
use super::settings::Settings;
use crate::api_server::{ClientError, config, no_client};
use crate::http_server::{BindError, Probed, bind, health};

/// Why the controller ended.
#[derive(Debug, thiserror::Error)]
pub enum ControllerError {
    /// There is no way to the API server.
    #[error(transparent)]
    NoClient(#[from] ClientError),
    /// There is no port.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The server of health and metrics ended by itself.
    #[error("the server of health and metrics failed: {0}")]
    Health(#[from] io::Error),
    /// A task that ends could not begin.
    #[error("nothing was done: {0}")]
    NotBegun(String),
    /// A task that ends was not done everywhere.
    #[error("{failed} of {all} namespaces are not as wanted: see above")]
    Incomplete {
        /// How many.
        failed: usize,
        /// Of how many.
        all: usize,
    },
}

/// Everything that there is once.
pub(super) struct Process {
    pub(super) client: Client,
    pub(super) metrics: Arc<Metrics>,
    pub(super) leadership: Arc<Leadership>,
    /// The one that this process is in.
    pub(super) namespace: String,
    identity: String,
    candidate: Option<Candidate>,
}

impl Process {
    pub(super) async fn begin(settings: &Settings) -> Result<Self, ControllerError> {
        let config = config(settings.kubeconfig.as_deref()).await?;
        let namespace = config.default_namespace.clone();
        let metrics = Arc::new(Metrics::default());
        let client = ClientBuilder::try_from(config).map_err(|error| no_client(&error))?;
        let client = client.with_layer(&metrics.counting()).build();
        let identity = identity();
        let lease_namespace = settings.lease_namespace.as_deref().unwrap_or(&namespace);
        let candidate = settings
            .lease
            .as_ref()
            .map(|lease| Candidate::new(client.clone(), lease_namespace, lease, identity.clone()));
        let leadership = if candidate.is_some() { Leadership::elected() } else { Leadership::alone() };
        Ok(Self { client, metrics, leadership: Arc::new(leadership), namespace, identity, candidate })
    }

    pub(super) fn recorder(&self) -> Recorder {
        let reporter =
            Reporter { controller: "pullgate-controller".to_owned(), instance: Some(self.identity.clone()) };
        Recorder::new(self.client.clone(), reporter)
    }

    pub(super) fn keeper(&self, settings: certificates::settings::Settings) -> Keeper {
        let namespace = settings.namespace.clone().unwrap_or_else(|| self.namespace.clone());
        Keeper::new(
            settings,
            &namespace,
            self.client.clone(),
            Arc::clone(&self.leadership),
            Arc::clone(&self.metrics),
        )
    }

    /// Stands for election and serves health while there is work, then gives its turn away.
    pub(super) async fn during(
        mut self,
        health: Option<Server>,
        work: impl Future<Output = Result<(), ControllerError>>,
    ) -> Result<(), ControllerError> {
        let election = async {
            match &mut self.candidate {
                Some(candidate) => candidate.run(&self.leadership).await,
                None => future::pending().await,
            }
        };
        let served = async {
            match health {
                Some(server) => server.await,
                None => future::pending().await,
            }
        };
        let ended = tokio::select! {
            ended = work => ended,
            ended = served => ended.map_err(ControllerError::Health),
            () = election => Ok(()),
        };
        if let Some(candidate) = self.candidate {
            match timeout(Duration::from_secs(2), candidate.release(&self.leadership)).await {
                Ok(Ok(true)) => info!("the Lease is given away"),
                Ok(Ok(false)) => {}
                _ => warn!("the Lease is not given away: the next replica has to wait for its end"),
            }
        }
        ended
    }
}

pub(super) fn health_server(probed: Arc<dyn Probed>, port: u16) -> Result<Server, ControllerError> {
    Ok(health(probed, bind(port, "HEALTH_PORT")?)?)
}

/// A name that no other replica has, not even a later one of the same host.
fn identity() -> String {
    let mut random = [0; 4];
    // Without randomness, the process is told by its number.
    if SystemRandom::new().fill(&mut random).is_err() {
        random = std::process::id().to_be_bytes();
    }
    format!("{}_{:08x}", gethostname::gethostname().to_string_lossy(), u32::from_be_bytes(random))
}
