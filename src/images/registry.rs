//! Asks registries whether images are there: the part of the distribution protocol that takes.
//!
//! ```text
//! HEAD manifest -> 401 and a challenge -> a token of its service, or the password -> HEAD manifest
//! ```
//! <https://github.com/opencontainers/distribution-spec/blob/main/spec.md>,
//! <https://distribution.github.io/distribution/spec/auth/token/>. Credentials go to the registry that they are for and
//! to its token service, over TLS unless the user says otherwise, and into no message.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use actix_web::web::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode};
use http_body_util::Full;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use zeroize::Zeroizing;

use super::challenge::Challenge;
use super::copies::{complete, is_plain, split};
use super::listing::Target;
use super::logins::{Fitting, Logins, basic};
use super::wire::{Wire, uri};

/// Requests in a row that a registry may leave unanswered before the others are spared.
const FAILURES: usize = 3;
/// Logins that are tried for one image.
const LOGINS: usize = 4;
/// Every kind of manifest: a kind that is not accepted may not be found.
const MANIFESTS: HeaderValue = HeaderValue::from_static(
    "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, \
     application/vnd.docker.distribution.manifest.list.v2+json, \
     application/vnd.docker.distribution.manifest.v2+json, */*",
);

/// Why an image is not known to be there or not.
enum Failure {
    /// The registry does not say.
    Refused(String),
    /// There is no answer.
    Silent(String),
}

/// An image as its registry knows it.
#[derive(Clone, Copy)]
struct Asked<'a> {
    host: &'a str,
    path: &'a str,
    version: &'a str,
}

/// All registries, and what is known about them.
pub(super) struct Registries {
    wire: Wire,
    logins: Logins,
    /// Registries without TLS.
    plain: Vec<String>,
    /// Headers that were good for a registry, or for one of its repositories, by login.
    granted: Mutex<HashMap<(String, Option<usize>), HeaderValue>>,
    /// Unanswered requests in a row, and why the last one was, by registry.
    failing: Mutex<HashMap<String, (usize, String)>>,
}

/// What a token service answers.
#[derive(Deserialize)]
struct Token {
    token: Option<String>,
    access_token: Option<String>,
}

impl Registries {
    pub(super) fn new(wire: Wire, logins: Logins, plain: Vec<String>) -> Self {
        Self { wire, logins, plain, granted: Mutex::default(), failing: Mutex::default() }
    }

    /// Whether an image is where it says that it is.
    pub(super) async fn state(&self, image: &str) -> Target {
        let complete = complete(image).unwrap_or_default();
        let Some((host, path, version)) = split(&complete) else {
            return Target::Unreachable("it is no reference".to_owned());
        };
        let asked = Asked { host, path, version };
        if let Some((FAILURES.., reason)) = lock(&self.failing).get(host) {
            return Target::Unreachable(reason.clone());
        }
        let fitting = self.logins.of(host, path);
        let mut tried = fitting.into_iter().take(LOGINS).map(Some).collect::<Vec<_>>();
        if tried.is_empty() {
            tried.push(None);
        }
        let mut refused = String::new();
        for login in tried {
            match self.ask(asked, login).await {
                Ok(target) => {
                    lock(&self.failing).remove(host);
                    return target;
                }
                Err(Failure::Refused(reason)) => refused = reason,
                Err(Failure::Silent(reason)) => {
                    let mut failing = lock(&self.failing);
                    let (count, last) = failing.entry(host.to_owned()).or_default();
                    *count += 1;
                    last.clone_from(&reason);
                    return Target::Unreachable(reason);
                }
            }
        }
        Target::Unauthorized(refused)
    }

    /// Asks with one login, or with none: at first with what was granted before, and then as the registry wants it.
    async fn ask(&self, asked: Asked<'_>, login: Option<Fitting<'_>>) -> Result<Target, Failure> {
        let Asked { host, path, version } = asked;
        let server = if host == "docker.io" { "registry-1.docker.io" } else { host };
        let address = format!("{}://{server}/v2/{path}/manifests/{version}", self.scheme(host));
        let number = login.map(|(number, _)| number);
        let granted = |scope: &str| lock(&self.granted).get(&(scope.to_owned(), number)).cloned();
        let mut header = granted(&format!("{host}/{path}")).or_else(|| granted(host));
        for attempt in 0..2 {
            let mut headers = HeaderMap::from_iter([(ACCEPT, MANIFESTS)]);
            headers.extend(header.take().map(|header| (AUTHORIZATION, header)));
            let mut answer =
                self.wire.look(&Method::HEAD, &address, &headers).await.map_err(Failure::Silent)?;
            if answer.status == StatusCode::METHOD_NOT_ALLOWED {
                answer = self.wire.look(&Method::GET, &address, &headers).await.map_err(Failure::Silent)?;
            }
            match answer.status {
                StatusCode::NOT_FOUND => return Ok(Target::Missing),
                status if status.is_success() && is_manifest(&answer.headers) => return Ok(Target::Present),
                status if status.is_success() => {
                    return Err(Failure::Silent(format!("it answers {status}, and no manifest")));
                }
                // What another host calls its token service may be anybody's.
                StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN if answer.elsewhere => {
                    return Err(Failure::Refused(format!(
                        "{host} redirects to another host, which wants a login of its own"
                    )));
                }
                StatusCode::UNAUTHORIZED if attempt == 0 => {
                    let wanted = answer.headers.get_all(WWW_AUTHENTICATE).iter();
                    let challenge = Challenge::of(wanted.filter_map(|value| value.to_str().ok()));
                    header = Some(self.grant(asked, challenge, login).await?);
                }
                StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => break,
                status => return Err(Failure::Silent(format!("it answers {status}"))),
            }
        }
        Err(Failure::Refused(if login.is_some() {
            format!("{host} refuses the login, or refuses it {path}")
        } else {
            format!("{host} wants a login for {path}, and none is known")
        }))
    }

    /// The header that meets a challenge; kept for the next image.
    async fn grant(
        &self,
        Asked { host, path, .. }: Asked<'_>,
        challenge: Option<Challenge>,
        login: Option<Fitting<'_>>,
    ) -> Result<HeaderValue, Failure> {
        let (scope, value) = match (challenge, login) {
            (Some(Challenge::Basic), Some((_, login))) if !login.pair.is_empty() => {
                (host.to_owned(), basic(login))
            }
            (Some(Challenge::Basic), _) => {
                return Err(Failure::Refused(format!("{host} wants user and password, and none are known")));
            }
            (Some(Challenge::Bearer { realm, service, scope }), _) => {
                let scope = if scope.is_empty() { format!("repository:{path}:pull") } else { scope };
                let token =
                    self.token(host, &realm, &[("service", &service), ("scope", &scope)], login).await?;
                (format!("{host}/{path}"), Zeroizing::new(["Bearer ", &token].concat()))
            }
            (None, _) => {
                return Err(Failure::Refused(format!("{host} wants a login of a kind that is not known")));
            }
        };
        let mut header = HeaderValue::from_str(&value).map_err(|_| {
            Failure::Refused(format!("the login for {host} cannot be sent: it has control characters"))
        })?;
        header.set_sensitive(true);
        lock(&self.granted).insert((scope, login.map(|(number, _)| number)), header.clone());
        Ok(header)
    }

    /// A token of a registry's service.
    async fn token(
        &self,
        host: &str,
        realm: &str,
        parameters: &[(&str, &str)],
        login: Option<Fitting<'_>>,
    ) -> Result<Zeroizing<String>, Failure> {
        let silent = |why: String| Failure::Silent(format!("its token service: {why}"));
        let address = uri(realm).map_err(silent)?;
        if address.scheme_str() != Some("https") && self.scheme(host) == "https" {
            return Err(silent("is asked without TLS".to_owned()));
        }
        let encoded =
            |(name, value): &(&str, &str)| format!("{name}={}", utf8_percent_encode(value, NON_ALPHANUMERIC));
        let query: Vec<_> = parameters.iter().filter(|(_, value)| !value.is_empty()).map(encoded).collect();
        let query = query.join("&");
        let mut request = Request::new(Full::default());
        match login.map(|(_, login)| (login, &login.identity_token)) {
            Some((_, Some(token))) => {
                let token = utf8_percent_encode(token, NON_ALPHANUMERIC);
                let form =
                    format!("grant_type=refresh_token&client_id=pullgate&refresh_token={token}&{query}");
                *request.method_mut() = Method::POST;
                *request.body_mut() = Full::new(Bytes::from(form));
                let form = HeaderValue::from_static("application/x-www-form-urlencoded");
                request.headers_mut().insert(CONTENT_TYPE, form);
                *request.uri_mut() = address;
            }
            login => {
                let joint = if realm.contains('?') { '&' } else { '?' };
                *request.uri_mut() = uri(&format!("{realm}{joint}{query}")).map_err(silent)?;
                let header = login.and_then(|(login, _)| HeaderValue::from_str(&basic(login)).ok());
                request.headers_mut().extend(header.map(|header| (AUTHORIZATION, header)));
            }
        }
        let answer = self.wire.fetch(request).await.map_err(silent)?;
        match answer.status() {
            StatusCode::BAD_REQUEST | StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                let who = if login.is_some() { "the login" } else { "who has no login" };
                return Err(Failure::Refused(format!("the token service of {host} refuses {who}")));
            }
            status if !status.is_success() => return Err(silent(format!("it answers {status}"))),
            _ => {}
        }
        let read = serde_json::from_slice(answer.body());
        let Token { token, access_token } = read.map_err(|_| silent("its answer is no token".to_owned()))?;
        let token = token.or(access_token).filter(|token| !token.is_empty());
        token.map(Zeroizing::new).ok_or_else(|| silent("its answer is no token".to_owned()))
    }

    fn scheme(&self, host: &str) -> &'static str {
        if is_plain(&self.plain, host) { "http" } else { "https" }
    }
}

/// Not the page of a portal, or of whatever else is at this address. (A registry names the kind and the digest; what has
/// neither, no runtime can pull.)
fn is_manifest(headers: &HeaderMap) -> bool {
    const KINDS: [&str; 2] = ["application/vnd.oci.image.", "application/vnd.docker.distribution.manifest."];
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    headers.contains_key("docker-content-digest") || KINDS.iter().any(|known| kind.starts_with(known))
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
