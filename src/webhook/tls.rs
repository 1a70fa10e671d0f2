//! The serving certificate: read as a checked pair, served from a slot, replaced when its files change.
//!
//! A Secret volume changes by swapping the link `..data` to a new folder, so the files that were opened never
//! change. The content is looked at once a second instead: two small reads that work on every file system.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use std::{fs, io};

use arc_swap::ArcSwap;
use log::{error, info};
use rustls::crypto::ring;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert, ServerConfig};
use rustls::sign::CertifiedKey;

use crate::metrics::{Metrics, ReloadOutcome};

const POLL: Duration = Duration::from_secs(1);

/// Why a certificate cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file is no PEM, or holds something else.
    #[error("{path} does not hold {expected} in PEM: {source}")]
    Pem {
        /// The file.
        path: PathBuf,
        /// What it should hold.
        expected: &'static str,
        /// What is wrong with it.
        source: pem::Error,
    },
    /// The key is of another certificate, or of a kind that cannot be used.
    #[error("the key in {key} does not go with the certificate in {cert}: {source}")]
    Pair {
        /// Certificate file.
        cert: PathBuf,
        /// Key file.
        key: PathBuf,
        /// What rustls said.
        source: rustls::Error,
    },
    /// The certificate cannot be understood.
    #[error("{path} does not hold a valid X.509 certificate: {problem}")]
    X509 {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// The certificate is too old.
    #[error("the certificate in {path} has expired ({expired}): renew it")]
    Expired {
        /// The file.
        path: PathBuf,
        /// When.
        expired: String,
    },
    /// TLS cannot be set up at all.
    #[error("cannot set up TLS: {0}")]
    Setup(#[from] rustls::Error),
}

/// A certificate chain with its key, checked to belong together.
#[derive(Debug)]
pub struct Pair {
    key: Arc<CertifiedKey>,
    /// When the leaf expires (seconds since 1970).
    pub not_after: i64,
    /// The leaf's serial number.
    pub serial: String,
}

/// The files of a pair, as they were read.
#[derive(Clone, PartialEq, Eq)]
struct Content {
    cert: Vec<u8>,
    key: Vec<u8>,
}

/// The files that a pair is read from.
#[derive(Clone, Debug)]
pub struct Files {
    cert: PathBuf,
    key: PathBuf,
}

impl Files {
    /// A chain (leaf first) and the key of its leaf.
    #[must_use]
    pub fn new(cert: PathBuf, key: PathBuf) -> Self {
        Self { cert, key }
    }

    fn read(&self) -> Result<Content, TlsError> {
        let read =
            |path: &Path| fs::read(path).map_err(|source| TlsError::Read { path: path.to_owned(), source });
        Ok(Content { cert: read(&self.cert)?, key: read(&self.key)? })
    }

    fn parse(&self, content: &Content) -> Result<Pair, TlsError> {
        let bad = |path: &Path, expected, source| TlsError::Pem { path: path.to_owned(), expected, source };
        let chain = CertificateDer::pem_slice_iter(&content.cert)
            .collect::<Result<Vec<_>, _>>()
            .and_then(|chain| if chain.is_empty() { Err(pem::Error::NoItemsFound) } else { Ok(chain) })
            .map_err(|source| bad(&self.cert, "a certificate", source))?;
        let key = PrivateKeyDer::from_pem_slice(&content.key)
            .map_err(|source| bad(&self.key, "an unencrypted private key", source))?;
        Pair::new(chain, key, self)
    }
}

impl Pair {
    fn new(
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
        files: &Files,
    ) -> Result<Self, TlsError> {
        let x509 = |problem: String| TlsError::X509 { path: files.cert.clone(), problem };
        let leaf = chain.first().ok_or_else(|| x509("it is empty".to_owned()))?;
        let (_, leaf) = x509_parser::parse_x509_certificate(leaf).map_err(|error| x509(error.to_string()))?;
        let validity = leaf.validity();
        let (not_after, serial) = (validity.not_after.timestamp(), leaf.raw_serial_as_string());
        if now() > not_after {
            let expired = validity.not_after.to_string();
            return Err(TlsError::Expired { path: files.cert.clone(), expired });
        }
        let key = CertifiedKey::from_der(chain, key, &ring::default_provider())
            .map_err(|source| TlsError::Pair { cert: files.cert.clone(), key: files.key.clone(), source })?;
        Ok(Self { key: Arc::new(key), not_after, serial })
    }
}

fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

/// Where handshakes find the pair that is served now.
pub struct Slot(ArcSwap<CertifiedKey>);

impl fmt::Debug for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Slot")
    }
}

impl ResolvesServerCert for Slot {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.load_full())
    }
}

/// A certificate that is being served, and its files where it has some.
#[derive(Debug)]
pub struct Serving {
    slot: Arc<Slot>,
    /// When the certificate expires (seconds since 1970).
    pub not_after: i64,
    watched: Option<Watched>,
}

struct Watched {
    files: Files,
    /// What was looked at last; none where the files could not be read.
    last: Option<Content>,
}

impl fmt::Debug for Watched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The content is a private key.
        self.files.fmt(f)
    }
}

impl Serving {
    /// Serves what the files hold.
    ///
    /// # Errors
    /// The first thing that is wrong with them, naming the file.
    pub fn from_files(files: Files) -> Result<Self, TlsError> {
        let last = files.read()?;
        let pair = files.parse(&last)?;
        Ok(Self::start(pair, Some(Watched { files, last: Some(last) })))
    }

    /// Serves a pair that was made in memory.
    ///
    /// # Errors
    /// The pair cannot be used.
    pub fn from_memory(
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
    ) -> Result<Self, TlsError> {
        let files = Files::new("(in memory)".into(), "(in memory)".into());
        Ok(Self::start(Pair::new(chain, key, &files)?, None))
    }

    fn start(pair: Pair, watched: Option<Watched>) -> Self {
        let Pair { key, not_after, serial } = pair;
        info!(serial = serial.as_str(), expires = not_after; "serving certificate loaded");
        Self { slot: Arc::new(Slot(ArcSwap::new(key))), not_after, watched }
    }

    /// TLS 1.2 and 1.3 with whatever the slot holds.
    ///
    /// # Errors
    /// None in practice: the provider supports both versions.
    pub fn config(&self) -> Result<ServerConfig, TlsError> {
        let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?;
        Ok(builder.with_no_client_auth().with_cert_resolver(Arc::clone(&self.slot) as Arc<_>))
    }

    /// Replaces the pair whenever its files change, for ever. A pair that cannot be served is counted once and
    /// the old one kept.
    pub async fn watch(mut self, metrics: Arc<Metrics>) {
        let Some(watched) = &mut self.watched else { return };
        let mut ticks = tokio::time::interval(POLL);
        loop {
            ticks.tick().await;
            let Some(changed) = watched.changed() else { continue };
            match changed {
                Ok(Pair { key, not_after, serial }) => {
                    self.slot.0.store(key);
                    metrics.reload(ReloadOutcome::Success);
                    metrics.certificate_expires(not_after);
                    info!(serial = serial.as_str(), expires = not_after; "serving certificate replaced");
                }
                Err(problem) => {
                    metrics.reload(ReloadOutcome::Failure);
                    error!(problem = problem.to_string().as_str(); "new certificate refused, the old one is kept");
                }
            }
        }
    }
}

impl Watched {
    /// What the files hold now, if that is something new.
    fn changed(&mut self) -> Option<Result<Pair, TlsError>> {
        let content = self.files.read();
        // A swap between two reads makes a pair that never existed; a second look tells.
        if content.as_ref().ok() != self.files.read().as_ref().ok() {
            return None;
        }
        let content = match content {
            Ok(content) => content,
            // Told once, as everything else.
            Err(error) => return self.last.take().map(|_| Err(error)),
        };
        if self.last.as_ref() == Some(&content) {
            return None;
        }
        Some(self.files.parse(self.last.insert(content)))
    }
}
