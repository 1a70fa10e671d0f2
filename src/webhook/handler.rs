//! HTTP to answers: translates and does not decide.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix_web::http::{Method, StatusCode, header};
use actix_web::{HttpRequest, HttpResponse, Resource as Path, Route, web};
use log::{Level, error, log, warn};
use serde_json::json;

use super::App;
use super::body::{self, Body, Refused};
use crate::admit::{Outcome, Resource, Verb};
use crate::answer::{Admitted, answer};
use crate::metrics::CallOutcome;
use crate::review::BadReview;

/// How long a body may take; a shorter `?timeout=` is the request's own.
const BODY_PATIENCE: Duration = Duration::from_secs(5);
/// From this size on a body is worked on aside, so that the calls of the same worker do not wait for it.
const LARGE_BODY: usize = 256 * 1024;

const TEXT: &str = "text/plain; charset=utf-8";

/// `POST /mutate`
pub(super) async fn mutate(request: HttpRequest, payload: web::Payload, app: web::Data<App>) -> HttpResponse {
    if let Err(problem) = accepts(&request) {
        count(&app, CallOutcome::UnsupportedMediaType);
        warn!(reason = problem; "request refused");
        return refuse(StatusCode::UNSUPPORTED_MEDIA_TYPE, problem, false);
    }
    let length = request.headers().get(header::CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse().ok());
    let patience = timeout(request.query_string()).map_or(BODY_PATIENCE, |own| own.min(BODY_PATIENCE));
    let max = app.limits.max_body_bytes;
    let body = match body::read(payload, length, max, patience, &app.budget).await {
        Ok(body) => body,
        Err(refused) => return refuse_body(&app, refused),
    };
    if body.len() < LARGE_BODY {
        return respond(&app, &body);
    }
    let app = app.into_inner();
    let aside = Arc::clone(&app);
    match web::block(move || work(&aside, &body)).await {
        Ok(reply) => reply.into(),
        Err(error) => panicked(&app, &error.to_string()).into(),
    }
}

/// Whether the body is announced as plain JSON.
fn accepts(request: &HttpRequest) -> Result<(), &'static str> {
    let header = |name| request.headers().get(name).map(|value| value.to_str().unwrap_or_default().trim());
    let media_type =
        header(header::CONTENT_TYPE).map(|value| value.split(';').next().unwrap_or_default().trim());
    if !media_type.is_some_and(|media_type| media_type.eq_ignore_ascii_case("application/json")) {
        return Err("Content-Type must be application/json");
    }
    if !header(header::CONTENT_ENCODING).is_none_or(|encoding| encoding.eq_ignore_ascii_case("identity")) {
        return Err("Content-Encoding is not supported: send the body as it is");
    }
    Ok(())
}

/// `timeout=10s` of the query, as the API server writes it.
fn timeout(query: &str) -> Option<Duration> {
    let value = query.split('&').find_map(|pair| pair.strip_prefix("timeout="))?;
    let (number, unit) = value.split_at(value.find(|c: char| !c.is_ascii_digit())?);
    let number = number.parse().ok()?;
    match unit {
        "s" => Some(Duration::from_secs(number)),
        "ms" => Some(Duration::from_millis(number)),
        _ => None,
    }
}

/// An answer in the making, sendable between threads.
struct Reply {
    status: StatusCode,
    content_type: &'static str,
    body: Vec<u8>,
}

impl From<Reply> for HttpResponse {
    fn from(reply: Reply) -> Self {
        Self::build(reply.status).content_type(reply.content_type).body(reply.body)
    }
}

fn respond(app: &App, body: &Body) -> HttpResponse {
    work(app, body).into()
}

fn work(app: &App, body: &[u8]) -> Reply {
    let started = Instant::now();
    // The policy is only read, so nothing is left half done by a panic.
    let answered = catch_unwind(AssertUnwindSafe(|| (app.answer)(app, body, started)));
    match answered {
        Ok(Ok(body)) => Reply { status: StatusCode::OK, content_type: "application/json", body },
        Ok(Err(bad)) => {
            warn!(reason = bad.to_string().as_str(); "request refused");
            count(app, CallOutcome::BadRequest);
            text(StatusCode::BAD_REQUEST, &bad.to_string())
        }
        Err(panic) => {
            let message =
                panic.downcast_ref::<&str>().copied().or(panic.downcast_ref::<String>().map(String::as_str));
            panicked(app, message.unwrap_or("unknown"))
        }
    }
}

/// Answers by the rules, and tells the log and the metrics.
pub(super) fn admit(app: &App, body: &[u8], started: Instant) -> Result<Vec<u8>, BadReview> {
    answer(&app.policy, body, |admitted| observe(app, admitted, started))
}

fn observe(app: &App, admitted: &Admitted<'_>, started: Instant) {
    let Admitted { uid, request, resource, verb, outcome, verdict, denial } = admitted;
    let elapsed = started.elapsed();
    app.metrics.call(*resource, *verb, CallOutcome::Admitted(*outcome));
    app.metrics.verdict(verdict, elapsed.as_secs_f64());
    let level = match outcome {
        Outcome::Patched | Outcome::Denied => Level::Info,
        Outcome::Unchanged | Outcome::Excluded | Outcome::Exempt | Outcome::Unsupported => Level::Debug,
    };
    let metadata = request.object.as_ref().and_then(|object| object.metadata.as_ref());
    let name = request.name.as_deref().filter(|name| !name.is_empty());
    let name = name.or_else(|| metadata?.name.as_deref()).or_else(|| metadata?.generate_name.as_deref());
    log!(
        level,
        uid = *uid,
        kind = request.kind.as_ref().and_then(|kind| kind.kind.as_deref()).unwrap_or_default(),
        resource = resource.as_str(),
        namespace = request.namespace.as_deref().unwrap_or_default(),
        name = name.unwrap_or_default(),
        operation = request.operation.as_deref().unwrap_or_default(),
        outcome = outcome.as_str(),
        operations = verdict.operations.len(),
        microseconds = u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX),
        reason = denial.map_or("", |denial| denial.message.as_str());
        "admission"
    );
}

fn panicked(app: &App, message: &str) -> Reply {
    error!(panic = message; "a request could not be answered because of a defect");
    count(app, CallOutcome::Panicked);
    text(StatusCode::INTERNAL_SERVER_ERROR, "internal error, see the log of pullgate")
}

fn refuse_body(app: &App, refused: Refused) -> HttpResponse {
    let max = app.limits.max_body_bytes;
    match refused {
        Refused::TooLarge { read } => {
            count(app, CallOutcome::TooLarge);
            warn!(max_body_bytes = max; "request refused: its body is too large");
            let problem = format!("the body is larger than {max} bytes (MAX_BODY_BYTES)");
            refuse_as(StatusCode::PAYLOAD_TOO_LARGE, "RequestEntityTooLarge", &problem, !read)
        }
        Refused::Overloaded { read } => {
            count(app, CallOutcome::Overloaded);
            warn!("request refused: too many bytes are buffered");
            let problem = "too many bytes are buffered (MAX_BUFFERED_BYTES), try again";
            let mut response =
                refuse_as(StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailable", problem, !read);
            response.headers_mut().insert(header::RETRY_AFTER, header::HeaderValue::from_static("1"));
            response
        }
        Refused::Timeout => {
            count(app, CallOutcome::Timeout);
            warn!("request refused: its body came too slowly");
            refuse_as(StatusCode::REQUEST_TIMEOUT, "Timeout", "the body did not arrive in time", true)
        }
        Refused::Disconnected => {
            count(app, CallOutcome::Disconnected);
            refuse(StatusCode::BAD_REQUEST, "the body ended early", true)
        }
    }
}

/// A call that ended before anyone knew what it was about.
fn count(app: &App, outcome: CallOutcome) {
    app.metrics.call(Resource::Other, Verb::Other, outcome);
}

fn text(status: StatusCode, problem: &str) -> Reply {
    Reply { status, content_type: TEXT, body: format!("{problem}\n").into_bytes() }
}

fn refuse(status: StatusCode, problem: &str, close: bool) -> HttpResponse {
    close_after(HttpResponse::from(text(status, problem)), close)
}

/// A refusal that an API server meets with an honest request. It shows its user the words of a `Status`, and
/// nothing of any other body.
fn refuse_as(status: StatusCode, reason: &str, problem: &str, close: bool) -> HttpResponse {
    let code = status.as_u16();
    let body = json!({
        "apiVersion": "v1", "kind": "Status", "status": "Failure",
        "code": code, "reason": reason, "message": format!("pullgate: {problem}"),
    });
    close_after(HttpResponse::build(status).json(body), close)
}

fn close_after(mut response: HttpResponse, close: bool) -> HttpResponse {
    if close {
        response.head_mut().set_connection_type(actix_web::http::ConnectionType::Close);
    }
    response
}

/// A path with one method; every other is told so.
pub(super) fn only(method: Method, path: &str, route: impl FnOnce(Route) -> Route) -> Path {
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

/// Any other path.
pub(super) async fn not_found() -> HttpResponse {
    refuse(StatusCode::NOT_FOUND, "not found; the webhook is POST /mutate", false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_api_servers_timeout_is_read_from_the_query() {
        assert_eq!(timeout("timeout=10s"), Some(Duration::from_secs(10)));
        assert_eq!(timeout("a=b&timeout=1500ms"), Some(Duration::from_millis(1500)));
        for odd in ["", "timeout=", "timeout=10", "timeout=s", "timeout=-1s", "timeout=99999999999999999999s"]
        {
            assert_eq!(timeout(odd), None, "{odd}");
        }
    }
}
