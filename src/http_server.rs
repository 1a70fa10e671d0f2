//! What the HTTP servers of all commands share: how they listen, and the plain port of health and metrics.

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::sync::Arc;

use actix_web::dev::Server;
use actix_web::http::{Method, header};
use actix_web::{App, HttpResponse, HttpServer, Resource, Route, web};
use tokio::net::TcpSocket;

use crate::metrics::CONTENT_TYPE;

/// Connections that wait to be accepted. With those of the standard library (128), a burst makes the system drop
/// what comes next, which its client repeats after a whole second.
const BACKLOG: u32 = 4096;
pub(crate) const TEXT: &str = "text/plain; charset=utf-8";

/// A port is taken or not ours to take.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on port {port} ({variable}): {source}")]
pub struct BindError {
    /// The port.
    port: u16,
    /// The variable that sets it.
    variable: &'static str,
    /// What the system said.
    source: io::Error,
}

/// All addresses, or all IPv4 addresses where the system has no IPv6.
pub(crate) fn bind(port: u16, variable: &'static str) -> Result<TcpListener, BindError> {
    let listener = listen((Ipv6Addr::UNSPECIFIED, port).into()).or_else(|error| match error.kind() {
        io::ErrorKind::AddrInUse | io::ErrorKind::PermissionDenied => Err(error),
        _ => listen((Ipv4Addr::UNSPECIFIED, port).into()),
    });
    listener.map_err(|source| BindError { port, variable, source })
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv6() { TcpSocket::new_v6() } else { TcpSocket::new_v4() }?;
    // A port whose last connections are still being forgotten can be taken again.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)?.into_std()
}

/// A path with one method; any other is told which.
pub(crate) fn only(method: Method, path: &str, route: impl FnOnce(Route) -> Route) -> Resource {
    let allowed = method.clone();
    let other = move || {
        let response = HttpResponse::MethodNotAllowed()
            .insert_header(header::Allow(vec![allowed.clone()]))
            .content_type(TEXT)
            .body(format!("only {allowed} is allowed here\n"));
        std::future::ready(response)
    };
    web::resource(path).route(route(web::method(method))).default_service(web::to(other))
}

/// What is asked for its health.
pub(crate) trait Probed: Send + Sync + 'static {
    /// Why it is not ready, if it is not. Depends on nothing outside of the process that a restart would not bring back.
    fn unready(&self) -> Option<&'static str>;

    /// In the text format of [OpenMetrics](https://prometheus.io/docs/specs/om/open_metrics_spec/).
    fn metrics(&self) -> Result<String, fmt::Error>;
}

/// Serves `/livez`, `/readyz` and `/metrics`.
pub(crate) fn health(probed: Arc<dyn Probed>, listener: TcpListener) -> io::Result<Server> {
    let data = web::Data::from(probed);
    let server = HttpServer::new(move || {
        App::new()
            .app_data(web::Data::clone(&data))
            .service(only(Method::GET, "/livez", |route| route.to(live)))
            .service(only(Method::GET, "/readyz", |route| route.to(ready)))
            .service(only(Method::GET, "/metrics", |route| route.to(metrics)))
    });
    Ok(server.workers(1).shutdown_timeout(0).disable_signals().listen(listener)?.run())
}

/// The process answers: that is all that a restart could bring back.
pub(crate) async fn live() -> HttpResponse {
    HttpResponse::Ok().body("ok\n")
}

async fn ready(probed: web::Data<dyn Probed>) -> HttpResponse {
    match probed.unready() {
        Some(why) => HttpResponse::ServiceUnavailable().body(format!("{why}\n")),
        None => HttpResponse::Ok().body("ok\n"),
    }
}

async fn metrics(probed: web::Data<dyn Probed>) -> HttpResponse {
    match probed.metrics() {
        Ok(text) => HttpResponse::Ok().content_type(CONTENT_TYPE).body(text),
        Err(error) => HttpResponse::InternalServerError().body(format!("{error}\n")),
    }
}
