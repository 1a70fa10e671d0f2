//! An API server that is gone, refuses, forgets, or cannot be reached for a while; and a clock that is wrong.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use crate::controller::api_server::ApiServer;
use crate::controller::case::{Case, Controller, uid};
use crate::controller::line::Line;
use crate::neighbour::Reply;
use crate::space::Space;
use crate::wait::{never, soon, until};

/// A controller at the end of a line, and a namespace that has everything.
struct Remote {
    controller: Controller,
    line: Line,
    space: Space,
    case: Case,
}

impl Remote {
    #[track_caller]
    fn new() -> Self {
        Self::with(Case::new(), &[])
    }

    #[track_caller]
    fn with(case: Case, flags: &[&str]) -> Self {
        case.source("first");
        let (line, user) = (Line::new(), case.user());
        let kubeconfig = line.kubeconfig(&case, &user);
        let space = case.space();
        let controller = case.controller_with(user, &kubeconfig, &[], flags);
        case.has(&space, "first");
        Self { controller, line, space, case }
    }

    /// How many requests were answered so, as the controller counts them.
    fn requests(&self, labels: &[&str]) -> u64 {
        self.controller.count("pullgate_controller_api_requests_total", labels)
    }

    /// Lets writes in the namespace fail, this many from here on.
    fn refuse_writes(&self, times: usize, reply: impl Fn() -> Reply + Send + 'static) -> Arc<AtomicUsize> {
        let refused = Arc::new(AtomicUsize::new(0));
        let (count, place) = (Arc::clone(&refused), format!("/namespaces/{}/", self.space.name));
        self.line.answer(move |asked| {
            let here = asked.is_write() && asked.target.contains(&place);
            (here && count.load(Ordering::Relaxed) < times).then(|| {
                count.fetch_add(1, Ordering::Relaxed);
                reply()
            })
        });
        refused
    }
}

fn status(code: u16, reason: &str, details: &Value) -> String {
    json!({
        "kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": reason,
        "message": format!("told to be {reason}"), "details": details,
    })
    .to_string()
}

#[test]
fn a_connection_that_is_cut_loses_nothing_that_happened_meanwhile() {
    let remote = Remote::new();
    let Remote { line, space, case, .. } = &remote;
    let before = case.copy(space).expect("the copy");
    line.cut();
    case.source("second");
    assert_eq!(uid(&case.has(space, "second")), uid(&before));

    line.down();
    let later = case.space();
    case.source("third");
    case.on_copy(space, "delete").ok();
    let strip = r#"--patch={"imagePullSecrets":null}"#;
    space.kubectl(&format!("patch serviceaccount {} --type=merge", case.account)).word(strip).ok();
    never("a copy without a line", || case.copy(&later));
    line.up();
    // The back-off has grown meanwhile.
    until("the copies", || case.copy(space).and(case.copy(&later)));
    case.has(space, "third");
    case.has(&later, "third");
}

/// Too busy: as the API server says it, in its own words without an object, and with one that names a time.
#[test]
fn a_busy_api_server_is_asked_again_and_not_at_once() {
    let in_words = || Reply {
        status: 429,
        headers: vec![("Retry-After", "1")],
        body: "Too many requests, please try again later.\n".to_owned(),
    };
    let in_an_object = || Reply {
        status: 429,
        headers: vec![("Retry-After", "2")],
        body: status(429, "TooManyRequests", &json!({"retryAfterSeconds": 2})),
    };
    let remote = Remote::new();
    let refused = remote.refuse_writes(3, in_words);
    remote.case.source("second");
    until("the rotation", || {
        let copy = remote.case.copy(&remote.space)?;
        (crate::controller::case::content_of(&copy)? == crate::controller::case::login("second"))
            .then_some(())
    });
    assert_eq!(refused.load(Ordering::Relaxed), 3);
    assert_eq!(remote.requests(&["code=\"429\""]), 3);

    let refused = remote.refuse_writes(1, in_an_object);
    remote.case.on_copy(&remote.space, "delete").ok();
    let began = std::time::Instant::now();
    soon("a refusal", || (refused.load(Ordering::Relaxed) == 1).then_some(()));
    remote.case.has(&remote.space, "second");
    assert!(began.elapsed().as_millis() > 1_900, "{:?} is before its time", began.elapsed());
}

#[test]
fn failures_and_conflicts_are_tried_again_until_all_is_as_wanted() {
    let remote = Remote::new();
    for (code, reason) in
        [(500, "InternalError"), (503, "ServiceUnavailable"), (409, "Conflict"), (422, "Invalid")]
    {
        let refused = remote.refuse_writes(2, move || Reply {
            status: code,
            headers: Vec::new(),
            body: status(code, reason, &json!({})),
        });
        remote.case.on_copy(&remote.space, "delete").ok();
        remote.case.has(&remote.space, "first");
        assert_eq!(refused.load(Ordering::Relaxed), 2, "{code}");
    }
}

/// Looks at everything come and go meanwhile.
#[test]
fn what_fails_again_and_again_is_tried_less_and_less_often() {
    let remote = Remote::with(Case::new(), &["-loop-duration=1s"]);
    let refused = remote.refuse_writes(usize::MAX, || Reply {
        status: 500,
        headers: Vec::new(),
        body: status(500, "InternalError", &json!({})),
    });
    remote.case.on_copy(&remote.space, "delete").ok();
    let began = std::time::Instant::now();
    until("a sixth attempt", || (refused.load(Ordering::Relaxed) >= 6).then_some(()));
    assert!(began.elapsed().as_millis() > 7_500, "{:?} is before its time", began.elapsed());
}

/// A policy refuses with the status of a conflict; what lasts is said.
#[test]
fn a_refusal_with_the_status_of_a_conflict_is_said_when_it_lasts() {
    let remote = Remote::new();
    remote.refuse_writes(6, || Reply {
        status: 422,
        headers: Vec::new(),
        body: status(422, "Invalid", &json!({})),
    });
    remote.case.on_copy(&remote.space, "delete").ok();
    until("a word about it", || remote.controller.log().contains("told to be Invalid").then_some(()));
    until("the copy", || remote.case.copy(&remote.space));
}

/// The history that a watch wants to go on from is gone: everything is listed anew, and what is not in a list is gone.
#[test]
fn a_watch_whose_history_is_gone_begins_anew() {
    let remote = Remote::new();
    let Remote { line, space, case, .. } = &remote;
    let later = case.space();
    case.has(&later, "first");
    line.answer(|asked| {
        let gone = status(410, "Expired", &json!({}));
        let event =
            json!({"type": "ERROR", "object": serde_json::from_str::<Value>(&gone).unwrap_or_default()});
        asked.is_watch().then(|| Reply { status: 200, headers: Vec::new(), body: format!("{event}\n") })
    });
    let lists = remote.requests(&["verb=\"get\""]);
    line.cut();
    until("lists, again", || (remote.requests(&["verb=\"get\""]) > lists + 4).then_some(()));
    // Seen by lists alone.
    case.on_copy(space, "delete").ok();
    case.source("second");
    line.answer(|_| None);
    until("the new content", || case.copy(space));
    case.has(space, "second");
    case.has(&later, "second");
}

/// A list that cannot be had is no empty list, and neither is one that breaks off.
#[test]
fn what_cannot_be_listed_is_not_taken_for_gone() {
    // How often it lists where it may not watch.
    let remote = Remote::with(Case::new(), &["-loop-duration=1s"]);
    let Remote { line, space, case, controller } = &remote;
    let before = case.copy(space).expect("the copy");
    let deletions = || controller.count("pullgate_controller_writes_total", &["action=\"delete\""]);
    for reply in [
        (500, status(500, "InternalError", &json!({}))),
        (403, status(403, "Forbidden", &json!({}))),
        (200, String::new()),
        (200, r#"{"kind":"List","items":["#.to_owned()),
    ] {
        let asked = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&asked);
        let (code, body) = reply.clone();
        line.answer(move |asked| {
            (!asked.is_write()).then(|| {
                count.fetch_add(1, Ordering::Relaxed);
                Reply { status: code, headers: Vec::new(), body: body.clone() }
            })
        });
        line.cut();
        until("requests", || (asked.load(Ordering::Relaxed) > 6).then_some(()));
        assert_eq!(case.copy(space).expect("the copy"), before, "{reply:?}");
        assert_eq!(deletions(), 0);
        line.answer(|_| None);
    }
    case.source("second");
    until("the new content", || {
        let copy = case.copy(space)?;
        (crate::controller::case::content_of(&copy)? == crate::controller::case::login("second"))
            .then_some(())
    });
    assert_eq!(uid(&case.has(space, "second")), uid(&before));
}

/// Killed, with a controller that sees nothing until it is back: the history that its watches want is gone with it.
#[test]
fn an_api_server_that_starts_again_is_found_again() {
    let remote = Remote::with(Case::alone(), &[]);
    let Remote { line, space, case, controller } = &remote;
    let before = case.copy(space).expect("the copy");
    let lost = case.space();
    case.has(&lost, "first");
    line.down();
    case.on_copy(&lost, "delete").ok();
    case.source("second");
    ApiServer::running().restart();
    line.up();
    until("the new content", || case.copy(&lost));
    case.has(&lost, "second");
    assert_eq!(uid(&case.has(space, "second")), uid(&before));

    // And one that is killed while it is asked.
    ApiServer::running().restart();
    case.source("third");
    until("the new content", || {
        let copy = case.copy(space)?;
        (crate::controller::case::content_of(&copy)? == crate::controller::case::login("third")).then_some(())
    });
    assert_eq!(uid(&case.has(space, "third")), uid(&before));
    assert_eq!(controller.count("pullgate_controller_writes_total", &["action=\"delete\""]), 0);
}

/// Debian's folder for libraries is named after the machine.
#[track_caller]
fn faketime() -> PathBuf {
    let folders = std::fs::read_dir("/usr/lib").expect("a folder").flatten().map(|entry| entry.path());
    let mut all = folders.map(|folder| folder.join("faketime/libfaketime.so.1"));
    all.find(|library| library.exists()).unwrap_or_else(|| {
        panic!("not run: needs libfaketime (Debian: apt-get install faketime). Without it leave this test out by name")
    })
}

/// Times in a Lease are those of whoever wrote it; only their change is looked at.
#[test]
fn clocks_that_are_years_apart_elect_one_leader() {
    let library = faketime();
    let library = library.to_str().expect("a path in UTF-8");
    let case = Case::new();
    case.source("first");
    let (line, space) = (Line::new(), case.space());
    let lease = format!("-lease-name={}", case.secret);
    let start = |clock: &str| {
        let user = case.user();
        let kubeconfig = line.kubeconfig(&case, &user);
        let variables = [("LD_PRELOAD", library), ("FAKETIME", clock), ("FAKETIME_DONT_FAKE_MONOTONIC", "1")];
        case.controller_with(user, &kubeconfig, &variables, &["-enable-leader-election", &lease])
    };
    let leads = |controller: &Controller| controller.count("pullgate_controller_leader", &[]) == 1;
    let mut leader = start("+10y");
    soon("a leader", || leads(&leader).then_some(()));
    for clock in ["-10y", "+0", "+20y"] {
        let next = start(clock);
        never("two leaders", || leads(&next).then_some(clock));
        let renewed = case.home.kubectl(&format!("get lease {} -o json", case.secret)).json();
        eprintln!("renewed at {} by the clock of its leader", renewed["spec"]["renewTime"]);
        leader.signal("KILL");
        until("the next leader", || leads(&next).then_some(()));
        case.source(clock);
        case.has(&space, clock);
        leader = next;
    }
}
