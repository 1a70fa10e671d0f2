//! PURE: when a repair is part of a fight. Somebody else undoes it again and again; to go on would load the API server
//! and help nobody, so from the fifth repair in ten minutes on there is one every now and then.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::time::Duration;

/// So many repairs in [`WINDOW`] are a fight.
pub const REPAIRS: usize = 5;
/// How long a repair counts.
pub const WINDOW: Duration = Duration::from_mins(10);

/// What was repaired when. Times are since any fixed moment.
#[derive(Debug)]
pub struct Fights<K>(HashMap<K, VecDeque<Duration>>);

impl<K> Default for Fights<K> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<K: Eq + Hash> Fights<K> {
    /// How long to leave `what` alone; none if it may be repaired now.
    pub fn wait(&mut self, what: &K, now: Duration) -> Option<Duration> {
        let repairs = self.0.get_mut(what)?;
        repairs.retain(|repair| *repair + WINDOW > now);
        let oldest = repairs.front().copied();
        if repairs.is_empty() {
            self.0.remove(what);
            return None;
        }
        let fights = repairs.len() >= REPAIRS;
        oldest.filter(|_| fights).map(|oldest| (oldest + WINDOW).saturating_sub(now))
    }

    /// Notes a repair.
    pub fn repaired(&mut self, what: K, now: Duration) {
        self.0.entry(what).or_default().push_back(now);
    }

    /// Forgets all repairs of what `is_settled`: it is another one now, or was changed by ourselves.
    pub fn settle(&mut self, is_settled: impl Fn(&K) -> bool) {
        self.0.retain(|what, _| !is_settled(what));
    }

    /// Forgets what was last repaired too long ago to count.
    pub fn forget(&mut self, now: Duration) {
        self.0.retain(|_, repairs| repairs.back().is_some_and(|last| *last + WINDOW > now));
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
        let mut fights = Fights::default();
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
        let mut fights = Fights::default();
        for n in 0..50 {
            assert_eq!(fights.wait(&"a", at(n * 200)), None);
            fights.repaired("a", at(n * 200));
        }
        fights.forget(at(49 * 200 + 599));
        assert_eq!(fights.0.len(), 1);
        fights.forget(at(49 * 200 + 600));
        assert_eq!(fights.0.len(), 0);
    }
}
