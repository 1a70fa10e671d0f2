//! PURE: what is the next thing to do about the webhook's certificate, and until when there is nothing.
//!
//! Whoever calls the webhook trusts what the registration says, and each replica serves what its kubelet last brought: two
//! things that change at different times. So there is an order, with time in between:
//!
//! ```text
//! new authority -> written down, trusted beside the old one -> (SETTLE) -> it signs what is served -> (overlap) -> the old one goes
//! ```

use std::time::Duration;

use crate::certs::{Certificate, trusts};

/// How long API servers may take to notice what they are to trust.
pub const SETTLE: Duration = Duration::from_secs(30);

/// What is wanted.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// Names that the webhook is called by; the first one is what the API server uses.
    pub names: Vec<String>,
    /// How long an authority stays trusted after what it signed was replaced.
    pub overlap: Duration,
    /// Whether authorities are made here.
    pub own_authority: bool,
}

/// What there is.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// Who signs from now on: our own authority, if its key is there, or those of the signer.
    pub issuers: Vec<Certificate>,
    /// Who is to be trusted, as it was written down.
    pub remembered: Vec<Certificate>,
    /// The chain that is served, if its key goes with it.
    pub serving: Vec<Certificate>,
    /// Who is trusted, by each webhook of the registration; none, where nothing is registered.
    pub trusted: Vec<Vec<Certificate>>,
}

/// A thing to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Make an authority, and write it down before these.
    Authority(Vec<Certificate>),
    /// Write down who is to be trusted.
    Remember(Vec<Certificate>),
    /// Have the registration trust these.
    Trust(Vec<Certificate>),
    /// Have a certificate issued, and serve it.
    Serve,
}

/// The next thing to do, or when to look again (seconds since 1970).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Plan {
    /// Now.
    Do(Step),
    /// Not before something changes, or then.
    Wait(i64),
    /// Nothing will do, because of this.
    Stuck(&'static str),
}

/// What to do next.
#[must_use]
pub fn plan(wanted: &Wanted, seen: &Seen, now: i64) -> Plan {
    // By this clock nobody would accept what it signs, however often.
    if seen.issuers.first().is_some_and(|issuer| issuer.not_before > now) {
        return Plan::Stuck(
            "the authority is not valid yet: see this machine's clock, and that of who made it",
        );
    }
    let accepts = |authorities: &[Certificate]| {
        wanted.names.iter().all(|name| trusts(authorities, &seen.serving, name, now).is_ok())
    };
    let is_ours = accepts(&seen.issuers);
    let served_since = seen.serving.first().map_or(now, Certificate::made);
    let is_replaced = is_ours && now >= after(served_since, wanted.overlap);

    let mut trust: Vec<Certificate> = Vec::new();
    let mut add = |certificate: &Certificate| {
        if !certificate.is_over(now) && !trust.contains(certificate) {
            trust.push(certificate.clone());
        }
    };
    seen.issuers.iter().for_each(&mut add);
    if !is_replaced {
        seen.remembered.iter().for_each(&mut add);
        // Whoever registered it before, by whatever means: what is served goes on being trusted.
        let known = seen.trusted.iter().flatten();
        let vouches = |certificate: &&Certificate| accepts(std::slice::from_ref(*certificate));
        known.filter(vouches).for_each(&mut add);
    }

    if wanted.own_authority && seen.issuers.first().is_none_or(|issuer| now >= issuer.due()) {
        return Plan::Do(Step::Authority(trust));
    }
    if seen.remembered != trust {
        return Plan::Do(Step::Remember(trust));
    }
    if seen.trusted.iter().any(|trusted| *trusted != trust) {
        return Plan::Do(Step::Trust(trust));
    }

    let due = seen.serving.first().map_or(now, Certificate::due);
    let is_accepted = accepts(&trust);
    let issuer = seen.issuers.first();
    // Nothing to wait for, where it is not accepted as it is.
    let serve_from = if !is_accepted {
        now
    } else if is_ours {
        due
    } else if wanted.own_authority {
        issuer.map_or(now, |issuer| after(issuer.made(), SETTLE.min(wanted.overlap)))
    } else {
        now
    };
    if now >= serve_from {
        return Plan::Do(Step::Serve);
    }
    let issuer_due = issuer.filter(|_| wanted.own_authority).map(Certificate::due);
    let goes = (is_ours && !is_replaced).then(|| after(served_since, wanted.overlap));
    let ends = trust.iter().map(|certificate| certificate.not_after);
    let next = ends.chain(issuer_due).chain(goes).fold(serve_from, i64::min);
    Plan::Wait(next)
}

fn after(time: i64, wait: Duration) -> i64 {
    time.saturating_add(i64::try_from(wait.as_secs()).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use time::{Duration as Span, OffsetDateTime};

    use super::*;
    use crate::certs::{Authority, authority, leaf, read};

    const START: i64 = 1_800_000_000;
    const NAME: &str = "pullgate.pullgate.svc";

    /// What is in the cluster, with keys, and a clock.
    struct World {
        now: i64,
        wanted: Wanted,
        own: Option<Authority>,
        seen: Seen,
        /// What replicas serve, which they do some time after it was issued.
        replicas: Vec<Certificate>,
    }

    impl World {
        fn new() -> Self {
            let names = vec![NAME.to_owned(), "pullgate".to_owned()];
            let wanted = Wanted { names, overlap: Duration::from_hours(1), own_authority: true };
            let seen = Seen { trusted: vec![Vec::new(), Vec::new()], ..Seen::default() };
            Self { now: START, wanted, own: None, seen, replicas: Vec::new() }
        }

        fn time(&self) -> OffsetDateTime {
            OffsetDateTime::from_unix_timestamp(self.now).unwrap()
        }

        fn carry_out(&mut self, step: Step) {
            match step {
                Step::Authority(others) => {
                    let made = authority("ca", self.time(), Span::days(300)).unwrap();
                    let own = read(made.certificate.as_bytes());
                    self.seen.issuers = own.clone();
                    self.seen.remembered = [own, others].concat();
                    self.own = Some(made);
                }
                Step::Remember(trust) => self.seen.remembered = trust,
                Step::Trust(trust) => self.seen.trusted.fill(trust),
                Step::Serve => {
                    let own = self.own.as_ref().unwrap();
                    let pair = leaf(own, &self.wanted.names, self.time(), Span::days(30)).unwrap();
                    self.seen.serving = read(pair.certificate.as_bytes());
                }
            }
        }

        /// Does what there is to do now, and returns what that was.
        fn settle(&mut self) -> Vec<Step> {
            let mut steps = Vec::new();
            while let Plan::Do(step) = plan(&self.wanted, &self.seen, self.now) {
                steps.push(step.clone());
                assert!(steps.len() < 10, "it never ends: {steps:?}");
                self.carry_out(step);
            }
            steps
        }

        fn wait(&mut self) {
            let Plan::Wait(until) = plan(&self.wanted, &self.seen, self.now) else { panic!("not settled") };
            assert!(until > self.now);
            self.now = until;
        }

        fn replicas_catch_up(&mut self) {
            self.replicas.clone_from(&self.seen.serving);
        }

        /// Whether a call succeeds, by whatever webhook of the registration.
        fn answers(&self) -> bool {
            self.seen.trusted.iter().all(|trusted| trusts(trusted, &self.replicas, NAME, self.now).is_ok())
        }
    }

    fn kinds(steps: &[Step]) -> Vec<&'static str> {
        let kind = |step: &Step| match step {
            Step::Authority(_) => "authority",
            Step::Remember(_) => "remember",
            Step::Trust(_) => "trust",
            Step::Serve => "serve",
        };
        steps.iter().map(kind).collect()
    }

    #[test]
    fn from_nothing_all_is_made_in_an_order() {
        let mut world = World::new();
        assert_eq!(kinds(&world.settle()), ["authority", "trust", "serve"]);
        world.replicas_catch_up();
        assert!(world.answers());
        assert_eq!(world.seen.trusted[0], world.seen.issuers);
    }

    #[test]
    fn for_years_every_call_is_answered_whenever_replicas_notice_within_the_overlap() {
        let mut world = World::new();
        world.settle();
        world.replicas_catch_up();
        let (mut authorities, mut leaves) = (1, 1);
        while world.now < START + 3 * 365 * 86_400 {
            world.wait();
            let before = world.now;
            for step in world.settle() {
                authorities += i32::from(matches!(step, Step::Authority(_)));
                leaves += i32::from(step == Step::Serve);
            }
            assert!(world.answers(), "just after a step, at {}", world.now - START);
            // As late as may be: a second before an authority may go.
            let renewed = world.replicas != world.seen.serving;
            if renewed {
                world.now = before + 3599;
                assert!(world.answers(), "before replicas notice, at {}", world.now - START);
                world.replicas_catch_up();
                assert!(world.answers(), "after they have, at {}", world.now - START);
            }
            assert!(world.seen.trusted[0].len() <= 2);
        }
        assert!(authorities >= 5 && leaves >= 40, "{authorities} {leaves}");
        assert_eq!(world.seen.trusted[0], world.seen.issuers);
    }

    #[test]
    fn an_authority_signs_only_when_it_has_been_trusted_for_a_while() {
        let mut world = World::new();
        world.settle();
        world.replicas_catch_up();
        let old = world.seen.issuers[0].clone();
        // Its Secret is deleted, by whoever wants another authority.
        (world.seen.issuers, world.seen.remembered) = (Vec::new(), Vec::new());
        assert_eq!(kinds(&world.settle()), ["authority", "trust"]);
        assert_eq!(world.seen.trusted[1], [world.seen.issuers[0].clone(), old.clone()]);
        let made = world.now;
        world.wait();
        assert_eq!(world.now, made + 30);
        assert_eq!(kinds(&world.settle()), ["serve"]);
        assert!(world.seen.trusted[0].contains(&old) && world.answers());
        world.replicas_catch_up();
        world.wait();
        assert_eq!(world.now, made + 30 + 3600);
        assert_eq!(kinds(&world.settle()), ["remember", "trust"]);
        assert_eq!(world.seen.trusted[0], world.seen.issuers);
        assert!(world.answers());
    }

    #[test]
    fn what_another_way_has_registered_goes_on_being_trusted() {
        let mut world = World::new();
        let theirs = authority("theirs", world.time(), Span::days(3000)).unwrap();
        let stranger =
            authority("of another certificate", world.time(), Span::days(3000)).unwrap().certificate;
        let pair = leaf(&theirs, &world.wanted.names, world.time(), Span::days(365)).unwrap();
        world.seen.serving = read(pair.certificate.as_bytes());
        world.seen.trusted =
            vec![read([theirs.certificate.as_bytes(), stranger.as_bytes()].concat().as_slice())];
        world.replicas_catch_up();
        assert_eq!(kinds(&world.settle()), ["authority", "trust"]);
        assert!(world.answers());
        assert_eq!(world.seen.trusted[0].len(), 2);
        world.wait();
        assert_eq!(kinds(&world.settle()), ["serve"]);
        assert!(world.answers());
    }

    #[test]
    fn what_is_not_accepted_is_replaced_at_once() {
        for spoil in [
            |world: &mut World| world.seen.serving.clear(),
            |world: &mut World| world.wanted.names.push("of.another.namespace.svc".to_owned()),
            |world: &mut World| world.now = world.seen.serving[0].not_after,
        ] {
            let mut world = World::new();
            world.settle();
            spoil(&mut world);
            assert_eq!(kinds(&world.settle()), ["serve"]);
        }
        // And what the registration says wrong, too.
        let mut world = World::new();
        world.settle();
        world.seen.trusted[1].clear();
        assert_eq!(kinds(&world.settle()), ["trust"]);
        // Where nothing is registered, there is nothing to say there.
        world.seen.trusted.clear();
        assert_eq!(world.settle(), []);
    }

    #[test]
    fn by_a_clock_that_is_behind_nothing_is_issued() {
        let mut world = World::new();
        world.settle();
        let made = world.now;
        world.now -= 86_400;
        assert!(matches!(plan(&world.wanted, &world.seen, world.now), Plan::Stuck(_)));
        // A little does not matter.
        world.now = made - 1800;
        assert_eq!(world.settle(), []);
    }

    #[test]
    fn of_a_signer_the_authority_is_never_made_here() {
        let mut world = World::new();
        let signer = authority("signer", world.time(), Span::days(3000)).unwrap();
        world.wanted.own_authority = false;
        world.seen.issuers = read(signer.certificate.as_bytes());
        world.own = Some(signer);
        assert_eq!(kinds(&world.settle()), ["remember", "trust", "serve"]);
        for _ in 0..30 {
            world.wait();
            assert!(kinds(&world.settle()).iter().all(|kind| *kind == "serve"));
        }
        // The signer has another one: what it signed before is trusted until it is replaced.
        let signer = authority("signer", world.time(), Span::days(3000)).unwrap();
        world.seen.issuers = read(signer.certificate.as_bytes());
        world.own = Some(signer);
        world.replicas_catch_up();
        assert_eq!(kinds(&world.settle()), ["remember", "trust", "serve"]);
        assert!(world.answers());
        world.replicas_catch_up();
        world.wait();
        assert_eq!(kinds(&world.settle()), ["remember", "trust"]);
        assert!(world.answers());
    }
}
