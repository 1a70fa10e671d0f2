//! Health and metrics, on a plain port of their own. Readiness depends on nothing outside the process.

use std::sync::atomic::Ordering;

use actix_web::http::Method;
use actix_web::{HttpResponse, web};

use super::App;
use super::handler::only;
use crate::metrics::CONTENT_TYPE;

pub(super) fn routes(config: &mut web::ServiceConfig) {
    config
        .service(only(Method::GET, "/livez", |route| route.to(live)))
        .service(only(Method::GET, "/readyz", |route| route.to(ready)))
        .service(only(Method::GET, "/metrics", |route| route.to(metrics)));
}

/// The process answers: that is all that a restart could bring back.
pub(super) async fn live() -> HttpResponse {
    HttpResponse::Ok().body("ok\n")
}

async fn ready(app: web::Data<App>) -> HttpResponse {
    if app.draining.load(Ordering::Acquire) {
        return HttpResponse::ServiceUnavailable().body("shutting down\n");
    }
    HttpResponse::Ok().body("ok\n")
}

async fn metrics(app: web::Data<App>) -> HttpResponse {
    match app.metrics.encode() {
        Ok(text) => HttpResponse::Ok().content_type(CONTENT_TYPE).body(text),
        Err(error) => HttpResponse::InternalServerError().body(format!("{error}\n")),
    }
}
