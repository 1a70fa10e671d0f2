//! Tokens that registries give for a while: one for each identity, however many registries, sources and namespaces need
//! it, renewed at half of its life.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use futures_util::future::BoxFuture;
use k8s_openapi::jiff::Timestamp;
use ring::rand::{SecureRandom as _, SystemRandom};
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::{sleep, timeout};
use zeroize::Zeroizing;

use super::login::{Identity, Login};
use crate::controller::entries::Entries;
use crate::controller::lock;
use crate::controller::merge::Given;
use crate::controller::metrics::Metrics;

/// How long a request for a token may take, all attempts of the client included.
const PATIENCE: Duration = Duration::from_secs(30);
/// After a failure, at first and at most.
const BACKOFF: (Duration, Duration) = (Duration::from_secs(1), Duration::from_mins(1));
/// Between two requests for one token, whatever is said of its life.
const LEAST: Duration = Duration::from_secs(1);

/// What a registry gives.
pub struct Token {
    /// Name to log in with.
    pub user: String,
    /// Password to log in with.
    pub password: Zeroizing<String>,
    /// When the registry will refuse it.
    pub expires: Timestamp,
}

impl Token {
    /// What it is to whoever pulls from a registry.
    fn of(&self, registry: &str) -> Given {
        let entries = Arc::new(Entries::login(registry, &self.user, &self.password));
        Given { entries, expires: Some(self.expires) }
    }
}

/// Where tokens come from.
pub trait TokenSource: Send + Sync + 'static {
    /// Gets one.
    fn token<'a>(&'a self, identity: &'a Identity) -> BoxFuture<'a, Result<Token, String>>;
}

/// Says that there are none: this program was built without.
pub struct NoTokens;

impl TokenSource for NoTokens {
    fn token<'a>(&'a self, _: &'a Identity) -> BoxFuture<'a, Result<Token, String>> {
        Box::pin(async { Err("this program was built without ECR (the feature `ecr`)".to_owned()) })
    }
}

/// How a token stands: none until the first answer.
type Current = Option<Result<Arc<Token>, String>>;

/// All tokens that somebody needs.
pub struct Tokens {
    source: Arc<dyn TokenSource>,
    metrics: Arc<Metrics>,
    held: Mutex<HashMap<Identity, Held>>,
}

struct Held {
    current: watch::Receiver<Current>,
    task: AbortHandle,
    users: usize,
}

impl Tokens {
    /// None yet.
    #[must_use]
    pub fn new(source: Arc<dyn TokenSource>, metrics: Arc<Metrics>) -> Arc<Self> {
        Arc::new(Self { source, metrics, held: Mutex::default() })
    }

    fn held(&self) -> MutexGuard<'_, HashMap<Identity, Held>> {
        lock(&self.held)
    }

    /// Has `told` told what a registry is logged in to with, as the token for it stands, until what is returned is dropped.
    pub fn follow(
        self: &Arc<Self>,
        Login { registry, identity }: Login,
        told: impl Fn(Result<Given, String>) + Send + 'static,
    ) -> Following {
        let mut current = match self.held().entry(identity.clone()) {
            Entry::Occupied(mut held) => {
                held.get_mut().users += 1;
                held.get().current.clone()
            }
            Entry::Vacant(place) => {
                let (publish, current) = watch::channel(None);
                let task = tokio::spawn(keep(
                    (Arc::clone(&self.source), Arc::clone(&self.metrics)),
                    identity.clone(),
                    publish,
                ))
                .abort_handle();
                place.insert(Held { current: current.clone(), task, users: 1 });
                current
            }
        };
        let task = tokio::spawn(async move {
            loop {
                let now = current.borrow_and_update().clone();
                if let Some(now) = now {
                    told(now.map(|token| token.of(&registry)));
                }
                if current.changed().await.is_err() {
                    return;
                }
            }
        });
        Following { tokens: Arc::clone(self), identity, task: task.abort_handle() }
    }

    /// Tokens that are held.
    #[must_use]
    pub fn count(&self) -> usize {
        self.held().len()
    }
}

/// Somebody's interest in a token.
pub struct Following {
    tokens: Arc<Tokens>,
    identity: Identity,
    task: AbortHandle,
}

impl Drop for Following {
    fn drop(&mut self) {
        self.task.abort();
        let mut held = self.tokens.held();
        if let Some(one) = held.get_mut(&self.identity) {
            one.users -= 1;
            if one.users == 0 {
                one.task.abort();
                held.remove(&self.identity);
            }
        }
    }
}

/// Gets a token, and a new one at half of its life. Nothing is locked while it waits.
async fn keep(
    (source, metrics): (Arc<dyn TokenSource>, Arc<Metrics>),
    identity: Identity,
    publish: watch::Sender<Current>,
) {
    let (mut failures, mut good_until) = (0_u32, Timestamp::MIN);
    loop {
        let answer = timeout(PATIENCE, source.token(&identity)).await;
        let answer = answer.unwrap_or_else(|_| Err(format!("no answer in {} s", PATIENCE.as_secs())));
        let now = Timestamp::now();
        metrics.token(match &answer {
            Ok(token) if token.expires > now => "success",
            Ok(_) => "expired",
            Err(_) => "failure",
        });
        let (current, life) = match answer {
            // It is no better than the one before, unless that is gone, too.
            Ok(token) if token.expires <= now && good_until > now => {
                (Err(format!("the token had expired at {} when it came", token.expires)), None)
            }
            Ok(token) => {
                good_until = token.expires;
                let life = Duration::try_from(token.expires.duration_since(now)).ok();
                (Ok(Arc::new(token)), life.filter(|life| !life.is_zero()))
            }
            Err(problem) => (Err(problem), None),
        };
        publish.send_replace(Some(current));
        failures = if life.is_some() { 0 } else { failures.saturating_add(1) };
        // Not all at the same time, and rather before half of it than after.
        let half = |life: Duration| (life / 2).mul_f64(1.0 - 0.1 * random());
        sleep(life.map_or_else(|| backoff(failures), half).max(LEAST)).await;
    }
}

fn backoff(failures: u32) -> Duration {
    let (first, most) = BACKOFF;
    (first * 2_u32.saturating_pow(failures.min(12) - 1)).min(most).mul_f64(0.75 + 0.5 * random())
}

/// From 0 to 1.
fn random() -> f64 {
    let mut byte = [0];
    // Without randomness, all the same time.
    let _ = SystemRandom::new().fill(&mut byte);
    f64::from(byte[0]) / 255.0
}
