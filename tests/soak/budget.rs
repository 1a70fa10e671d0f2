//! More bytes on their way at once than `MAX_BUFFERED_BYTES`.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::Setting;
use crate::api_server::Space;
use crate::client::{Connection, Failure, Program, TlsSettings, connect, review};
use crate::load::{Load, Manner};
use crate::replicas::Replicas;
use crate::report::{Judged, Row, Tally};
use crate::reviews::{RULE, call, judge};

const BUDGET: (&str, &str) = ("MAX_BUFFERED_BYTES", "1000000");
const LARGEST: (&str, &str) = ("MAX_BODY_BYTES", "999500");
/// What leaves no room for a Pod's review beside it.
const HOG: usize = 999_500;
const OVERLOADED: &str = "outcome=\"overloaded\"";

pub(crate) async fn run(setting: &'static Setting) -> Vec<Row> {
    let seconds = setting.full_or_short(10, 3);
    let through = format!("Pods of {} clients through the API server", Manner::STEADY.clients);
    vec![
        directly(seconds).await,
        match through_api_server(setting, &through, setting.full_or_short(5, 1)).await {
            Ok(row) => row,
            Err(why) => Row::not_run(through, why),
        },
    ]
}

/// 32 clients with 200 kB each, of which five fit: each call is answered, or refused for a second.
async fn directly(seconds: u64) -> Row {
    let mut row = Row::new("32 clients with 200 kB each, 1 MB of budget".to_owned());
    let program = Program::start(&[RULE, BUDGET, LARGEST]).await;
    let (tls, address) = (program.tls(), program.address);
    let end = Instant::now() + Duration::from_secs(seconds);
    let mut tasks = JoinSet::new();
    for client in 0..32 {
        let tls = tls.clone();
        tasks.spawn(async move {
            let uid = format!("soak-{client}");
            let body = review(&uid, 200_000);
            let mut tally = Tally::default();
            let mut refused = 0_u64;
            let mut connection = connect(address, &tls).await.expect("a connection");
            while Instant::now() < end {
                let began = Instant::now();
                let judged = match slowly(&mut connection, &call(&body)).await {
                    Ok(response) if response.status == 503 && response.header("retry-after") == Some("1") => {
                        refused += 1;
                        Judged::Right
                    }
                    Ok(response) => judge(&body, &uid, &response),
                    Err(failure) => Judged::Failed(failure.to_string()),
                };
                let broken = matches!(judged, Judged::Failed(_));
                tally.add(judged, began.elapsed());
                if broken {
                    break;
                }
            }
            (tally, refused)
        });
    }
    let (mut tally, mut refused) = (Tally::default(), 0);
    while let Some(ended) = tasks.join_next().await {
        let (one, more) = ended.expect("no panic");
        tally.merge(one);
        refused += more;
    }
    let counted = program.metric("pullgate_admission_requests_total", &[OVERLOADED]).await;
    let answered = tally.sent - refused;
    // With all others gone there is room for the largest that there may be.
    let body = review("soak-after", HOG);
    let mut after = connect(address, &tls).await.expect("a connection");
    let whole = after.exchange(&call(&body)).await.map(|response| judge(&body, "soak-after", &response));
    #[allow(clippy::cast_precision_loss, reason = "some thousands")]
    let same = counted == Some(refused as f64);
    row.measured(format!("{answered} answered, {refused} refused with 503 and Retry-After: 1"))
        .goal("some are refused and some are not", refused > 0 && answered > 0)
        .goal(format!("each refusal is counted ({counted:?})"), same)
        .goal("the budget is whole again afterwards", matches!(whole, Ok(Judged::Right)))
        .faultless(tally);
    row
}

/// In two halves, with others between them.
async fn slowly(
    connection: &mut crate::client::TlsConnection,
    request: &[u8],
) -> Result<crate::client::Response, Failure> {
    let (first, rest) = request.split_at(request.len() / 2);
    connection.write(first).await?;
    sleep(Duration::from_millis(20)).await;
    connection.write(rest).await?;
    connection.response().await
}

/// The budget is held for 3 s while Pods are created: the API server asks again until there is room.
async fn through_api_server(setting: &Setting, what: &str, times: u32) -> Result<Row, String> {
    let cluster = setting.cluster.clone()?;
    let mut row = Row::new(format!("{what}, while the budget is held for 3 s, {times} times"));
    let replicas = Replicas::new(&[BUDGET, LARGEST]).await;
    let program = replicas.start().await;
    let space = Space::new(&cluster, "budget", program.address, replicas.ca_pem()).await?;
    let mut all = Tally::default();
    for _ in 0..times {
        let holding = hold(program.address, &replicas.tls()).await.map_err(|failure| failure.to_string())?;
        let load = Load::start(cluster.address, &cluster.tls, Manner::STEADY, space.pods(true));
        sleep(Duration::from_secs(3)).await;
        drop(holding);
        all.merge(load.end().await);
    }
    let refused =
        program.metric("pullgate_admission_requests_total", &[OVERLOADED]).await.unwrap_or_default();
    space.remove().await;
    row.measured(format!("{refused} calls of the API server were refused with 503"))
        .measured(format!("the slowest Pod took {:.1} s", all.quantile(1000).as_secs_f64()))
        .goal("the API server met a 503", refused > 0.0)
        .faultless(all);
    Ok(row)
}

/// Sends all but the last bytes of a body that leaves no room for another.
async fn hold(
    address: SocketAddr,
    tls: &TlsSettings,
) -> Result<Connection<tokio_rustls::client::TlsStream<tokio::net::TcpStream>>, Failure> {
    let mut connection = connect(address, tls).await?;
    let whole = call(&vec![b' '; HOG]);
    connection.write(&whole[..whole.len() - 10]).await?;
    Ok(connection)
}
