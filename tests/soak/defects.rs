//! A defect in the handler. The program as it is shipped has no switch for one, so this is its library with another
//! way to answer, in this process.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use pullgate::answer::answer;
use pullgate::certs::self_signed;
use pullgate::config::Config;
use pullgate::policy::Policy;
use pullgate::webhook::{App, Stop, start, tls};
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::Setting;
use crate::client::{Caller, TlsSettings, review};
use crate::load::{Load, Manner};
use crate::report::{Judged, Row, Tally, list};
use crate::reviews::{Reviews, call, judge};

/// A uid that makes the handler panic.
const DEADLY: &str = "soak-deadly";
const CLIENTS: usize = 4;

pub(crate) async fn run(setting: &'static Setting) -> Vec<Row> {
    let mut row = Row::new(format!(
        "every second call of {CLIENTS} clients panics, beside {} honest ones",
        Manner::STEADY.clients
    ));
    // One line each is enough of the panics that are wanted.
    std::panic::set_hook(Box::new(|_| ()));
    let (address, tls, stop, thread) = defective();
    let honest = Load::start(address, &tls, Manner::STEADY, Reviews::new(Manner::STEADY.clients, 4_000));
    let end = Instant::now() + Duration::from_secs(setting.full_or_short(10, 2));
    let mut tasks = JoinSet::new();
    for client in 0..CLIENTS {
        // The larger half is worked on by other threads.
        let size = if client % 2 == 0 { 4_000 } else { 400_000 };
        tasks.spawn(clash(address, tls.clone(), size, end));
    }
    let (mut next, mut panics) = (Tally::default(), Tally::default());
    while let Some(ended) = tasks.join_next().await {
        let (after, deadly) = ended.expect("no panic");
        next.merge(after);
        panics.merge(deadly);
    }
    let honest = honest.end().await;
    drop(stop);
    let ended = tokio::task::spawn_blocking(move || thread.join()).await;
    drop(std::panic::take_hook());
    let exact = panics.failures.keys().all(|how| how == "status 500");
    row.measured(format!("{} panics answered: {}", panics.sent, list(&panics.failures)))
        .measured(format!("{} connections of {CLIENTS} clients", next.connections))
        .goal("each panic is one 500", panics.sent > 0 && panics.failed() == panics.sent && exact)
        .goal("no connection is lost by it", next.connections == CLIENTS as u64)
        .goal("the server lives to be stopped", ended.is_ok_and(|thread| thread.is_ok()))
        .faultless(next)
        .faultless(honest);
    vec![row]
}

/// Calls that panic and calls that do not, in turn, on one connection.
async fn clash(address: SocketAddr, tls: TlsSettings, size: usize, end: Instant) -> (Tally, Tally) {
    let (mut next, mut panics) = (Tally::default(), Tally::default());
    let (deadly, good) = (review(DEADLY, size), review("soak-good", size));
    let mut caller = Caller::new(address, &tls);
    while Instant::now() < end {
        for (body, uid, tally) in [(&deadly, DEADLY, &mut panics), (&good, "soak-good", &mut next)] {
            let began = Instant::now();
            let judged = match caller.call(&call(body)).await {
                Ok(response) => judge(body, uid, &response),
                Err(failure) => Judged::Failed(failure.to_string()),
            };
            tally.add(judged, began.elapsed());
        }
        sleep(Duration::from_millis(5)).await;
    }
    next.connections = caller.connections;
    (next, panics)
}

type Running = (SocketAddr, TlsSettings, oneshot::Sender<()>, std::thread::JoinHandle<()>);

/// A webhook of this process that panics on a call with [`DEADLY`] in it, until the sender is dropped.
fn defective() -> Running {
    let made = self_signed().expect("a certificate");
    let tls = TlsSettings::trusting(&made.ca_pem);
    let certificate = tls::Serving::from_memory(made.chain, made.key).expect("a certificate");
    let (stop, stopped) = oneshot::channel::<()>();
    let (tell, told) = std::sync::mpsc::channel();
    let thread = std::thread::spawn(move || {
        actix_web::rt::System::new().block_on(async move {
            let Config { policy, mut serving, .. } =
                Config::load([("TLS_SELF_SIGNED".into(), "true".into())], false).expect("defaults");
            (serving.port, serving.health_port) = (0, None);
            let app = App::new(policy, serving).with_answer(|_, body, _| {
                let deadly = body.windows(DEADLY.len()).any(|window| window == DEADLY.as_bytes());
                assert!(!deadly, "a defect");
                answer(&rule(), body, |_| ())
            });
            let started = start(app, certificate).expect("it starts");
            tell.send(started.address).expect("somebody waits");
            let stop = async {
                drop(stopped.await);
                Stop::Now
            };
            started.serve(stop, std::future::pending()).await.expect("it serves");
        });
    });
    let address: SocketAddr = told.recv_timeout(Duration::from_secs(10)).expect("it starts");
    (SocketAddr::from((Ipv4Addr::LOCALHOST, address.port())), tls, stop, thread)
}

/// The rule that answers are judged by.
fn rule() -> Policy {
    let (name, value) = crate::reviews::RULE;
    let pairs = [(name.into(), value.into()), ("TLS_SELF_SIGNED".into(), "true".into())];
    Config::load(pairs, false).expect("a rule").policy
}
