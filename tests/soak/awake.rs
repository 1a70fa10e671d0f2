//! Cores that do not sleep.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{JoinHandle, available_parallelism, spawn};

/// A thread for each core that works for nothing, after everything else on this machine, until this is dropped.
///
/// A core without work takes a moment to wake up for the next call. What is compared with a quiet moment would win
/// by that, the more the busier it keeps the machine.
pub(crate) struct Awake {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Awake {
    pub(crate) fn start() -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let cores = available_parallelism().map_or(1, usize::from);
        let threads = (0..cores).map(|_| spin(Arc::clone(&stop))).collect();
        Self { stop, threads }
    }
}

fn spin(stop: Arc<AtomicBool>) -> JoinHandle<()> {
    spawn(move || {
        // A thread that may not step back would take a core from those that are measured.
        if rustix::process::setpriority_process(None, 19).is_ok() {
            while !stop.load(Ordering::Relaxed) {
                std::hint::spin_loop();
            }
        }
    })
}

impl Drop for Awake {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            drop(thread.join());
        }
    }
}
