//! Where and how the webhook is served, and what it logs.

use std::path::PathBuf;
use std::time::Duration;

use log::LevelFilter;

use super::raw::Values;
use super::read::Reader;

const MIB: usize = 1024 * 1024;
const DEFAULT_CERT_FILE: &str = "/run/secrets/tls/webhook-server-tls.crt";
const DEFAULT_KEY_FILE: &str = "/run/secrets/tls/webhook-server-tls.key";
const LEVELS: [(&str, LevelFilter); 6] = [
    ("trace", LevelFilter::Trace),
    ("debug", LevelFilter::Debug),
    ("info", LevelFilter::Info),
    ("warn", LevelFilter::Warn),
    ("error", LevelFilter::Error),
    // The system whose variables these are had one more; nothing is logged there that is no error.
    ("fatal", LevelFilter::Error),
];
const FORMATS: [(&str, LogFormat); 2] = [("text", LogFormat::Text), ("json", LogFormat::Json)];

/// The webhook's ports, certificate and limits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Serving {
    /// `PORT`: TLS port of the webhook.
    pub port: u16,
    /// `HEALTH_PORT`: plain port of health and metrics, unless off.
    pub health_port: Option<u16>,
    /// The certificate's source.
    pub tls: Tls,
    /// `SHUTDOWN_DELAY_SECONDS`: how long to go on serving after SIGTERM.
    pub shutdown_delay: Duration,
    /// `SHUTDOWN_TIMEOUT_SECONDS`: how long requests in flight may take after that.
    pub shutdown_timeout: Duration,
    /// `MAX_BODY_BYTES`: largest body of one request.
    pub max_body_bytes: usize,
    /// `MAX_BUFFERED_BYTES`: all bodies together.
    pub max_buffered_bytes: usize,
}

/// Where the certificate comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tls {
    /// `TLS_CERT_FILE` and `TLS_KEY_FILE`: PEM files, watched.
    Files {
        /// Chain, leaf first.
        cert: PathBuf,
        /// Private key of the leaf.
        key: PathBuf,
    },
    /// `TLS_SELF_SIGNED`: made in memory at start.
    SelfSigned,
}

/// What is logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Logging {
    /// `LOG_LEVEL`
    pub level: LevelFilter,
    /// `LOG_FORMAT`
    pub format: LogFormat,
}

/// One line per record, for a person or for a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// `time LEVEL message key=value …`
    Text,
    /// One JSON object.
    Json,
}

pub(super) fn read(values: &Values, read: &mut Reader) -> Serving {
    let Values {
        port,
        tls_cert_file,
        tls_key_file,
        tls_self_signed,
        health_port,
        shutdown_delay_seconds,
        shutdown_timeout_seconds,
        max_body_bytes,
        max_buffered_bytes,
        ..
    } = values;
    let (named_port, named_health) = (port.is_some(), health_port.is_some());
    let port = read.number("PORT", port.as_ref(), 8443, 1..=65535);
    let health = read.number("HEALTH_PORT", health_port.as_ref(), 8080, 0..=65535);
    if health == port && named_port && !named_health {
        read.refuse(
            "PORT",
            &port.to_string(),
            "is the default of HEALTH_PORT; accepted: another port, or set that one too",
        );
    } else if health == port {
        read.refuse(
            "HEALTH_PORT",
            &health.to_string(),
            "is the same as PORT; accepted: another port, or 0 for none",
        );
    }
    let self_signed = read.boolean("TLS_SELF_SIGNED", tls_self_signed.as_ref());
    if self_signed && (tls_cert_file.is_some() || tls_key_file.is_some()) {
        read.warn("TLS_SELF_SIGNED is on: TLS_CERT_FILE and TLS_KEY_FILE are not read".to_owned());
    }
    let file = |raw: &Option<String>, default: &str| PathBuf::from(raw.as_deref().unwrap_or(default));
    let tls = if self_signed {
        Tls::SelfSigned
    } else {
        let (cert, key) = (file(tls_cert_file, DEFAULT_CERT_FILE), file(tls_key_file, DEFAULT_KEY_FILE));
        read.effective("TLS_CERT_FILE", cert.display().to_string());
        read.effective("TLS_KEY_FILE", key.display().to_string());
        Tls::Files { cert, key }
    };
    let delay = read.number("SHUTDOWN_DELAY_SECONDS", shutdown_delay_seconds.as_ref(), 10, 0..=3600);
    let timeout = read.number("SHUTDOWN_TIMEOUT_SECONDS", shutdown_timeout_seconds.as_ref(), 20, 0..=3600);
    let max_body_bytes = read.number("MAX_BODY_BYTES", max_body_bytes.as_ref(), 24 * MIB, 1..=1024 * MIB);
    let max_buffered_bytes =
        read.number("MAX_BUFFERED_BYTES", max_buffered_bytes.as_ref(), 192 * MIB, 1..=64 * 1024 * MIB);
    if max_buffered_bytes < max_body_bytes {
        read.warn(format!(
            "MAX_BUFFERED_BYTES={max_buffered_bytes} is less than MAX_BODY_BYTES={max_body_bytes}: \
             a body between the two is always refused with 503"
        ));
    }
    Serving {
        port,
        health_port: (health != 0).then_some(health),
        tls,
        shutdown_delay: Duration::from_secs(delay),
        shutdown_timeout: Duration::from_secs(timeout),
        max_body_bytes,
        max_buffered_bytes,
    }
}

/// `LOG_LEVEL` and `LOG_FORMAT`, of any command.
pub(crate) fn read_logging(
    level: Option<&String>,
    format: Option<&String>,
    terminal: bool,
    read: &mut Reader,
) -> Logging {
    let default = if terminal { LogFormat::Text } else { LogFormat::Json };
    Logging {
        level: read.word("LOG_LEVEL", level, LevelFilter::Info, &LEVELS),
        format: read.word("LOG_FORMAT", format, default, &FORMATS),
    }
}
