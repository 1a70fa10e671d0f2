//! The null webhook: what HTTPS and finding the uid cost on their own. It allows everything, and with [`PATCH`] set it
//! answers each call with that patch.
//!
//! It is a process of its own, as the product is, but no program of its own: the report starts itself with the
//! argument `null-webhook`. So nothing else has to be built, found or kept at the same version, and it serves under
//! the same libraries, the same TLS settings (`pullgate::webhook::tls`) and the same number of workers.

use std::net::{Ipv4Addr, TcpListener};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use actix_web::{App, HttpResponse, HttpServer, web};
use pullgate::certs::self_signed;
use pullgate::webhook::tls::Serving;
use serde::Deserialize;

/// The environment's variable for a patch, in base64 as an answer has it.
pub(crate) const PATCH: &str = "NULL_WEBHOOK_PATCH";

/// As large as the product takes.
const MAX_BODY: usize = 24 * 1024 * 1024;

#[derive(Deserialize)]
struct Review<'a> {
    #[serde(borrow)]
    request: Request<'a>,
}

#[derive(Deserialize)]
struct Request<'a> {
    uid: &'a str,
}

static CALLS: AtomicU64 = AtomicU64::new(0);

async fn mutate(body: web::Bytes, patch: web::Data<String>) -> HttpResponse {
    CALLS.fetch_add(1, Ordering::Relaxed);
    let Ok(review) = serde_json::from_slice::<Review<'_>>(&body) else {
        return HttpResponse::BadRequest().finish();
    };
    let uid = review.request.uid;
    HttpResponse::Ok().content_type("application/json").body(format!(
        r#"{{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","response":{{"uid":"{uid}","allowed":true{patch}}}}}"#,
        patch = patch.as_str(),
    ))
}

async fn metrics() -> String {
    format!("null_calls_total {}\n", CALLS.load(Ordering::Relaxed))
}

/// Serves on `PORT` and `HEALTH_PORT` until it is killed; prints its authority first, as the product does.
pub(crate) fn serve() {
    let bind = |variable: &str| {
        let port = std::env::var(variable).ok().and_then(|port| port.parse().ok()).expect("a port");
        TcpListener::bind((Ipv4Addr::LOCALHOST, port)).expect("a free port")
    };
    let patch = std::env::var(PATCH)
        .map_or_else(|_| String::new(), |patch| format!(r#","patchType":"JSONPatch","patch":"{patch}""#));
    let patch = web::Data::new(patch);
    let made = self_signed().expect("a certificate");
    let tls = Serving::from_memory(made.chain, made.key).and_then(|serving| serving.config());
    actix_web::rt::System::new().block_on(async {
        let health = HttpServer::new(|| {
            let ready = web::get().to(HttpResponse::Ok);
            App::new().route("/readyz", ready).route("/metrics", web::get().to(metrics))
        });
        let health = health.workers(1).listen(bind("HEALTH_PORT")).expect("a listener").run();
        print!("{}", made.ca_pem);
        let webhook = HttpServer::new(move || {
            let app = App::new().app_data(web::PayloadConfig::new(MAX_BODY)).app_data(patch.clone());
            app.route("/mutate", web::post().to(mutate))
        });
        let webhook = webhook.keep_alive(Duration::from_mins(2)).tcp_nodelay(true);
        let webhook =
            webhook.listen_rustls_0_23(bind("PORT"), tls.expect("TLS settings")).expect("a listener");
        let (served, _) = tokio::join!(webhook.run(), health);
        served.expect("it serves until it is killed");
    });
}
