//! Log lines: for a person (`time LEVEL message key=value …`) or for a machine (one JSON object).

use std::borrow::Cow;
use std::fmt::{self, Write as _};
use std::io::{self, Write as _};

use env_logger::{Builder, Target, fmt::Formatter};
use log::kv::{Error, Key, Value, VisitSource};
use log::{Level, LevelFilter, Record};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde::ser::{Serialize, SerializeMap as _, Serializer};

use crate::config::{LogFormat, Logging};

/// Sends log records to standard error from now on. A second call changes nothing.
pub fn init(logging: Logging) {
    let Logging { level, format } = logging;
    let write = match format {
        LogFormat::Text => text,
        LogFormat::Json => json,
    };
    let lost = match format {
        LogFormat::Text => |lines| format!("WARN  {LOST} lines={lines}\n"),
        LogFormat::Json => {
            |lines| format!("{{\"level\":\"warn\",\"message\":\"{LOST}\",\"lines\":{lines}}}\n")
        }
    };
    let mut builder = Builder::new();
    // The libraries below report what clients do, garbage on a port included: that is not for them to say.
    builder.filter_level(level.min(LevelFilter::Warn)).filter_module("pullgate", level);
    builder.filter_module("actix_http", LevelFilter::Off);
    // Nor is it for these: what a call of the API server comes to is returned to who made it.
    for library in ["kube_client", "kube_runtime", "rustls_platform_verifier"] {
        builder.filter_module(library, LevelFilter::Off);
    }
    let output = Unhurried { stalled: false, lines: 0, lost };
    if builder.format(write).target(Target::Pipe(Box::new(output))).try_init().is_err() {
        log::debug!("logging is set up already");
    }
}

const LOST: &str = "standard error was not read, log lines are lost";

/// Standard error, for as long as somebody reads it. A full pipe would stop whoever writes a line, and every call with
/// it; so after a moment lines are lost instead, and counted.
struct Unhurried {
    /// Whether the last line found no room: then none is waited for.
    stalled: bool,
    lines: u64,
    /// The line that tells how many were lost.
    lost: fn(u64) -> String,
}

impl Unhurried {
    /// How long a reader may be late.
    const PATIENCE: Timespec = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };

    fn has_room(&self) -> bool {
        let wait = if self.stalled { Timespec::default() } else { Self::PATIENCE };
        let error = io::stderr();
        // A pipe is ready when 4 kB fit, which is more than a line; a file always is. A pipe without a reader is ready
        // to say so.
        !matches!(poll(&mut [PollFd::new(&error, PollFlags::OUT)], Some(&wait)), Ok(0))
    }
}

impl io::Write for Unhurried {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.stalled = !self.has_room();
        if self.stalled {
            self.lines += 1;
            return Ok(line.len());
        }
        if self.lines > 0 {
            let told = (self.lost)(std::mem::take(&mut self.lines));
            io::stderr().write_all(told.as_bytes())?;
        }
        io::stderr().write_all(line)?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
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

/// Written as it comes, without a JSON value in between: at a line for each call that costs as much as a small patch.
fn json(out: &mut Formatter, record: &Record<'_>) -> io::Result<()> {
    let mut line = Vec::with_capacity(512);
    let mut json = serde_json::Serializer::new(&mut line);
    let mut object = json.serialize_map(None)?;
    object.serialize_entry("time", &Shown(out.timestamp_millis()))?;
    object.serialize_entry("level", level(record.level()))?;
    object.serialize_entry("message", &Shown(record.args()))?;
    // Writing to a vector cannot fail.
    visit(record, |key, value| {
        let key = key.as_str();
        let _ = match (value.to_borrowed_str(), value.to_u64(), value.to_i64()) {
            (Some(text), ..) => object.serialize_entry(key, text),
            (None, Some(number), _) => object.serialize_entry(key, &number),
            (None, None, Some(number)) => object.serialize_entry(key, &number),
            (None, None, None) => object.serialize_entry(key, &Shown(value)),
        };
    });
    object.end()?;
    line.push(b'\n');
    out.write_all(&line)
}

/// A level as machines like it.
const fn level(level: Level) -> &'static str {
    match level {
        Level::Error => "error",
        Level::Warn => "warn",
        Level::Info => "info",
        Level::Debug => "debug",
        Level::Trace => "trace",
    }
}

/// A text that is known by how it is shown.
struct Shown<T>(T);

impl<T: fmt::Display> Serialize for Shown<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
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
