//! The network edge of the webhook.
//!
//! ```text
//! TLS port:    tls --> server --> handler --body::read--> answer::answer --> handler
//! health port: http_server
//! SIGTERM:     readiness off, go on serving, stop accepting, finish, exit (server)
//! ```

pub mod body;
mod handler;
mod server;
pub mod tls;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Instant;

use crate::config::Serving;
use crate::http_server::Probed;
use crate::metrics::Metrics;
use crate::policy::Policy;
use crate::review::BadReview;

pub use server::{ServeError, Started, Stop, Stopped, start};

/// How a body is answered; a parameter so that tests can put a defect in its place.
pub type AnswerFn = fn(&App, &[u8], Instant) -> Result<Vec<u8>, BadReview>;

/// What all workers share.
pub struct App {
    policy: Policy,
    limits: Serving,
    metrics: Arc<Metrics>,
    budget: Arc<body::Budget>,
    /// On from the first signal: `/readyz` fails and connections are closed after their next answer.
    draining: AtomicBool,
    in_flight: AtomicUsize,
    answer: AnswerFn,
}

impl App {
    /// Puts policy and limits together.
    #[must_use]
    pub fn new(policy: Policy, limits: Serving) -> Self {
        let budget = body::Budget::new(limits.max_buffered_bytes);
        Self {
            policy,
            limits,
            metrics: Arc::default(),
            budget,
            draining: AtomicBool::new(false),
            in_flight: AtomicUsize::new(0),
            answer: handler::admit,
        }
    }

    /// The same with another way to answer.
    #[must_use]
    pub fn with_answer(mut self, answer: AnswerFn) -> Self {
        self.answer = answer;
        self
    }
}

impl Probed for App {
    fn unready(&self) -> Option<&'static str> {
        self.draining.load(Ordering::Acquire).then_some("shutting down")
    }

    fn metrics(&self) -> Result<String, fmt::Error> {
        self.metrics.encode()
    }
}
