//! How many connections the system lets us have: each is an open file.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Files that are no connections of the webhook: its own, certificates that are read, probes and scrapes.
const RESERVED: u64 = 100;
/// An idle connection takes 27 kB: so many fit beside full buffers into the memory that the generated manifests allow.
const MOST: u64 = 7_000;

/// Raises the limit of open files as far as that is ours to do, and returns how many connections that makes, at
/// least one hundred.
///
/// Systems keep the soft limit at 1,024 for programs that use `select`, and expect all others to raise it.
pub(crate) fn connections() -> usize {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let wanted = maximum.map_or(MOST + RESERVED, |maximum| maximum.min(MOST + RESERVED));
    // None is no limit.
    let limit = match current {
        Some(current) if current < wanted => {
            let raised = setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum });
            if raised.is_ok() { wanted } else { current }
        }
        _ => wanted,
    };
    usize::try_from(limit.saturating_sub(RESERVED).clamp(100, MOST)).unwrap_or(100)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_soft_limit_is_raised_to_the_hard_one() {
        let before = getrlimit(Resource::Nofile);
        let hard = before.maximum.unwrap_or(MOST + RESERVED).min(MOST + RESERVED);
        setrlimit(Resource::Nofile, Rlimit { current: Some(500), ..before }).unwrap();
        let connections = connections() as u64;
        assert_eq!(getrlimit(Resource::Nofile).current, Some(hard));
        assert_eq!(connections, (hard - RESERVED).max(100));
    }
}
