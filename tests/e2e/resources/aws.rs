//! A counterpart of ECR and STS that can fail in every way, and takes no request that is not signed as it should be. It is
//! also the registry that takes the tokens, as long as they live.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::{digest, hmac};
use serde_json::json;

/// How it behaves from now on.
#[derive(Clone, Debug)]
pub(crate) enum Mood {
    /// Gives tokens that live so long.
    Gives { seconds: u64 },
    /// Says that it was asked too often.
    Throttles,
    /// Answers with what is no answer.
    Babbles,
    /// Takes so long.
    Dawdles { seconds: u64 },
}

/// A request that was taken: who asked, for what region, and for which role before.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Asked {
    pub(crate) action: String,
    pub(crate) key: String,
    pub(crate) region: String,
}

/// The server, on a port of its own; gone when dropped.
pub(crate) struct Aws {
    pub(crate) url: String,
    shared: Arc<Shared>,
}

struct Shared {
    mood: Mutex<Mood>,
    asked: Mutex<Vec<Asked>>,
    refused: Mutex<Vec<String>>,
    /// Tokens that were given, with the second in which they end.
    tokens: Mutex<BTreeMap<String, u64>>,
    /// Secret keys by their names.
    keys: Mutex<BTreeMap<String, String>>,
    over: AtomicBool,
}

struct Request {
    headers: BTreeMap<String, String>,
    line: String,
    body: Vec<u8>,
}

impl Aws {
    /// One that knows one key.
    pub(crate) fn new(key: &str, secret: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let shared = Arc::new(Shared {
            mood: Mutex::new(Mood::Gives { seconds: 43_200 }),
            asked: Mutex::default(),
            refused: Mutex::default(),
            tokens: Mutex::default(),
            keys: Mutex::new(BTreeMap::from([(key.to_owned(), secret.to_owned())])),
            over: AtomicBool::new(false),
        });
        let serving = Arc::clone(&shared);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if serving.over.load(Ordering::Acquire) {
                    return;
                }
                let serving = Arc::clone(&serving);
                thread::spawn(move || serving.serve(stream));
            }
        });
        Self { url, shared }
    }

    pub(crate) fn set(&self, mood: Mood) {
        *self.shared.mood.lock().expect("a mood") = mood;
    }

    /// What was asked and taken so far.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.shared.asked.lock().expect("a list").clone()
    }

    /// What was not signed as it should be.
    pub(crate) fn refused(&self) -> Vec<String> {
        self.shared.refused.lock().expect("a list").clone()
    }

    /// What the registry answers to a client with this `auth` of a pull secret: an HTTP status.
    pub(crate) fn pull(&self, auth: &str) -> Option<u16> {
        let mut stream = TcpStream::connect(self.url.trim_start_matches("http://")).ok()?;
        write!(stream, "GET /v2/ HTTP/1.1\r\nHost: registry\r\nAuthorization: Basic {auth}\r\n\r\n").ok()?;
        let mut line = String::new();
        BufReader::new(stream).read_line(&mut line).ok()?;
        line.split(' ').nth(1)?.parse().ok()
    }
}

impl Drop for Aws {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::Release);
        // The listener waits for one more.
        drop(TcpStream::connect(self.url.trim_start_matches("http://")));
    }
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock after 1970").as_secs()
}

impl Shared {
    fn serve(&self, stream: TcpStream) {
        let mut reader = BufReader::new(stream.try_clone().expect("a second handle"));
        let mut stream = stream;
        while let Some(request) = read(&mut reader) {
            let (status, kind, body) = self.answer(&request);
            let head = format!(
                "HTTP/1.1 {status} X\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n",
                body.len()
            );
            if stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body.as_bytes())).is_err() {
                return;
            }
        }
    }

    fn answer(&self, request: &Request) -> (u16, &'static str, String) {
        const JSON: &str = "application/x-amz-json-1.1";
        if request.line.starts_with("GET /v2/ ") {
            let status = if self.may_pull(request) { 200 } else { 401 };
            return (status, "application/json", "{}".to_owned());
        }
        let asked = match self.verify(request) {
            Ok(asked) => asked,
            Err(problem) => {
                self.refused.lock().expect("a list").push(problem);
                return (
                    403,
                    JSON,
                    json!({"__type": "InvalidSignatureException", "message": "no"}).to_string(),
                );
            }
        };
        let region = asked.region.clone();
        let (action, key) = (asked.action.clone(), asked.key.clone());
        self.asked.lock().expect("a list").push(asked);
        let mood = self.mood.lock().expect("a mood").clone();
        let seconds = match mood {
            Mood::Gives { seconds } => seconds,
            Mood::Throttles => {
                return (
                    400,
                    JSON,
                    json!({"__type": "ThrottlingException", "message": "Rate exceeded"}).to_string(),
                );
            }
            Mood::Babbles => return (200, JSON, "<html>hello</html>".to_owned()),
            Mood::Dawdles { seconds } => {
                thread::sleep(Duration::from_secs(seconds));
                43_200
            }
        };
        if action == "AssumeRole" {
            let body = String::from_utf8_lossy(&request.body).into_owned();
            let role = body.split('&').find_map(|pair| pair.strip_prefix("RoleArn=")).unwrap_or_default();
            let role = role.rsplit("%2F").next().unwrap_or_default();
            let (key, secret) = (format!("ASIA{}", role.to_uppercase()), format!("secret-of-{role}"));
            self.keys.lock().expect("keys").insert(key.clone(), secret.clone());
            return (
                200,
                "text/xml",
                format!(
                    "<AssumeRoleResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><AssumeRoleResult>\
                 <Credentials><AccessKeyId>{key}</AccessKeyId><SecretAccessKey>{secret}</SecretAccessKey>\
                 <SessionToken>session</SessionToken><Expiration>2099-01-01T00:00:00Z</Expiration></Credentials>\
                 </AssumeRoleResult></AssumeRoleResponse>"
                ),
            );
        }
        // Tells who asked, and when.
        let token =
            STANDARD.encode(format!("AWS:{key}@{region}#{}", self.asked.lock().expect("a list").len()));
        let end = now() + seconds;
        self.tokens.lock().expect("tokens").insert(token.clone(), end);
        let data = json!({"authorizationToken": token, "expiresAt": end});
        let data = if action.contains("SpencerFrontendService") { data } else { json!([data]) };
        (200, JSON, json!({ "authorizationData": data }).to_string())
    }

    /// Whether it has a token that was given and has not ended.
    fn may_pull(&self, request: &Request) -> bool {
        let authorization = request.headers.get("authorization").map(String::as_str).unwrap_or_default();
        let token = authorization.strip_prefix("Basic ").unwrap_or_default();
        self.tokens.lock().expect("tokens").get(token).is_some_and(|end| now() < *end)
    }

    /// Whether the signature is that of a key that is known, over everything that was sent.
    fn verify(&self, request: &Request) -> Result<Asked, String> {
        let header = |name: &str| request.headers.get(name).cloned().unwrap_or_default();
        let authorization = header("authorization");
        let part = |name: &str| {
            let parts = authorization.trim_start_matches("AWS4-HMAC-SHA256 ").split(',');
            parts.map(str::trim).find_map(|part| part.strip_prefix(name)).unwrap_or_default().to_owned()
        };
        let (credential, signed) = (part("Credential="), part("SignedHeaders="));
        let scope: Vec<_> = credential.split('/').collect();
        let [key, date, region, service, _] = scope.as_slice() else {
            return Err(format!("no credential: {authorization:?}"));
        };
        let secret =
            self.keys.lock().expect("keys").get(*key).cloned().ok_or(format!("unknown key {key}"))?;
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat();
        let hash = |bytes: &[u8]| hex(digest::digest(&digest::SHA256, bytes).as_ref());
        let headers = signed.split(';').map(|name| format!("{name}:{}\n", header(name).trim()));
        let headers = headers.collect::<Vec<_>>().concat();
        let path = request.line.split(' ').nth(1).unwrap_or_default();
        let canonical = format!("POST\n{path}\n\n{headers}\n{signed}\n{}", hash(&request.body));
        let scope = format!("{date}/{region}/{service}/aws4_request");
        let text =
            format!("AWS4-HMAC-SHA256\n{}\n{scope}\n{}", header("x-amz-date"), hash(canonical.as_bytes()));
        let sign =
            |key: &[u8], text: &str| hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text.as_bytes());
        let mut signing = sign(format!("AWS4{secret}").as_bytes(), date);
        for step in [*region, *service, "aws4_request"] {
            signing = sign(signing.as_ref(), step);
        }
        if hex(sign(signing.as_ref(), &text).as_ref()) != part("Signature=") {
            return Err(format!("wrong signature by {key}"));
        }
        let target = header("x-amz-target");
        let body = String::from_utf8_lossy(&request.body);
        let form = body.split('&').find_map(|pair| pair.strip_prefix("Action="));
        let action = form.map_or(target, str::to_owned);
        Ok(Asked { action, key: (*key).to_owned(), region: (*region).to_owned() })
    }
}

fn read(reader: &mut BufReader<TcpStream>) -> Option<Request> {
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
    let mut headers = BTreeMap::new();
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).ok().filter(|read| *read > 0)?;
        let Some((name, value)) = header.trim_end().split_once(':') else { break };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let length = headers.get("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(Request { headers, line, body })
}
