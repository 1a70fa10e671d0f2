//! PURE: when a repair is part of a fight. Somebody else undoes it again and again; to go on would load the API server
//! and help nobody, so after so many repairs in so short a time there is one every now and then.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::time::Duration;

/// How many repairs in which time are a fight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// So many.
    pub repairs: usize,
    /// How long each counts.
    pub window: Duration,
}

/// For references of accounts.
pub const REFERENCES: Limit = Limit { repairs: 5, window: Duration::from_mins(10) };
/// For copies, which have to heal within seconds.
pub const COPIES: Limit = Limit { repairs: 5, window: Duration::from_secs(10) };

/// What was repaired when. Times are since any fixed moment.
#[derive(Debug)]
pub struct Fights<K> {
    limit: Limit,
    repairs: HashMap<K, VecDeque<Duration>>,
}

impl<K: Eq + Hash> Fights<K> {
    /// None yet.
    #[must_use]
    pub fn new(limit: Limit) -> Self {
        Self { limit, repairs: HashMap::new() }
    }

    /// How long to leave `what` alone; none if it may be repaired now.
    pub fn wait(&mut self, what: &K, now: Duration) -> Option<Duration> {
        let Limit { repairs: most, window } = self.limit;
        let repairs = self.repairs.get_mut(what)?;
        repairs.retain(|repair| *repair + window > now);
        let oldest = repairs.front().copied();
        if repairs.is_empty() {
            self.repairs.remove(what);
            return None;
        }
        let fights = repairs.len() >= most;
        oldest.filter(|_| fights).map(|oldest| (oldest + window).saturating_sub(now))
    }

    /// Notes a repair.
    pub fn repaired(&mut self, what: K, now: Duration) {
        self.repairs.entry(what).or_default().push_back(now);
    }

    /// Forgets all repairs of what `is_settled`: it is another one now, or was changed by ourselves.
    pub fn settle(&mut self, is_settled: impl Fn(&K) -> bool) {
        self.repairs.retain(|what, _| !is_settled(what));
    }

    /// Forgets what was last repaired too long ago to count.
    pub fn forget(&mut self, now: Duration) {
        let window = self.limit.window;
        self.repairs.retain(|_, repairs| repairs.back().is_some_and(|last| *last + window > now));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn five_repairs_in_ten_minutes_are_a_fight() {
        let mut fights = Fights::new(REFERENCES);
        for second in 0..5 {
            assert_eq!(fights.wait(&"a", at(second)), None);
            fights.repaired("a", at(second));
        }
        assert_eq!(fights.wait(&"a", at(60)), Some(at(540)));
        assert_eq!(fights.wait(&"b", at(60)), None);
        assert_eq!(fights.wait(&"a", at(599)), Some(at(1)));
        // The first of them has ended; one more repair, and it is a fight again.
        assert_eq!(fights.wait(&"a", at(600)), None);
        fights.repaired("a", at(600));
        assert_eq!(fights.wait(&"a", at(600)), Some(at(1)));
    }

    #[test]
    fn repairs_far_apart_are_no_fight_and_are_forgotten() {
        let mut fights = Fights::new(REFERENCES);
        for n in 0..50 {
            assert_eq!(fights.wait(&"a", at(n * 200)), None);
            fights.repaired("a", at(n * 200));
        }
        fights.forget(at(49 * 200 + 599));
        assert_eq!(fights.repairs.len(), 1);
        fights.forget(at(49 * 200 + 600));
        assert_eq!(fights.repairs.len(), 0);
    }
}
