//! Several replicas, one of which acts.

use std::time::Instant;

use serde_json::Value;

use crate::controller::audit::{Write, writes, writes_of};
use crate::controller::case::{Case, Controller};
use crate::space::Space;
use crate::wait::{never, soon, until};

/// A case with a Lease of its own, in its home.
struct Election {
    case: Case,
    space: Space,
}

impl Election {
    #[track_caller]
    fn new() -> Self {
        let case = Case::new();
        case.source("first");
        let space = case.space();
        Self { case, space }
    }

    /// Starts a replica, which stands for election in the namespace of its kubeconfig.
    #[track_caller]
    fn replica(&self) -> Controller {
        let user = self.case.user();
        let home = self.case.home.name.clone();
        let kubeconfig = self.case.kubeconfig(&user, |config| {
            config["contexts"][0]["context"]["namespace"] = home.into();
        });
        let lease = format!("-lease-name={}", self.case.secret);
        self.case.controller_with(user, &kubeconfig, &[], &["-enable-leader-election", &lease])
    }

    /// Two of them, the leader first.
    #[track_caller]
    fn replicas(&self) -> (Controller, Controller) {
        let first = self.replica();
        soon("a leader", || leads(&first).then_some(()));
        let second = self.replica();
        self.case.has(&self.space, "first");
        (first, second)
    }

    fn lease(&self) -> Value {
        self.case.home.kubectl(&format!("get lease {} -o json", self.case.secret)).json()
    }
}

fn leads(controller: &Controller) -> bool {
    controller.count("pullgate_controller_leader", &[]) == 1
}

/// What it wrote beside the Lease.
fn work(user: &str) -> Vec<Write> {
    writes_of(user).into_iter().filter(|write| write.resource != "leases").collect()
}

#[test]
fn one_of_two_replicas_acts_and_both_are_ready() {
    let election = Election::new();
    let (first, second) = election.replicas();
    assert!(leads(&first) && !leads(&second));
    election.case.source("second");
    election.case.has(&election.space, "second");
    never("a write of the one that does not lead", || writes(&second).pop());
    let spec = election.lease()["spec"].clone();
    assert_eq!(spec["leaseDurationSeconds"], 15);
    assert_eq!(spec["leaseTransitions"], 0);
    // It is as ready as the leader, or an update of the Deployment would never end.
    assert!(second.is_ready());
}

#[test]
fn a_leader_that_is_told_to_end_gives_the_lease_away() {
    let election = Election::new();
    let (mut first, second) = election.replicas();
    first.signal("TERM");
    let began = Instant::now();
    let status = soon("its end", || first.ended());
    assert!(status.success(), "{status}: {}", first.log());
    soon("another leader", || leads(&second).then_some(()));
    let took = began.elapsed();
    eprintln!("SIGTERM to another leader: {} ms", took.as_millis());
    assert!(took.as_secs() < 8, "{took:?} is the end of a Lease, not a release");
    election.case.source("second");
    election.case.has(&election.space, "second");
    assert_eq!(election.lease()["spec"]["leaseTransitions"], 1);
}

#[test]
fn a_replica_that_does_not_lead_has_no_lease_to_give_away() {
    let election = Election::new();
    let (first, mut second) = election.replicas();
    second.signal("TERM");
    let status = soon("its end", || second.ended());
    assert!(status.success(), "{status}: {}", second.log());
    assert!(!second.log().contains("given away"), "{}", second.log());
    assert!(leads(&first));
}

#[test]
fn a_killed_leader_is_replaced_within_twenty_seconds() {
    let election = Election::new();
    let (first, second) = election.replicas();

    let began = Instant::now();
    first.signal("KILL");
    until("another leader", || leads(&second).then_some(()));
    let took = began.elapsed();
    eprintln!("SIGKILL to another leader: {} ms", took.as_millis());
    assert!(took.as_secs() < 20, "{took:?}");
    election.case.source("second");
    election.case.has(&election.space, "second");
}

/// As a virtual machine that is moved, or a node out of memory: it learns of the time that went by from its clock only.
#[test]
fn a_leader_that_stood_still_past_its_time_writes_nothing_when_it_goes_on() {
    let election = Election::new();
    let (first, second) = election.replicas();
    first.signal("STOP");
    // It goes on in the middle of work: a rotation has been in the air, and copies are gone.
    election.case.source("second");
    until("another leader", || leads(&second).then_some(()));
    election.case.has(&election.space, "second");
    let before = (work(&first.user).len(), writes(&first).len());
    election.case.source("third");
    election.case.on_copy(&election.space, "delete").ok();
    first.signal("CONT");
    never("a write of the one that led", || work(&first.user).into_iter().nth(before.0));
    election.case.has(&election.space, "third");
    soon("that it knows", || (!leads(&first)).then_some(()));
    // Nor did it take the Lease back.
    assert!(leads(&second));
    let taken = writes(&first).into_iter().skip(before.1).filter(Write::was_taken);
    assert_eq!(taken.map(|write| write.what()).collect::<Vec<_>>(), Vec::<String>::new());
    // It is a candidate as before.
    second.signal("TERM");
    soon("the first one again", || leads(&first).then_some(()));
    election.case.source("fourth");
    election.case.has(&election.space, "fourth");
}

/// A short pause is none: the Lease is still its own.
#[test]
fn a_leader_that_stood_still_for_a_moment_goes_on() {
    let election = Election::new();
    let (first, second) = election.replicas();
    first.signal("STOP");
    never("another leader", || leads(&second).then_some(()));
    first.signal("CONT");
    election.case.source("second");
    election.case.has(&election.space, "second");
    assert!(leads(&first) && !leads(&second));
    assert_eq!(election.lease()["spec"]["leaseTransitions"], 0);
}
