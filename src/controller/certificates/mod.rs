//! The webhook's certificate: issued, stored, renewed in time, and trusted by the registration.
//!
//! Each pass reads what there is, asks [`plan()`] for the next thing to do, does it, and reads again, until there is nothing
//! left. Nothing is remembered here, so whoever takes over goes on where the last one was.

pub mod plan;
pub mod settings;
mod signer;
mod store;

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use std::{fmt, fs};

use futures_util::stream::select_all;
use futures_util::{FutureExt as _, StreamExt as _};
use k8s_openapi::api::admissionregistration::v1::MutatingWebhookConfiguration;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::jiff::Timestamp;
use kube::core::PartialObjectMeta;
use kube::{Api, Client};
use log::{info, warn};
use time::OffsetDateTime;
use tokio::time::sleep;
use zeroize::Zeroizing;

use self::plan::{Plan, Seen, Step, Wanted, plan};
use self::settings::{Issuer, Settings};
use self::store::{Held, Store};
use super::apply::{CONFLICTS, Problem};
use super::leader::Leadership;
use super::metrics::{CertificateOf, Counts, Metrics};
use super::repeats::Repeats;
use super::watches::{Which, complain, events};
use crate::certs::{Authority, Certificate, authority, leaf, pem_of, read};
use crate::http_server::Probed;

/// Everything is looked at again after this, whatever the watches say.
const RESYNC: Duration = Duration::from_mins(10);
/// Between looks, at least: who undoes what is done here does not make it a race.
const PAUSE: Duration = Duration::from_millis(500);
/// After a failure, at first and at most.
const BACKOFF: (Duration, Duration) = (Duration::from_secs(1), Duration::from_mins(1));
/// Between looks at a request that somebody has to approve.
const APPROVAL: Duration = Duration::from_secs(3);
/// More steps in a row than any plan has: somebody undoes them.
const STEPS: usize = 8;

const NOT_AS_ISSUED: &str = "the certificate that was issued is not what is stored, or not for the names that are wanted: see who else writes the Secrets";
const NOT_AS_WRITTEN: &str =
    "somebody undoes what is written: see who else writes the Secrets and the registration";

/// What a pass ends with.
enum Outlook {
    /// There is nothing to do for so long.
    Settled(Duration),
    /// A certificate has been asked for.
    Requested,
}

/// Why one does not.
enum Trouble {
    /// What was written does not stay.
    Undone(&'static str),
    /// Anything else.
    Problem(Problem),
}

impl From<Problem> for Trouble {
    fn from(problem: Problem) -> Self {
        Self::Problem(problem)
    }
}

impl Trouble {
    /// Whether the next change may be what was written here, which is then no reason to look again.
    fn may_be_ours(&self) -> bool {
        !matches!(self, Self::Problem(Problem::Failed { .. }))
    }

    fn message(&self) -> &str {
        match self {
            Self::Undone(message) => message,
            Self::Problem(Problem::Conflict(message) | Problem::Failed { message, .. }) => message,
            Self::Problem(Problem::NotLeading) => "",
        }
    }
}

/// Looks after the certificate of one webhook.
pub struct Keeper {
    settings: Settings,
    wanted: Wanted,
    store: Store,
    client: Client,
    leadership: Arc<Leadership>,
    metrics: Arc<Metrics>,
    has_looked: AtomicBool,
}

impl Keeper {
    /// For the webhook of a namespace, by what its controller uses as well.
    pub(super) fn new(
        settings: Settings,
        namespace: &str,
        client: Client,
        leadership: Arc<Leadership>,
        metrics: Arc<Metrics>,
    ) -> Self {
        let host = format!("{}.{namespace}.svc", settings.service);
        let inside = [format!("{host}.cluster.local"), format!("{}.{namespace}", settings.service)];
        let names = [host].into_iter().chain(inside).chain([settings.service.clone()]);
        let names = names.chain(settings.names.iter().cloned()).collect();
        let own_authority = matches!(settings.issuer, Issuer::Own(_));
        Self {
            wanted: Wanted { names, overlap: settings.overlap, own_authority },
            store: Store::new(client.clone(), namespace, &settings, Arc::clone(&leadership)),
            settings,
            client,
            leadership,
            metrics,
            has_looked: AtomicBool::new(false),
        }
    }

    /// Keeps it, for ever.
    pub async fn run(&self) {
        let mut changes = pin!(self.changes());
        let issuer = if self.wanted.own_authority { "self-managed" } else { "csr" };
        let (mut failing, mut conflicts) = (BACKOFF.0, 0);
        let mut complaints = Repeats::default();
        loop {
            let mut pause = PAUSE;
            let wait = if self.leadership.holds() {
                match self.pass().await {
                    Ok(outlook) => {
                        self.metrics.certificates_in_order(issuer, true);
                        match outlook {
                            Outlook::Settled(wait) => {
                                (failing, conflicts) = (BACKOFF.0, 0);
                                wait
                            }
                            Outlook::Requested => APPROVAL,
                        }
                    }
                    Err(Trouble::Problem(Problem::NotLeading)) => PAUSE,
                    Err(Trouble::Problem(Problem::Conflict(_))) if conflicts < CONFLICTS => {
                        conflicts += 1;
                        PAUSE
                    }
                    Err(trouble) => {
                        self.metrics.certificates_in_order(issuer, false);
                        let message = trouble.message();
                        if complaints.is_news(message) {
                            warn!(problem = message; "the webhook's certificate cannot be looked after");
                        }
                        let wait = failing;
                        failing = (failing * 2).min(BACKOFF.1);
                        if trouble.may_be_ours() {
                            pause = wait;
                            Duration::ZERO
                        } else {
                            wait
                        }
                    }
                }
            } else {
                RESYNC
            };
            self.has_looked.store(true, Ordering::Relaxed);
            tokio::select! {
                _ = changes.next() => {}
                () = sleep(wait) => {}
            }
            sleep(pause).await;
            while changes.next().now_or_never().is_some() {}
        }
    }

    /// An item for each change of what is looked after.
    fn changes(&self) -> impl futures_util::Stream<Item = ()> + Send + use<> {
        let secret = |name: &str| {
            let api =
                Api::<PartialObjectMeta<Secret>>::namespaced(self.client.clone(), &self.store.namespace);
            events(api, Which::Named(name), RESYNC).map(|event| event.map(drop)).boxed()
        };
        let registration = Api::<PartialObjectMeta<MutatingWebhookConfiguration>>::all(self.client.clone());
        let registration = events(registration, Which::Named(&self.settings.configuration), RESYNC);
        let objects = [
            secret(&self.settings.secret),
            secret(&self.settings.ca_secret),
            registration.map(|event| event.map(drop)).boxed(),
        ];
        let mut complaints = Repeats::default();
        let objects = select_all(objects).map(move |event| {
            if let Err(error) = event {
                complain(&mut complaints, "the webhook's certificate", &error);
            }
        });
        select_all([objects.boxed(), super::run::told(self.leadership.changes()).map(drop).boxed()])
    }

    /// Does what there is to do, until there is nothing left.
    async fn pass(&self) -> Result<Outlook, Trouble> {
        let mut has_served = false;
        for _ in 0..STEPS {
            let now = Timestamp::now().as_second();
            let (seen, key) = self.look().await?;
            self.tell(&seen);
            match plan(&self.wanted, &seen, now) {
                Plan::Wait(until) => {
                    let wait = u64::try_from(until.saturating_sub(now)).unwrap_or_default();
                    return Ok(Outlook::Settled(Duration::from_secs(wait).clamp(PAUSE, RESYNC)));
                }
                Plan::Stuck(why) => return Err(failed(why).into()),
                Plan::Do(Step::Serve) if has_served => return Err(Trouble::Undone(NOT_AS_ISSUED)),
                Plan::Do(Step::Serve) => {
                    has_served = true;
                    if !self.serve(&seen, key).await? {
                        return Ok(Outlook::Requested);
                    }
                }
                Plan::Do(step) => self.carry_out(step).await?,
            }
        }
        Err(Trouble::Undone(NOT_AS_WRITTEN))
    }

    /// What there is, and the key to sign with, or the one that a certificate was asked for.
    async fn look(&self) -> Result<(Seen, Option<Zeroizing<String>>), Problem> {
        let Held { authorities: remembered, authority_key, requested_key, serving } =
            self.store.held().await?;
        let mut key = requested_key;
        let issuers = match &self.settings.issuer {
            Issuer::Own(_) => {
                let is_ours = |first: &&Certificate| {
                    let key = authority_key.as_ref();
                    first.may_sign() && key.is_some_and(|key| first.has_key(key.as_bytes()))
                };
                let own = remembered.first().filter(is_ours);
                key = authority_key;
                own.cloned().into_iter().collect()
            }
            Issuer::Signer { ca, .. } => {
                let text = fs::read(ca)
                    .map_err(|error| failed(&format!("CERTIFICATES_CA_FILE={}: {error}", ca.display())))?;
                let issuers = read(&text);
                if issuers.is_empty() {
                    let problem = "holds no certificate in PEM";
                    return Err(failed(&format!("CERTIFICATES_CA_FILE={}: {problem}", ca.display())));
                }
                issuers
            }
        };
        let trusted = self.store.trusted().await?;
        Ok((Seen { issuers, remembered, serving, trusted }, key))
    }

    fn tell(&self, seen: &Seen) {
        let expires = |of: &[Certificate]| of.first().map(|certificate| certificate.not_after);
        self.metrics.certificate_expires(CertificateOf::Serving, expires(&seen.serving));
        self.metrics.certificate_expires(CertificateOf::Authority, expires(&seen.issuers));
    }

    async fn carry_out(&self, step: Step) -> Result<(), Problem> {
        match step {
            Step::Authority(others) => {
                let Issuer::Own(validity) = self.settings.issuer else { return Ok(()) };
                let made = authority(&format!("{} CA", self.wanted.names[0]), time_now(), span(validity))
                    .map_err(|error| unmade(&error))?;
                self.store.write_authority(&made, &others).await?;
                info!(trusted = others.len() + 1; "certificate authority made");
            }
            Step::Remember(trust) => self.store.write_authorities(&trust).await?,
            Step::Trust(trust) => {
                self.store.write_trusted(&trust).await?;
                info!(authorities = trust.len(), registration = self.settings.configuration.as_str(); "caBundle written");
            }
            Step::Serve => {}
        }
        Ok(())
    }

    /// Has a certificate issued; returns whether it has been, or somebody else has to act first.
    async fn serve(&self, seen: &Seen, key: Option<Zeroizing<String>>) -> Result<bool, Problem> {
        let (validity, names) = (self.settings.validity, &self.wanted.names);
        match &self.settings.issuer {
            Issuer::Own(_) => {
                let Some(key) = key else { return Ok(true) };
                let authority = Authority { certificate: pem_of(&seen.issuers), key };
                let pair =
                    leaf(&authority, names, time_now(), span(validity)).map_err(|error| unmade(&error))?;
                self.store.write_serving(&pair.certificate, &pair.key).await?;
            }
            Issuer::Signer { name, .. } => {
                let request = signer::Request { signer: name, names, validity };
                let answered = request.answered(&self.client, &self.store, seen, key).await?;
                let Some((certificate, key)) = answered else { return Ok(false) };
                self.store.write_serving(&certificate, &key).await?;
                self.store.write_requested_key(None).await?;
            }
        }
        info!(secret = self.settings.secret.as_str(); "certificate issued");
        Ok(true)
    }
}

/// Where there is nothing else to look after.
impl Probed for Keeper {
    fn unready(&self) -> Option<&'static str> {
        (!self.has_looked.load(Ordering::Relaxed)).then_some("the API server has not been read yet")
    }

    fn metrics(&self) -> Result<String, fmt::Error> {
        self.metrics.encode(Counts::default(), self.leadership.holds(), true)
    }
}

fn time_now() -> OffsetDateTime {
    OffsetDateTime::now_utc()
}

fn span(time: Duration) -> time::Duration {
    time.try_into().unwrap_or(time::Duration::MAX)
}

fn unmade(error: &rcgen::Error) -> Problem {
    failed(&format!("no certificate can be made: {error}"))
}

fn failed(message: &str) -> Problem {
    Problem::Failed { message: message.to_owned(), retry_after: None }
}
