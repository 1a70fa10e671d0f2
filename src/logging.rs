//! Log lines: for a person (`time LEVEL message key=value …`) or for a machine (one JSON object).

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::{self, Write as _};

use env_logger::{Builder, Target, fmt::Formatter};
use log::kv::{Error, Key, Value, VisitSource};
use log::{LevelFilter, Record};

use crate::config::{LogFormat, Logging};

/// Sends log records to standard error from now on. A second call changes nothing.
pub fn init(logging: Logging) {
    let Logging { level, format } = logging;
    let write = match format {
        LogFormat::Text => text,
        LogFormat::Json => json,
    };
    let mut builder = Builder::new();
    // The libraries below report what clients do, garbage on a port included: that is not for them to say.
    builder.filter_level(level.min(LevelFilter::Warn)).filter_module("pullgate", level);
    builder.filter_module("actix_http", LevelFilter::Off);
    // Nor is it for these: what a call of the API server comes to is returned to who made it.
    for library in ["kube_client", "rustls_platform_verifier"] {
        builder.filter_module(library, LevelFilter::Off);
    }
    if builder.format(write).target(Target::Stderr).try_init().is_err() {
        log::debug!("logging is set up already");
    }
}

fn text(out: &mut Formatter, record: &Record<'_>) -> io::Result<()> {
    let message = record.args().to_string();
    let mut line = format!("{} {:5} {}", out.timestamp_millis(), record.level(), one_line(&message));
    visit(record, |key, value| {
        let value = value.to_string();
        // Names come from requests: quoting escapes whatever could forge a line or confuse a terminal.
        let plain = value.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b'"' | b'='));
        // Writing to a String cannot fail.
        let _ = if plain { write!(line, " {key}={value}") } else { write!(line, " {key}={value:?}") };
    });
    writeln!(out, "{line}")
}

fn json(out: &mut Formatter, record: &Record<'_>) -> io::Result<()> {
    let mut line = serde_json::Map::new();
    let mut put = |key: &str, value: serde_json::Value| drop(line.insert(key.to_owned(), value));
    put("time", out.timestamp_millis().to_string().into());
    put("level", record.level().as_str().to_ascii_lowercase().into());
    put("message", record.args().to_string().into());
    visit(record, |key, value| {
        let number = value.to_u64().map(Into::into).or_else(|| value.to_i64().map(Into::into));
        put(key.as_str(), number.unwrap_or_else(|| value.to_string().into()));
    });
    writeln!(out, "{}", serde_json::Value::Object(line))
}

/// Calls `each` for every field that says something: an empty one is as good as absent.
fn visit(record: &Record<'_>, each: impl FnMut(Key<'_>, Value<'_>)) {
    struct Each<F>(F);

    impl<'kvs, F: FnMut(Key<'_>, Value<'_>)> VisitSource<'kvs> for Each<F> {
        fn visit_pair(&mut self, key: Key<'kvs>, value: Value<'kvs>) -> Result<(), Error> {
            if value.to_borrowed_str() != Some("") {
                (self.0)(key, value);
            }
            Ok(())
        }
    }

    // The visitor above never fails.
    drop(record.key_values().visit(&mut Each(each)));
}

/// A message of ours is one line; this holds for those of libraries too.
fn one_line(text: &str) -> Cow<'_, str> {
    if text.contains(char::is_control) {
        let escape = |c: char| if c.is_control() { c.escape_default().collect() } else { String::from(c) };
        return Cow::Owned(text.chars().map(escape).collect());
    }
    Cow::Borrowed(text)
}
