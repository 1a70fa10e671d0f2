//! Which replica acts: a Lease, held by one at a time.
//!
//! Times are measured here and never read from the Lease, so that clocks may differ. Whoever holds it stops to write
//! well before others may take it, whether it knows of them or not: also after it has stood still for a while.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use k8s_openapi::jiff::Timestamp;
use kube::api::PostParams;
use kube::{Api, Client};
use log::{info, warn};
use rustix::time::{ClockId, clock_gettime};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use crate::api_server::said;

/// After so long without a sign of life, others take the Lease.
const DURATION: Duration = Duration::from_secs(15);
/// How long its holder counts on it after each renewal: [`DURATION`] without the time for a write that is on its way.
const TRUST: Duration = Duration::from_secs(10);
/// For a single write, so that none arrives after the Lease is somebody else's.
pub(crate) const WRITE_PATIENCE: Duration = Duration::from_secs(5);
/// Between renewals, and between looks of those that wait.
const PAUSE: Duration = Duration::from_secs(2);

/// Whether this replica may write.
#[derive(Debug)]
pub struct Leadership {
    /// Since the machine's start; 0: never. For ever, where there is no election.
    until: AtomicU64,
    changed: watch::Sender<bool>,
}

impl Leadership {
    /// Not the leader, until elected.
    #[must_use]
    pub fn elected() -> Self {
        Self { until: AtomicU64::new(0), changed: watch::Sender::new(false) }
    }

    /// The leader, without election.
    #[must_use]
    pub fn alone() -> Self {
        Self { until: AtomicU64::new(u64::MAX), changed: watch::Sender::new(true) }
    }

    /// Whether a write may begin now.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.until.load(Ordering::Acquire) > millis(now())
    }

    /// Tells of gain and loss.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<bool> {
        self.changed.subscribe()
    }

    fn set(&self, until: Duration) {
        self.until.store(millis(until), Ordering::Release);
        let holds = !until.is_zero();
        let news = self.changed.send_if_modified(|held| std::mem::replace(held, holds) != holds);
        if news {
            info!("{}", if holds { "leading" } else { "not leading any more" });
        }
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// Since the machine's start, times of sleep included: a virtual machine may be stopped, too.
pub(crate) fn now() -> Duration {
    let time = clock_gettime(ClockId::Boottime);
    Duration::new(time.tv_sec.try_into().unwrap_or_default(), time.tv_nsec.try_into().unwrap_or_default())
}

/// A candidate.
pub struct Candidate {
    api: Api<Lease>,
    name: String,
    identity: String,
    /// The Lease as it was when it last changed, and when that was seen.
    seen: Option<(String, Duration)>,
}

impl Candidate {
    /// One that stands for election by the Lease `name` of `namespace`.
    #[must_use]
    pub fn new(client: Client, namespace: &str, name: &str, identity: String) -> Self {
        Self { api: Api::namespaced(client, namespace), name: name.to_owned(), identity, seen: None }
    }

    /// Takes and keeps the Lease whenever that is possible; never ends.
    pub async fn run(&mut self, leadership: &Leadership) {
        let mut said_before = String::new();
        loop {
            // The time before the request: the API server has it later.
            let asked = now();
            match timeout(WRITE_PATIENCE, self.attempt(asked)).await {
                Ok(Ok(true)) => leadership.set(asked + TRUST),
                Ok(Ok(false)) => leadership.set(Duration::ZERO),
                failed => {
                    let problem = match failed {
                        Ok(Err(error)) => said(&error),
                        _ => "no answer".to_owned(),
                    };
                    if problem != said_before {
                        warn!(problem = problem.as_str(); "the Lease {} cannot be had", self.name);
                        said_before = problem;
                    }
                    if !leadership.holds() {
                        leadership.set(Duration::ZERO);
                    }
                }
            }
            sleep(PAUSE).await;
        }
    }

    /// Whether the Lease is ours now.
    async fn attempt(&mut self, now: Duration) -> Result<bool, kube::Error> {
        let Some(lease) = self.api.get_opt(&self.name).await? else {
            let mut lease = Lease { spec: Some(LeaseSpec::default()), ..Lease::default() };
            lease.metadata.name = Some(self.name.clone());
            self.claim(&mut lease, true);
            return won(self.api.create(&PostParams::default(), &lease).await);
        };
        let version = lease.metadata.resource_version.clone().unwrap_or_default();
        if self.seen.as_ref().is_none_or(|(seen, _)| *seen != version) {
            self.seen = Some((version, now));
        }
        let spec = lease.spec.clone().unwrap_or_default();
        let holder = spec.holder_identity.unwrap_or_default();
        let duration = Duration::from_secs(
            spec.lease_duration_seconds.unwrap_or_default().try_into().unwrap_or_default(),
        );
        let since = self.seen.as_ref().map_or(Duration::ZERO, |(_, since)| now.saturating_sub(*since));
        let ours = holder == self.identity;
        if !ours && !holder.is_empty() && since < duration.max(Duration::from_secs(1)) {
            return Ok(false);
        }
        let mut lease = lease;
        self.claim(&mut lease, !ours);
        // With its resourceVersion: whoever is faster has it.
        won(self.api.replace(&self.name, &PostParams::default(), &lease).await)
    }

    fn claim(&self, lease: &mut Lease, anew: bool) {
        let now = MicroTime(Timestamp::now());
        let spec = lease.spec.get_or_insert_default();
        if anew {
            spec.acquire_time = Some(now.clone());
            spec.lease_transitions =
                Some(spec.lease_transitions.map_or(0, |transitions| transitions.saturating_add(1)));
        }
        spec.holder_identity = Some(self.identity.clone());
        spec.lease_duration_seconds = i32::try_from(DURATION.as_secs()).ok();
        spec.renew_time = Some(now);
    }

    /// Gives the Lease away, so that the next replica need not wait; whether it was ours.
    ///
    /// # Errors
    /// The API server's.
    pub async fn release(&self, leadership: &Leadership) -> Result<bool, kube::Error> {
        leadership.set(Duration::ZERO);
        let Some(mut lease) = self.api.get_opt(&self.name).await? else { return Ok(false) };
        let spec = lease.spec.get_or_insert_default();
        if spec.holder_identity.as_deref() != Some(self.identity.as_str()) {
            return Ok(false);
        }
        spec.holder_identity = None;
        spec.lease_duration_seconds = Some(1);
        self.api.replace(&self.name, &PostParams::default(), &lease).await.map(|_| true)
    }
}

fn won(answer: kube::Result<Lease>) -> Result<bool, kube::Error> {
    match answer {
        Ok(_) => Ok(true),
        Err(kube::Error::Api(status)) if status.code == 409 => Ok(false),
        Err(error) => Err(error),
    }
}
