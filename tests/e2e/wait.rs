//! Waiting for a condition, with a deadline.

use std::thread::sleep;
use std::time::{Duration, Instant};

/// Long enough for a machine that is busy with other things; reached only by a test that fails.
const PATIENCE: Duration = Duration::from_mins(1);
/// For thousands of writes there.
const MUCH: Duration = Duration::from_mins(5);
/// "Within seconds", on a machine that runs several tests at a time.
const SOON: Duration = Duration::from_secs(10);
/// Of what the controller does by itself, the slowest comes once a second.
const WHILE: Duration = Duration::from_secs(3);
const PAUSE: Duration = Duration::from_millis(50);

/// Returns what `look` finds, and fails the test when it finds nothing in time.
#[track_caller]
pub(crate) fn until<T>(what: &str, look: impl FnMut() -> Option<T>) -> T {
    in_time(look).unwrap_or_else(|| panic!("waited {} s in vain for {what}", PATIENCE.as_secs()))
}

/// The same for what is much to do.
#[track_caller]
pub(crate) fn at_last<T>(what: &str, look: impl FnMut() -> Option<T>) -> T {
    within(MUCH, look).unwrap_or_else(|| panic!("waited {} s in vain for {what}", MUCH.as_secs()))
}

/// The same for what has to come fast.
#[track_caller]
pub(crate) fn soon<T>(what: &str, look: impl FnMut() -> Option<T>) -> T {
    within(SOON, look).unwrap_or_else(|| panic!("waited {} s in vain for {what}", SOON.as_secs()))
}

/// Fails the test if `look` finds anything within a few seconds: for what must not happen, however late.
#[track_caller]
pub(crate) fn never<T: std::fmt::Debug>(what: &str, look: impl FnMut() -> Option<T>) {
    if let Some(found) = within(WHILE, look) {
        panic!("{what}: {found:?}");
    }
}

/// Lets a minute pass, for what is counted by the minute.
pub(crate) fn hold(what: &str) {
    eprintln!("{what}: {} s", PATIENCE.as_secs());
    sleep(PATIENCE);
}

/// Returns what `look` finds, if it finds anything in time; for cleaning up after a test that has failed.
pub(crate) fn in_time<T>(look: impl FnMut() -> Option<T>) -> Option<T> {
    within(PATIENCE, look)
}

fn within<T>(time: Duration, mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let deadline = Instant::now() + time;
    loop {
        let found = look();
        if found.is_some() || Instant::now() >= deadline {
            return found;
        }
        sleep(PAUSE);
    }
}
