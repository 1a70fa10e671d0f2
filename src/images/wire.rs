//! HTTP as `registry` speaks it: one request with a time limit, redirects within bounds.

use std::path::Path;
use std::time::Duration;

use actix_web::web::Bytes;
use http::header::{AUTHORIZATION, LOCATION};
use http::response::Parts;
use http::{HeaderMap, Method, Request, Response, StatusCode, Uri};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use tokio::time::timeout;
use url::Url;

use crate::cause::cause;

/// For one request.
const PATIENCE: Duration = Duration::from_secs(10);
const REDIRECTS: usize = 3;
/// The answer of a token service.
const MOST_BYTES: usize = 1 << 20;

/// An answer without its body.
pub(super) struct Head {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    /// A redirect led to another host, or another port.
    pub(super) elsewhere: bool,
}

/// A client that trusts the authorities of the system, and those of one more file.
pub(super) struct Wire(Client<HttpsConnector<HttpConnector>, Full<Bytes>>);

impl Wire {
    /// # Errors
    /// The file cannot be read or holds no certificate; names it.
    pub(super) fn new(authorities: Option<&Path>) -> Result<Self, String> {
        let mut roots = RootCertStore::empty();
        // What of the system's cannot be read, the handshake with a registry will tell.
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if let Some(path) = authorities {
            let problem = |why: &dyn std::fmt::Display| format!("--registry-ca {}: {why}", path.display());
            let read = CertificateDer::pem_file_iter(path).map_err(|error| problem(&error))?;
            let given: Vec<_> = read.collect::<Result<_, _>>().map_err(|error| problem(&error))?;
            if roots.add_parsable_certificates(given).0 == 0 {
                return Err(problem(&"holds no certificate; PEM is accepted"));
            }
        }
        let tls = ClientConfig::builder_with_provider(default_provider().into())
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_connect_timeout(Some(PATIENCE));
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls)
            .https_or_http()
            .enable_http1()
            .wrap_connector(tcp);
        Ok(Self(Client::builder(TokioExecutor::new()).build(connector)))
    }

    /// The answer without its body, wherever it is; another host does not get the credentials.
    ///
    /// # Errors
    /// Why there is none.
    pub(super) async fn look(
        &self,
        method: &Method,
        address: &str,
        headers: &HeaderMap,
    ) -> Result<Head, String> {
        let (mut address, mut headers) = (url(address)?, headers.clone());
        let mut elsewhere = false;
        for _ in 0..=REDIRECTS {
            let mut request = Request::new(Full::default());
            method.clone_into(request.method_mut());
            *request.uri_mut() = uri(address.as_str())?;
            *request.headers_mut() = headers.clone();
            let (Parts { status, headers: answered, .. }, _) = self.send(request).await?.into_parts();
            let location = answered.get(LOCATION).filter(|_| status.is_redirection());
            let Some(location) = location.and_then(|location| location.to_str().ok()) else {
                return Ok(Head { status, headers: answered, elsewhere });
            };
            let next = address.join(location).map_err(|_| no_address())?;
            if address.scheme() == "https" && next.scheme() != "https" {
                return Err("redirects to an address without TLS".to_owned());
            }
            if (next.host(), next.port_or_known_default())
                != (address.host(), address.port_or_known_default())
            {
                elsewhere = true;
                headers.remove(AUTHORIZATION);
            }
            address = next;
        }
        Err(format!("redirects more than {REDIRECTS} times"))
    }

    /// The answer with its body.
    ///
    /// # Errors
    /// Why there is none.
    pub(super) async fn fetch(&self, request: Request<Full<Bytes>>) -> Result<Response<Bytes>, String> {
        let (parts, body) = self.send(request).await?.into_parts();
        let read = timeout(PATIENCE, Limited::new(body, MOST_BYTES).collect()).await;
        let body = read.map_err(|_| slow())?.map_err(|error| error.to_string())?.to_bytes();
        Ok(Response::from_parts(parts, body))
    }

    async fn send(&self, request: Request<Full<Bytes>>) -> Result<Response<BoxBody<Bytes, String>>, String> {
        let asked = timeout(PATIENCE, self.0.request(request)).await.map_err(|_| slow())?;
        let answer = asked.map_err(|error| advised(&cause(&error)))?;
        Ok(answer.map(|body| body.map_err(|error| cause(&error)).boxed()))
    }
}

/// An address that can be asked.
pub(super) fn uri(address: &str) -> Result<Uri, String> {
    url(address)?.as_str().parse().map_err(|_| no_address())
}

fn url(address: &str) -> Result<Url, String> {
    let url = Url::parse(address).map_err(|_| no_address())?;
    if matches!(url.scheme(), "http" | "https") { Ok(url) } else { Err(no_address()) }
}

fn no_address() -> String {
    "names an address that is none".to_owned()
}

fn slow() -> String {
    format!("no answer within {} s", PATIENCE.as_secs())
}

/// The two usual reasons have a remedy.
fn advised(problem: &str) -> String {
    if problem.contains("corrupt message") {
        return format!("{problem}: if it speaks no TLS, give --plain-http with its host");
    }
    if problem.contains("UnknownIssuer") {
        return format!("{problem}: give --registry-ca with the authority that its certificate is from");
    }
    problem.to_owned()
}
