//! The controller's metrics: names, labels and buckets. Label values are never names of objects; registries are few.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::atomic::AtomicU64;
use std::sync::{Mutex, MutexGuard};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use http::{Request, Response};
use k8s_openapi::jiff::Timestamp;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;
use tower::Service;

use super::lock;

/// Seconds of one namespace: nothing to do takes microseconds, a write milliseconds.
const BUCKETS: [f64; 10] = [0.0001, 0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 10.0];

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Action {
    action: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Call {
    verb: String,
    code: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Of {
    registry: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Over {
    over: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct State {
    state: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Named {
    certificate: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Issuer {
    issuer: &'static str,
}

/// Certificates that are looked after.
#[derive(Clone, Copy, Debug)]
pub enum CertificateOf {
    /// What the webhook serves.
    Serving,
    /// Who signs that.
    Authority,
}

/// How many namespaces are in which state.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    /// That should have a copy.
    pub desired: u32,
    /// Of these, with everything as wanted.
    pub in_sync: u32,
    /// Of these, with a Secret that is in the way.
    pub conflict: u32,
}

/// All of them.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    reconciles: Family<Outcome, Counter>,
    seconds: Histogram,
    writes: Family<Action, Counter>,
    calls: Family<Call, Counter>,
    secrets: Family<State, Gauge>,
    fights: Family<Over, Counter>,
    resources: Family<Outcome, Counter>,
    considered: Counter,
    tokens: Family<Outcome, Counter>,
    expiry: Family<Of, Gauge>,
    /// When credentials expire, by resource and registry.
    ends: Mutex<HashMap<String, Vec<(String, Timestamp)>>>,
    certificates: Family<Named, Gauge>,
    certificates_in_order: Family<Issuer, Gauge>,
    leader: Gauge,
    source: Gauge,
    synchronized: Gauge<f64, AtomicU64>,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("pullgate_controller");
        let metrics = Self {
            reconciles: Family::default(),
            seconds: Histogram::new(BUCKETS),
            writes: Family::default(),
            calls: Family::default(),
            secrets: Family::default(),
            fights: Family::default(),
            resources: Family::default(),
            considered: Counter::default(),
            tokens: Family::default(),
            expiry: Family::default(),
            ends: Mutex::default(),
            certificates: Family::default(),
            certificates_in_order: Family::default(),
            leader: Gauge::default(),
            source: Gauge::default(),
            synchronized: Gauge::default(),
            registry: Registry::default(),
        };
        registry.register(
            "reconciles",
            "Namespaces looked at, by what came of it",
            metrics.reconciles.clone(),
        );
        registry.register("reconcile_duration_seconds", "Time for one namespace", metrics.seconds.clone());
        registry.register("writes", "Writes that the API server took", metrics.writes.clone());
        registry.register("api_requests", "Requests to the API server", metrics.calls.clone());
        registry.register("secrets", "Namespaces by the state of their copy", metrics.secrets.clone());
        registry.register("fights", "Repairs put off because somebody undoes them", metrics.fights.clone());
        registry.register(
            "resource_reconciles",
            "ImagePullSecrets looked at, by what came of it",
            metrics.resources.clone(),
        );
        registry.register(
            "resources_considered",
            "ImagePullSecrets that could select a namespace that was looked at",
            metrics.considered.clone(),
        );
        registry.register("token_requests", "Requests for tokens of registries", metrics.tokens.clone());
        registry.register(
            "credentials_expiry_seconds",
            "Until the first credentials for a registry expire; less than 0 when they have",
            metrics.expiry.clone(),
        );
        registry.register(
            "certificate_expiration_timestamp_seconds",
            "When the webhook's certificate and its authority expire, where the controller looks after them",
            metrics.certificates.clone(),
        );
        registry.register(
            "certificates_in_order",
            "1 while the webhook's certificate is as it should be, where the controller looks after it",
            metrics.certificates_in_order.clone(),
        );
        registry.register("leader", "1 while this replica acts", metrics.leader.clone());
        registry.register("source_usable", "1 while the source can be read and used", metrics.source.clone());
        registry.register(
            "synchronized_timestamp_seconds",
            "When the last write was taken",
            metrics.synchronized.clone(),
        );
        registry.register(
            "build",
            "Version of pullgate",
            Info::new([("version", env!("CARGO_PKG_VERSION"))]),
        );
        for outcome in ["unchanged", "changed", "conflict", "error"] {
            drop(metrics.reconciles.get_or_create(&Outcome { outcome }));
        }
        for action in ["create", "update", "recreate", "delete", "add_reference", "remove_reference"] {
            drop(metrics.writes.get_or_create(&Action { action }));
        }
        for outcome in ["unchanged", "changed", "conflict", "error"] {
            drop(metrics.resources.get_or_create(&Outcome { outcome }));
        }
        for outcome in ["success", "failure"] {
            drop(metrics.tokens.get_or_create(&Outcome { outcome }));
        }
        for over in ["account", "copy"] {
            drop(metrics.fights.get_or_create(&Over { over }));
        }
        drop(metrics.calls.get_or_create(&Call { verb: "watch".to_owned(), code: 200 }));
        Self { registry, ..metrics }
    }
}

impl Metrics {
    /// Counts a look at a namespace.
    pub fn reconciled(&self, outcome: &'static str, time: Duration) {
        self.reconciles.get_or_create(&Outcome { outcome }).inc();
        self.seconds.observe(time.as_secs_f64());
    }

    /// Counts a look at a resource.
    pub fn resource_reconciled(&self, outcome: &'static str) {
        self.resources.get_or_create(&Outcome { outcome }).inc();
    }

    /// Counts resources that could select a namespace.
    pub fn considered(&self, resources: usize) {
        self.considered.inc_by(resources as u64);
    }

    /// Counts a request for a token.
    pub fn token(&self, outcome: &'static str) {
        self.tokens.get_or_create(&Outcome { outcome }).inc();
    }

    /// Notes when the credentials of a resource expire, by registry.
    pub fn ends(&self, uid: &str, ends: Vec<(String, Timestamp)>) {
        let mut all = self.all_ends();
        if ends.is_empty() {
            all.remove(uid)
        } else {
            all.insert(uid.to_owned(), ends)
        };
    }

    fn all_ends(&self) -> MutexGuard<'_, HashMap<String, Vec<(String, Timestamp)>>> {
        // Left in one piece by any panic: it is one map.
        lock(&self.ends)
    }

    /// Counts a write.
    pub fn wrote(&self, action: &'static str) {
        self.writes.get_or_create(&Action { action }).inc();
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        self.synchronized.set(now.as_secs_f64());
    }

    /// Notes when a certificate that is looked after expires (seconds since 1970), where there is one.
    pub fn certificate_expires(&self, which: CertificateOf, at: Option<i64>) {
        let certificate = match which {
            CertificateOf::Serving => "serving",
            CertificateOf::Authority => "authority",
        };
        match at {
            Some(at) => drop(self.certificates.get_or_create(&Named { certificate }).set(at)),
            None => drop(self.certificates.remove(&Named { certificate })),
        }
    }

    /// Notes whether all of it is as it should be.
    pub fn certificates_in_order(&self, issuer: &'static str, they_are: bool) {
        self.certificates_in_order.get_or_create(&Issuer { issuer }).set(they_are.into());
    }

    /// Counts a repair that is put off.
    pub fn fight(&self, over: &'static str) {
        self.fights.get_or_create(&Over { over }).inc();
    }

    /// All metrics in the text format of OpenMetrics.
    ///
    /// # Errors
    /// None in practice.
    pub fn encode(&self, counts: Counts, leads: bool, source_usable: bool) -> Result<String, fmt::Error> {
        let Counts { desired, in_sync, conflict } = counts;
        for (state, count) in [("desired", desired), ("in_sync", in_sync), ("conflict", conflict)] {
            self.secrets.get_or_create(&State { state }).set(i64::from(count));
        }
        let mut first: BTreeMap<String, Timestamp> = BTreeMap::new();
        for (registry, end) in self.all_ends().values().flatten() {
            let known = first.entry(registry.clone()).or_insert(*end);
            *known = (*known).min(*end);
        }
        self.expiry.clear();
        let now = Timestamp::now();
        for (registry, end) in first {
            self.expiry.get_or_create(&Of { registry }).set(end.as_second() - now.as_second());
        }
        self.leader.set(i64::from(leads));
        self.source.set(i64::from(source_usable));
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry)?;
        Ok(text)
    }

    /// A layer under the API client that counts its requests.
    #[must_use]
    pub fn counting<S>(&self) -> impl tower::Layer<S, Service = Counted<S>> + use<S> {
        let calls = self.calls.clone();
        tower::layer::layer_fn(move |inner| Counted { inner, calls: calls.clone() })
    }
}

/// An API client whose requests are counted.
#[derive(Debug)]
pub struct Counted<S> {
    inner: S,
    calls: Family<Call, Counter>,
}

impl<S, B, C> Service<Request<B>> for Counted<S>
where
    S: Service<Request<B>, Response = Response<C>>,
    S::Future: Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<S::Response, S::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let verb = verb(&request);
        let calls = self.calls.clone();
        let answer = self.inner.call(request);
        async move {
            let answer = answer.await;
            // 0: there was none.
            let code = answer.as_ref().map_or(0, |answer| answer.status().as_u16());
            calls.get_or_create(&Call { verb, code }).inc();
            answer
        }
        .boxed()
    }
}

fn verb<B>(request: &Request<B>) -> String {
    let watches =
        request.uri().query().is_some_and(|query| query.split('&').any(|pair| pair.starts_with("watch=")));
    if watches { "watch".to_owned() } else { request.method().as_str().to_ascii_lowercase() }
}
