//! HTTP to answers: translates and does not decide.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use actix_web::http::{StatusCode, header};
use actix_web::{HttpRequest, HttpResponse, web};
use log::{Level, log};
use serde_json::json;

use super::App;
use super::body::{self, Refused};
use crate::admit::{Outcome, Resource, Verb};
use crate::answer::{Admitted, answer};
use crate::http_server::TEXT;
use crate::metrics::CallOutcome;
use crate::patch::to_json;
use crate::review::BadReview;

/// How long a body may take; a shorter `?timeout=` is the request's own.
const BODY_PATIENCE: Duration = Duration::from_secs(5);
/// From this size on a body is worked on aside, so that the calls of the same worker do not wait for it.
const LARGE_BODY: usize = 256 * 1024;

const JSON: &str = "application/json";

/// `POST /mutate`
pub(super) async fn mutate(request: HttpRequest, payload: web::Payload, app: web::Data<App>) -> HttpResponse {
    if let Err(problem) = accepts(&request) {
        return refusal(&app, CallOutcome::UnsupportedMediaType, problem).into();
    }
    let length = request.headers().get(header::CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse().ok());
    let patience = timeout(request.query_string()).map_or(BODY_PATIENCE, |own| own.min(BODY_PATIENCE));
    let waiting = Waiting(Some(&app));
    let read = body::read(payload, length, app.limits.max_body_bytes, patience, &app.budget).await;
    waiting.over();
    let body = match read {
        Ok(body) => body,
        Err(refused) => return refuse_body(&app, refused).into(),
    };
    if body.len() < LARGE_BODY {
        return work(&app, &body).into();
    }
    let aside = web::Data::clone(&app);
    let worked = web::block(move || work(&aside, &body)).await;
    worked.unwrap_or_else(|error| refusal(&app, CallOutcome::Panicked, &error.to_string())).into()
}

/// Counts a client that goes away before it has sent everything: what waits for it is dropped then.
struct Waiting<'a>(Option<&'a App>);

impl Waiting<'_> {
    fn over(mut self) {
        self.0 = None;
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if let Some(app) = self.0 {
            drop(refusal(app, CallOutcome::Disconnected, "the connection ended before the body"));
        }
    }
}

/// Whether the body is announced as plain JSON, by every header that says so.
fn accepts(request: &HttpRequest) -> Result<(), &'static str> {
    let all = |name| request.headers().get_all(name).map(|value| value.to_str().unwrap_or_default());
    let is_json = |value: &str| {
        let media_type = value.split(';').next().unwrap_or_default();
        media_type.trim().eq_ignore_ascii_case("application/json")
    };
    if !request.headers().contains_key(header::CONTENT_TYPE) || !all(header::CONTENT_TYPE).all(is_json) {
        return Err("Content-Type must be application/json");
    }
    if !all(header::CONTENT_ENCODING).all(|value| value.trim().eq_ignore_ascii_case("identity")) {
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
    /// The client may try again.
    retry: bool,
    /// What is left on the connection cannot be read.
    close: bool,
}

impl Reply {
    fn new(status: StatusCode, content_type: &'static str, body: Vec<u8>) -> Self {
        Self { status, content_type, body, retry: false, close: false }
    }
}

impl From<Reply> for HttpResponse {
    fn from(reply: Reply) -> Self {
        let Reply { status, content_type, body, retry, close } = reply;
        let mut response = Self::build(status);
        if retry {
            response.insert_header((header::RETRY_AFTER, "1"));
        }
        if close {
            response.force_close();
        }
        response.content_type(content_type).body(body)
    }
}

fn work(app: &App, body: &[u8]) -> Reply {
    let started = Instant::now();
    // The policy is only read, so nothing is left half done by a panic.
    match catch_unwind(AssertUnwindSafe(|| (app.answer)(app, body, started))) {
        Ok(Ok(body)) => Reply::new(StatusCode::OK, JSON, body),
        Ok(Err(bad)) => refusal(app, CallOutcome::BadRequest, &bad.to_string()),
        Err(panic) => {
            let text = panic.downcast_ref::<&str>().copied();
            let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
            refusal(app, CallOutcome::Panicked, text.unwrap_or("unknown"))
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
    let told =
        matches!(outcome, Outcome::Patched | Outcome::WouldPatch | Outcome::Denied | Outcome::WouldDeny)
            || !verdict.warnings.as_slice().is_empty();
    let level = if told { Level::Info } else { Level::Debug };
    let metadata = request.object.as_ref().and_then(|object| object.metadata.as_ref());
    let name = request.name.as_deref().filter(|name| !name.is_empty());
    let name = name.or_else(|| metadata?.name.as_deref()).or_else(|| metadata?.generate_name.as_deref());
    log!(
        level,
        uid = short(uid),
        kind = short(request.kind.as_ref().and_then(|kind| kind.kind.as_deref()).unwrap_or_default()),
        resource = resource.as_str(),
        namespace = short(request.namespace.as_deref().unwrap_or_default()),
        name = short(name.unwrap_or_default()),
        operation = short(request.operation.as_deref().unwrap_or_default()),
        outcome = outcome.as_str(),
        operations = verdict.operations.len() + verdict.withheld.len(),
        microseconds = u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX),
        reason = denial.map_or("", |denial| denial.message.as_str());
        "admission"
    );
    if !verdict.withheld.is_empty() {
        let patch = to_json(&verdict.withheld).unwrap_or_default();
        log!(Level::Info, uid = short(uid), patch = patch.as_str(); "audit: this patch is withheld");
    }
}

/// As much of a text from outside as any honest one has: a log line stays a line.
fn short(text: &str) -> &str {
    &text[..text.floor_char_boundary(253)]
}

/// The answer to a call that is not admitted; counted, and told to the log in one line.
fn refusal(app: &App, outcome: CallOutcome, problem: &str) -> Reply {
    app.metrics.call(Resource::Other, Verb::Other, outcome);
    let level = if outcome == CallOutcome::Panicked { Level::Error } else { Level::Warn };
    log!(level, outcome = outcome.as_str(), reason = problem; "request refused");
    let plain = |status| Reply::new(status, TEXT, format!("{problem}\n").into_bytes());
    match outcome {
        CallOutcome::UnsupportedMediaType => plain(StatusCode::UNSUPPORTED_MEDIA_TYPE),
        CallOutcome::TooLarge => status(StatusCode::PAYLOAD_TOO_LARGE, "RequestEntityTooLarge", problem),
        CallOutcome::Overloaded => {
            let reply = status(StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailable", problem);
            Reply { retry: true, ..reply }
        }
        CallOutcome::Timeout => status(StatusCode::REQUEST_TIMEOUT, "Timeout", problem),
        // The log says more; a caller need not know what is inside.
        CallOutcome::Panicked => {
            status(StatusCode::INTERNAL_SERVER_ERROR, "InternalError", "a defect, see the log of pullgate")
        }
        CallOutcome::BadRequest | CallOutcome::Disconnected | CallOutcome::Admitted(_) => {
            plain(StatusCode::BAD_REQUEST)
        }
    }
}

/// A refusal that an API server meets with an honest request. It shows its user the words of a `Status`, and
/// nothing of any other body.
fn status(status: StatusCode, reason: &str, problem: &str) -> Reply {
    let body = json!({
        "apiVersion": "v1", "kind": "Status", "status": "Failure",
        "code": status.as_u16(), "reason": reason, "message": format!("pullgate: {problem}"),
    });
    Reply::new(status, JSON, body.to_string().into_bytes())
}

fn refuse_body(app: &App, refused: Refused) -> Reply {
    let (outcome, problem, read) = match refused {
        Refused::TooLarge { read } => {
            let max = app.limits.max_body_bytes;
            (CallOutcome::TooLarge, format!("the body is larger than {max} bytes (MAX_BODY_BYTES)"), read)
        }
        Refused::Overloaded { read } => {
            let problem = "too many bytes are buffered (MAX_BUFFERED_BYTES), try again";
            (CallOutcome::Overloaded, problem.to_owned(), read)
        }
        Refused::Timeout => (CallOutcome::Timeout, "the body did not arrive in time".to_owned(), false),
        Refused::Broken => (CallOutcome::BadRequest, "the body breaks its encoding".to_owned(), false),
        Refused::Disconnected => {
            (CallOutcome::Disconnected, "the connection ended before the body".to_owned(), false)
        }
    };
    Reply { close: !read, ..refusal(app, outcome, &problem) }
}

/// Any other path.
pub(super) async fn not_found() -> HttpResponse {
    HttpResponse::NotFound().content_type(TEXT).body("not found; the webhook is POST /mutate\n")
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
