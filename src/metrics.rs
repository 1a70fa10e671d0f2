//! Every metric: names, labels and buckets in one place. Label values are enums, never names of objects.

use std::fmt::{self, Write as _};
use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

use crate::admit::{Outcome, Resource, Verb};
use crate::mutate::{ImageOutcome, Verdict};
use crate::patch::Mutator;

/// What [`Metrics::encode`] writes.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Seconds: an admission takes tens of microseconds; a whole call may take 10 s at most.
const DURATION_BUCKETS: [f64; 12] =
    [0.0001, 0.000_25, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 1.0, 10.0];

/// How a call to the webhook ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CallOutcome {
    /// With an answer.
    Admitted(Outcome),
    /// 400: no review.
    BadRequest,
    /// 408: the body came too slowly.
    Timeout,
    /// 413: the body is too large.
    TooLarge,
    /// 415: the body is no JSON.
    UnsupportedMediaType,
    /// 503: too many bytes are buffered.
    Overloaded,
    /// 500: a defect of ours.
    Panicked,
    /// The client went away.
    Disconnected,
}

impl CallOutcome {
    /// Its name in metrics and logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Admitted(outcome) => outcome.as_str(),
            Self::BadRequest => "bad_request",
            Self::Timeout => "timeout",
            Self::TooLarge => "too_large",
            Self::UnsupportedMediaType => "unsupported_media_type",
            Self::Overloaded => "overloaded",
            Self::Panicked => "panicked",
            Self::Disconnected => "disconnected",
        }
    }
}

/// How loading a changed certificate ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ReloadOutcome {
    /// The new pair is served.
    Success,
    /// The old pair is kept.
    Failure,
}

impl ReloadOutcome {
    /// Every outcome.
    pub const ALL: [Self; 2] = [Self::Success, Self::Failure];

    /// Its name in metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Failure => "failure",
        }
    }
}

/// Lets enums with `as_str` be label values.
macro_rules! label_values {
    ($($type:ty),*) => {$(
        impl EncodeLabelValue for $type {
            fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), fmt::Error> {
                encoder.write_str(self.as_str())
            }
        }
    )*};
}
label_values!(Resource, Verb, CallOutcome, Mutator, ImageOutcome, ReloadOutcome);

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    resource: Resource,
    operation: Verb,
    outcome: CallOutcome,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct MutatorLabels {
    mutator: Mutator,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ImageLabels {
    outcome: ImageOutcome,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReloadLabels {
    outcome: ReloadOutcome,
}

/// The webhook's metrics.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    requests: Family<RequestLabels, Counter>,
    duration: Histogram,
    /// In the order of [`Mutator::ALL`]: these are counted for every container, so nothing is looked up.
    patch_operations: [Counter; Mutator::ALL.len()],
    /// Likewise.
    withheld_operations: [Counter; Mutator::ALL.len()],
    /// In the order of [`ImageOutcome::ALL`].
    images: [Counter; ImageOutcome::ALL.len()],
    certificate_expiration: Gauge<f64, AtomicU64>,
    reloads: Family<ReloadLabels, Counter>,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("pullgate");
        let (patch_operations, withheld_operations) =
            (Family::<MutatorLabels, Counter>::default(), Family::<MutatorLabels, Counter>::default());
        let images = Family::<ImageLabels, Counter>::default();
        // A series that exists from the start can be alerted on.
        let by_mutator = |family: &Family<MutatorLabels, Counter>| {
            Mutator::ALL.map(|mutator| family.get_or_create(&MutatorLabels { mutator }).clone())
        };
        let metrics = Self {
            requests: Family::default(),
            duration: Histogram::new(DURATION_BUCKETS),
            patch_operations: by_mutator(&patch_operations),
            withheld_operations: by_mutator(&withheld_operations),
            images: ImageOutcome::ALL.map(|outcome| images.get_or_create(&ImageLabels { outcome }).clone()),
            certificate_expiration: Gauge::default(),
            reloads: Family::default(),
            registry: Registry::default(),
        };
        // The format adds `_total` and `_info`.
        registry.register("admission_requests", "Admission calls", metrics.requests.clone());
        registry.register(
            "admission_duration_seconds",
            "Time from a whole request to its answer",
            metrics.duration.clone(),
        );
        registry.register("patch_operations", "JSON Patch operations", patch_operations);
        registry.register(
            "withheld_operations",
            "JSON Patch operations that MODE=audit has withheld",
            withheld_operations,
        );
        registry.register("images", "Images by what became of them", images);
        registry.register(
            "tls_certificate_expiration_timestamp_seconds",
            "When the serving certificate expires",
            metrics.certificate_expiration.clone(),
        );
        registry.register("tls_reloads", "Changed certificates loaded or refused", metrics.reloads.clone());
        registry.register(
            "build",
            "Version of pullgate",
            Info::new([("version", env!("CARGO_PKG_VERSION"))]),
        );
        // These too exist from the start.
        let refused = [
            CallOutcome::BadRequest,
            CallOutcome::Timeout,
            CallOutcome::TooLarge,
            CallOutcome::UnsupportedMediaType,
            CallOutcome::Overloaded,
            CallOutcome::Panicked,
        ];
        let refused = refused.map(|outcome| (Resource::Other, Verb::Other, outcome));
        let denied = [
            (Resource::Pods, Verb::Create),
            (Resource::Pods, Verb::Update),
            (Resource::EphemeralContainers, Verb::Update),
            (Resource::Claims, Verb::Create),
        ];
        let denied = denied.map(|(resource, verb)| (resource, verb, CallOutcome::Admitted(Outcome::Denied)));
        for (resource, operation, outcome) in refused.into_iter().chain(denied) {
            drop(metrics.requests.get_or_create(&RequestLabels { resource, operation, outcome }));
        }
        for outcome in ReloadOutcome::ALL {
            drop(metrics.reloads.get_or_create(&ReloadLabels { outcome }));
        }
        Self { registry, ..metrics }
    }
}

impl Metrics {
    /// Counts a call.
    pub fn call(&self, resource: Resource, operation: Verb, outcome: CallOutcome) {
        self.requests.get_or_create(&RequestLabels { resource, operation, outcome }).inc();
    }

    /// Counts what a verdict holds, and how long it took to reach and write down.
    pub fn verdict(&self, verdict: &Verdict<'_>, seconds: f64) {
        self.duration.observe(seconds);
        for operation in &verdict.operations {
            self.patch_operations[operation.mutator as usize].inc();
        }
        for operation in &verdict.withheld {
            self.withheld_operations[operation.mutator as usize].inc();
        }
        for outcome in &verdict.images {
            self.images[*outcome as usize].inc();
        }
    }

    /// Notes when the certificate that is served expires (seconds since 1970).
    pub fn certificate_expires(&self, timestamp: i64) {
        // Exact for every date within 285 million years.
        #[allow(clippy::cast_precision_loss)]
        self.certificate_expiration.set(timestamp as f64);
    }

    /// Counts an attempt to load a changed certificate.
    pub fn reload(&self, outcome: ReloadOutcome) {
        self.reloads.get_or_create(&ReloadLabels { outcome }).inc();
    }

    /// All metrics in the text format of [OpenMetrics](https://prometheus.io/docs/specs/om/open_metrics_spec/).
    ///
    /// # Errors
    /// None in practice: the format can express whatever is registered.
    pub fn encode(&self) -> Result<String, fmt::Error> {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_found_by_position() {
        assert!(Mutator::ALL.iter().enumerate().all(|(i, mutator)| *mutator as usize == i));
        assert!(ImageOutcome::ALL.iter().enumerate().all(|(i, outcome)| *outcome as usize == i));
    }
}
