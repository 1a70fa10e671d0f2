//! Well-behaved clients, which every fault is judged by: they keep a pace, and each of their answers is examined.
//!
//! They have a thread and a runtime of their own, so that what the harness does beside is not measured as the
//! server's time.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::time::MissedTickBehavior;

use crate::client::{Caller, Response, TlsSettings};
use crate::report::{Judged, Tally};
use crate::victim::favour_this_thread;

/// What is called, and how an answer is judged.
pub(crate) trait Calls: Clone + Send + 'static {
    fn request(&self, client: usize, number: u64) -> Vec<u8>;
    /// Judges an answer that came.
    fn judge(&self, client: usize, number: u64, response: &Response) -> Judged;
}

/// How many clients there are, and what each of them does.
#[derive(Clone, Copy)]
pub(crate) struct Manner {
    pub(crate) clients: usize,
    /// From one call of a client to its next, which waits for the answer to the former.
    pub(crate) every: Duration,
    /// The first so many clients make each call on a new connection.
    pub(crate) reconnecting: usize,
}

impl Manner {
    /// 200 calls per second of 8 clients that keep their connections.
    pub(crate) const STEADY: Self = Self { clients: 8, every: Duration::from_millis(40), reconnecting: 0 };

    /// Calls per second, where each is answered before its client's next one is due: nobody sends two at once.
    pub(crate) fn pace(self) -> f64 {
        f64::from(u32::try_from(self.clients).unwrap_or(u32::MAX)) / self.every.as_secs_f64()
    }
}

/// Clients at work.
pub(crate) struct Load {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Tally>,
}

impl Load {
    pub(crate) fn start(address: SocketAddr, tls: &TlsSettings, manner: Manner, calls: impl Calls) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (stopped, tls) = (Arc::clone(&stop), tls.clone());
        let thread = std::thread::spawn(move || {
            favour_this_thread();
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime").block_on(async {
                let began = Instant::now();
                let mut tasks = tokio::task::JoinSet::new();
                for client in 0..manner.clients {
                    let caller = Caller::new(address, &tls);
                    tasks.spawn(call(client, caller, manner, calls.clone(), Arc::clone(&stopped)));
                }
                let mut all = Tally::default();
                while let Some(tally) = tasks.join_next().await {
                    all.merge(tally.expect("a client does not panic"));
                }
                all.lasted = began.elapsed();
                all
            })
        });
        Self { stop, thread }
    }

    /// Lets each client finish its call, and counts.
    pub(crate) async fn end(self) -> Tally {
        self.stop.store(true, Ordering::Release);
        let joined = tokio::task::spawn_blocking(move || self.thread.join()).await;
        joined.expect("joined").expect("clients do not panic")
    }
}

async fn call(
    client: usize,
    mut caller: Caller,
    manner: Manner,
    calls: impl Calls,
    stop: Arc<AtomicBool>,
) -> Tally {
    let mut tally = Tally::default();
    if client >= manner.reconnecting {
        // Not with the first call: the handshakes of those would be the slowest hundredth of a short time.
        if let Err(failure) = caller.connect().await {
            tally.add(Judged::Failed(failure.to_string()), Duration::ZERO);
        }
    }
    // Not all at the same moment.
    let share = u32::try_from(client).unwrap_or(0);
    let all = u32::try_from(manner.clients).unwrap_or(1);
    tokio::time::sleep(manner.every * share / all).await;
    let mut ticks = tokio::time::interval(manner.every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut number = 0;
    while !stop.load(Ordering::Acquire) {
        ticks.tick().await;
        if client < manner.reconnecting {
            caller.hang_up();
        }
        let request = calls.request(client, number);
        let began = Instant::now();
        let answer = caller.call(&request).await;
        let took = began.elapsed();
        let judged = match &answer {
            Ok(response) => calls.judge(client, number, response),
            Err(failure) => Judged::Failed(failure.to_string()),
        };
        if matches!(judged, Judged::Right) {
            // Whoever waits sends nothing meanwhile. The calls that were due count too, or a pause of the server would be
            // one slow call among hundreds.
            let missed =
                std::iter::successors(took.checked_sub(manner.every), |late| late.checked_sub(manner.every));
            tally.times.extend(missed);
        }
        tally.add(judged, took);
        number += 1;
    }
    tally.connections = caller.connections;
    tally
}
