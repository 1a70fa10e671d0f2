//! Binding, serving and stopping.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::num::NonZero;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use actix_web::dev::{Server, ServerHandle, Service as _};
use actix_web::http::{ConnectionType, Method};
use actix_web::{App as ActixApp, HttpServer, web};
use futures_util::future::select_all;
use log::{info, warn};
use tokio::time::{Instant, sleep};

use super::tls::{self, TlsError};
use super::{App, handler};
use crate::descriptors;
use crate::http_server::{BindError, Probed, bind, health, live, only};

/// Longer than the API server keeps an idle connection (90 s), so that it is never ours to close one just as a
/// request is on its way.
const KEEP_ALIVE: Duration = Duration::from_mins(2);
/// How long a request head may take.
const HEAD_PATIENCE: Duration = Duration::from_secs(5);
/// Handshakes of one worker at the same time. With those of actix (256), clients that stop half way keep all others
/// waiting for 3 s.
const HANDSHAKES: usize = 16_384;
/// Time for answers that are written to leave the machine.
const LINGER: Duration = Duration::from_millis(100);

/// Why the webhook cannot serve.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The certificate cannot be served.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// There is no port.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The server ended by itself.
    #[error("the server failed: {0}")]
    Server(#[from] io::Error),
}

/// A webhook that accepts connections.
pub struct Started {
    app: Arc<App>,
    /// Where the webhook listens.
    pub address: SocketAddr,
    /// Where health and metrics are.
    pub health_address: Option<SocketAddr>,
    servers: Vec<Server>,
    webhook: ServerHandle,
}

/// Binds both ports and starts to serve; must be called inside of an actix system.
///
/// # Errors
/// A port cannot be bound or TLS cannot be set up. Nothing is served then.
pub fn start(app: App, certificate: tls::Serving) -> Result<Started, ServeError> {
    let app = Arc::new(app);
    // Both ports are taken before anything is served on either.
    let listener = bind(app.limits.port, "PORT")?;
    let health_listener = app.limits.health_port.map(|port| bind(port, "HEALTH_PORT")).transpose()?;
    let address = listener.local_addr()?;
    let health_address = health_listener.as_ref().map(TcpListener::local_addr).transpose()?;
    let config = certificate.config()?;
    app.metrics.certificate_expires(certificate.not_after);

    let webhook = webhook_server(&app, listener, config)?;
    let handle = webhook.handle();
    let mut servers = vec![webhook];
    if let Some(listener) = health_listener {
        servers.push(health(Arc::clone(&app) as Arc<dyn Probed>, listener)?);
    }
    actix_web::rt::spawn(certificate.watch(Arc::clone(&app.metrics)));
    Ok(Started { app, address, health_address, servers, webhook: handle })
}

fn webhook_server(app: &Arc<App>, listener: TcpListener, tls: rustls::ServerConfig) -> io::Result<Server> {
    let limits = &app.limits;
    let data = web::Data::from(Arc::clone(app));
    let workers = std::thread::available_parallelism().map_or(2, NonZero::get);
    let server = HttpServer::new(move || {
        let watched = web::Data::clone(&data);
        ActixApp::new()
            .app_data(web::Data::clone(&data))
            .wrap_fn(move |request, service| {
                let app = web::Data::clone(&watched);
                let guard = InFlight::enter(&app);
                let call = service.call(request);
                async move {
                    let mut response = call.await?;
                    if app.draining.load(Ordering::Acquire) {
                        response.response_mut().head_mut().set_connection_type(ConnectionType::Close);
                    }
                    drop(guard);
                    Ok(response)
                }
            })
            .service(only(Method::POST, "/mutate", |route| route.to(handler::mutate)))
            // Where the system that this one replaces had its probe.
            .service(only(Method::GET, "/debug/health", |route| route.to(live)))
            .default_service(web::route().to(handler::not_found))
    });
    Ok(server
        .workers(workers)
        .max_connections(descriptors::connections() / workers)
        .max_connection_rate(HANDSHAKES)
        // An answer goes out at once: the first one on a connection would wait for 40 ms behind TLS's own messages.
        .tcp_nodelay(true)
        .keep_alive(KEEP_ALIVE)
        .client_request_timeout(HEAD_PATIENCE)
        // Behind our own bound, which tells when requests are cut.
        .shutdown_timeout(limits.shutdown_timeout.as_secs() + 1)
        .disable_signals()
        .listen_rustls_0_23(listener, tls)?
        .run())
}

/// Counts a request while it is worked on.
struct InFlight(web::Data<App>);

impl InFlight {
    fn enter(app: &web::Data<App>) -> Self {
        app.in_flight.fetch_add(1, Ordering::AcqRel);
        Self(web::Data::clone(app))
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Why the webhook stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// The cluster's wish: its other parts may not know yet, so go on serving for a while.
    Drain,
    /// A person's wish.
    Now,
}

/// How stopping went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stopped {
    /// Every request was answered.
    Clean,
    /// Requests were cut.
    Cut,
}

impl Started {
    /// Serves until `stop` says otherwise, then finishes what is in flight. `again` ends that at once.
    ///
    /// # Errors
    /// A server ended by itself.
    pub async fn serve(
        self,
        stop: impl Future<Output = Stop>,
        again: impl Future<Output = ()>,
    ) -> Result<Stopped, ServeError> {
        let Self { app, address: _, health_address: _, servers, webhook } = self;
        let tasks = select_all(servers.into_iter().map(actix_web::rt::spawn));
        let stop = tokio::select! {
            stop = stop => stop,
            (ended, ..) = tasks => {
                ended.map_err(io::Error::other)??;
                return Err(io::Error::other("it stopped accepting connections").into());
            }
        };
        app.draining.store(true, Ordering::Release);
        info!("stopping: readiness is off");
        tokio::select! {
            stopped = drain(&app, &webhook, stop) => Ok(stopped),
            () = again => {
                warn!("stopping at once: a second signal came");
                Ok(Stopped::Cut)
            }
        }
    }
}

async fn drain(app: &App, webhook: &ServerHandle, stop: Stop) -> Stopped {
    let limits = &app.limits;
    if stop == Stop::Drain {
        sleep(limits.shutdown_delay).await;
    }
    info!("stopping: no new connections");
    // Not waited for: it ends when the last connection does, and an idle one may take its time.
    drop(actix_web::rt::spawn(webhook.stop(true)));
    let deadline = Instant::now() + limits.shutdown_timeout;
    loop {
        if app.in_flight.load(Ordering::Acquire) == 0 {
            sleep(LINGER).await;
            if app.in_flight.load(Ordering::Acquire) == 0 {
                return Stopped::Clean;
            }
        }
        if Instant::now() >= deadline {
            warn!(requests = app.in_flight.load(Ordering::Acquire); "stopping: requests are cut");
            return Stopped::Cut;
        }
        sleep(Duration::from_millis(20)).await;
    }
}
