//! Another webhook, inside the test: it records its calls and answers as it is told.

use std::net::TcpListener;
use std::sync::{Arc, Mutex, PoisonError, mpsc};

use actix_web::dev::ServerHandle;
use actix_web::http::StatusCode;
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use pullgate::certs::{SelfSigned, self_signed};
use rustls::ServerConfig;
use rustls::crypto::ring;
use serde_json::{Value, json};

use crate::webhook::Endpoint;

/// As the API server sent it.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
    /// `request` of the review.
    pub(crate) request: Value,
}

impl Call {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// An answer with these fields, `allowed` unless they say otherwise.
    pub(crate) fn answer(&self, fields: &Value) -> Reply {
        let mut response = json!({"uid": self.request["uid"], "allowed": true});
        for (key, value) in fields.as_object().into_iter().flatten() {
            response[key] = value.clone();
        }
        let review =
            json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response});
        Reply { status: 200, headers: Vec::new(), body: review.to_string() }
    }

    /// An answer with this patch.
    pub(crate) fn patch(&self, patch: &Value) -> Reply {
        self.answer(&json!({"patchType": "JSONPatch", "patch": STANDARD.encode(patch.to_string())}))
    }

    /// An answer without a patch.
    pub(crate) fn allow(&self) -> Reply {
        self.answer(&json!({}))
    }
}

/// What is sent back.
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, &'static str)>,
    pub(crate) body: String,
}

/// A webhook on a free port; ends when dropped.
pub(crate) struct Neighbour {
    pub(crate) endpoint: Endpoint,
    calls: Arc<Mutex<Vec<Call>>>,
    server: ServerHandle,
}

impl Neighbour {
    /// Starts it; `answer` is asked with the number of calls before this one.
    pub(crate) fn start(answer: impl Fn(&Call, usize) -> Reply + Send + Sync + 'static) -> Self {
        let SelfSigned { ca_pem, chain, key } = self_signed().expect("a certificate");
        let tls = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("the versions of the provider")
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .expect("the key is of that certificate");
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let url = format!("https://{}/mutate", listener.local_addr().expect("it is bound"));
        let calls: Arc<Mutex<Vec<Call>>> = Arc::default();
        let shared = web::Data::new((Arc::clone(&calls), answer));
        let (started, handle) = mpsc::channel();
        std::thread::spawn(move || {
            actix_web::rt::System::new().block_on(async move {
                let server = HttpServer::new(move || {
                    let shared = web::Data::clone(&shared);
                    let limit = web::PayloadConfig::new(64 * 1024 * 1024);
                    App::new().app_data(limit).default_service(web::to(
                        move |request: HttpRequest, body: String| {
                            let (calls, answer) = &**shared;
                            let reply = respond(&request, body, calls, answer);
                            async move { reply }
                        },
                    ))
                })
                .workers(1)
                .disable_signals()
                .listen_rustls_0_23(listener, tls)
                .expect("the port is ours")
                .run();
                started.send(server.handle()).expect("the test waits for it");
                server.await
            })
        });
        let server = handle.recv().expect("the server starts");
        Self { endpoint: Endpoint { url, ca_pem }, calls, server }
    }

    /// All calls so far that are about an object of this name.
    pub(crate) fn calls_about(&self, name: &str) -> Vec<Call> {
        let calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        calls.iter().filter(|call| call.request["name"] == name).cloned().collect()
    }

    pub(crate) fn was_called(&self) -> bool {
        !self.calls.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }
}

impl Drop for Neighbour {
    fn drop(&mut self) {
        // The message is sent by the call itself; only the wait for its end is a future.
        drop(self.server.stop(false));
    }
}

/// Records a call and answers it. The count goes by the object's name: the wait for the registration calls too.
fn respond(
    request: &HttpRequest,
    body: String,
    calls: &Mutex<Vec<Call>>,
    answer: &impl Fn(&Call, usize) -> Reply,
) -> HttpResponse {
    let headers = request.headers().iter();
    let review: Value = serde_json::from_str(&body).unwrap_or_default();
    let call = Call {
        method: request.method().to_string(),
        target: request.uri().to_string(),
        headers: headers.map(|(n, v)| (n.to_string(), v.to_str().unwrap_or_default().to_owned())).collect(),
        request: review["request"].clone(),
        body,
    };
    let before = {
        let mut calls = calls.lock().unwrap_or_else(PoisonError::into_inner);
        let before = calls.iter().filter(|other| other.request["name"] == call.request["name"]).count();
        calls.push(call.clone());
        before
    };
    let Reply { status, headers, body } = answer(&call, before);
    let mut response = HttpResponse::build(StatusCode::from_u16(status).expect("a status"));
    for header in headers {
        response.insert_header(header);
    }
    response.content_type("application/json").body(body)
}
