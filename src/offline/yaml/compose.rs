//! PURE: parser events to values, with anchors, merge keys and tags.
//!
//! Everything that an input can multiply is bounded: nesting by [`MAX_DEPTH`], copies made by aliases by
//! [`MAX_COPIED`].

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use granit_parser::{Event, Marker, Options, Parser, ScalarStyle, ScanError, Span, StrInput, Tag};
use serde_json::{Map, Number, Value};

use super::ReadError;
use super::scalar::{Scalar, float_key, resolve};
use super::split::Chunk;
use crate::nesting::MAX_DEPTH;

/// Most that anchors and aliases may copy in one chunk: bytes of text and [`NODE`] per value. Room for any
/// manifest (the API server takes 3 MB), none for an input that doubles itself again and again.
const MAX_COPIED: usize = 16 * 1024 * 1024;
/// What one value counts for in [`MAX_COPIED`].
const NODE: usize = 32;
/// The language's own limit for a key is 1024 characters; JSON has none.
const MAX_KEY: usize = 64 * 1024;

const CORE: &str = "tag:yaml.org,2002:";

/// Reads every document of a chunk, with the line that each starts on.
pub(super) fn compose(chunk: &Chunk<'_>) -> Result<Vec<(usize, Value)>, ReadError> {
    // Comments are off by default, until another crate below (kube) turns the parser's feature on for all.
    let options: Options =
        granit_parser::options! { simple_key_max_lookahead: MAX_KEY, emit_comments: false };
    let events = Parser::new_from_str_with_options(&chunk.text, options);
    let mut composer = Composer { events, skipped: chunk.first_line - 1, anchors: HashMap::new(), copied: 0 };
    let mut documents = Vec::new();
    loop {
        match composer.next()? {
            (Event::StreamEnd, _) => return Ok(documents),
            (Event::StreamStart | Event::DocumentStart(..) | Event::DocumentEnd, _) => {}
            (event, span) => {
                let line = composer.line(span.start);
                documents.push((line, composer.node(event, span, 0)?));
            }
        }
    }
}

struct Composer<'a> {
    events: Parser<'a, StrInput<'a>>,
    /// Lines of the stream before the chunk.
    skipped: usize,
    anchors: HashMap<usize, Value>,
    copied: usize,
}

impl<'a> Composer<'a> {
    fn next(&mut self) -> Result<(Event<'a>, Span), ReadError> {
        match self.events.next() {
            Some(Ok(event)) => Ok(event),
            Some(Err(error)) => Err(self.syntax(&error)),
            None => Ok((Event::StreamEnd, Span::empty(Marker::new(0, 1, 0)))),
        }
    }

    fn line(&self, at: Marker) -> usize {
        self.skipped + at.line()
    }

    fn syntax(&self, error: &ScanError) -> ReadError {
        ReadError { line: self.line(*error.marker()), problem: error.info() }
    }

    fn refuse<T>(&self, span: Span, problem: impl Into<String>) -> Result<T, ReadError> {
        Err(ReadError { line: self.line(span.start), problem: problem.into() })
    }

    /// Composes the node that `event` starts, `depth` collections deep.
    fn node(&mut self, event: Event<'a>, span: Span, depth: usize) -> Result<Value, ReadError> {
        let is_collection = matches!(event, Event::SequenceStart(..) | Event::MappingStart(..));
        if is_collection && depth + 1 >= MAX_DEPTH {
            return self.refuse(span, format!("nests {MAX_DEPTH} or more levels deep"));
        }
        let (anchor, value) = match event {
            Event::Alias(anchor) => {
                let Some(value) = self.anchors.get(&anchor).cloned() else {
                    return self.refuse(span, "an alias stands inside of what it refers to");
                };
                self.count(&value, span, depth)?;
                return Ok(value);
            }
            Event::Scalar(text, style, anchor, tag) => {
                (anchor, self.scalar(text, style, tag.as_deref(), span)?)
            }
            Event::SequenceStart(_, anchor, _) => (anchor, self.sequence(depth + 1)?),
            Event::MappingStart(_, anchor, _) => (anchor, self.mapping(depth + 1)?),
            _ => return self.refuse(span, "a value is missing"),
        };
        if anchor != 0 {
            self.count(&value, span, depth)?;
            self.anchors.insert(anchor, value.clone());
        }
        Ok(value)
    }

    fn sequence(&mut self, depth: usize) -> Result<Value, ReadError> {
        let mut values = Vec::new();
        loop {
            match self.next()? {
                (Event::SequenceEnd, _) => return Ok(Value::Array(values)),
                (event, span) => values.push(self.node(event, span, depth)?),
            }
        }
    }

    fn mapping(&mut self, depth: usize) -> Result<Value, ReadError> {
        let (mut map, mut written) = (Map::new(), HashSet::new());
        loop {
            let (event, span) = self.next()?;
            if matches!(event, Event::MappingEnd) {
                return Ok(Value::Object(map));
            }
            let merges = is_merge(&event);
            let key = if merges { String::new() } else { self.key(event, span, depth)? };
            let (event, value_span) = self.next()?;
            let value = self.node(event, value_span, depth)?;
            if merges {
                self.merge(value, &mut map, value_span)?;
            } else if written.insert(key.clone()) {
                map.insert(key, value);
            } else {
                return self.refuse(span, format!("duplicate key {key:?}"));
            }
        }
    }

    /// The keys of a mapping that is merged replace those before it and yield to those after it. (By the
    /// language's description they would yield to all; `kubectl` goes by position.)
    fn merge(&self, value: Value, into: &mut Map<String, Value>, span: Span) -> Result<(), ReadError> {
        let maps = match value {
            Value::Array(maps) => maps,
            map => vec![map],
        };
        // Of several, the first wins.
        for map in maps.into_iter().rev() {
            let Value::Object(map) = map else {
                return self.refuse(span, "`<<` merges a mapping or a sequence of mappings");
            };
            into.extend(map);
        }
        Ok(())
    }

    /// A key, which JSON wants to be a string.
    fn key(&mut self, event: Event<'a>, span: Span, depth: usize) -> Result<String, ReadError> {
        if let Event::Scalar(text, ScalarStyle::Plain, _, None) = &event
            && let Scalar::Float(number) = resolve(text)
            && number.is_finite()
        {
            return Ok(float_key(number));
        }
        match self.node(event, span, depth)? {
            Value::String(key) => Ok(key),
            Value::Bool(key) => Ok(key.to_string()),
            Value::Number(key) if key.is_i64() => Ok(key.to_string()),
            key => {
                let kind = match key {
                    Value::Null => "null",
                    Value::Number(_) => "a number out of range",
                    Value::Array(_) => "a sequence",
                    _ => "a mapping",
                };
                self.refuse(span, format!("{kind} cannot be a key; write it in quotes"))
            }
        }
    }

    fn scalar(
        &self,
        text: Cow<'_, str>,
        style: ScalarStyle,
        tag: Option<&Tag>,
        span: Span,
    ) -> Result<Value, ReadError> {
        let Some(tag) = tag else {
            let meaning = if style == ScalarStyle::Plain { resolve(&text) } else { Scalar::Text };
            return self.value(meaning, text, span);
        };
        // Local tags mean nothing to Kubernetes: what they mark is a string.
        let Some(tag) = tag.suffix_in_namespace(CORE) else { return Ok(Value::String(text.into_owned())) };
        let meaning = match &*tag {
            "null" | "bool" | "int" | "float" => resolve(&text),
            "binary" => return self.binary(&text, span),
            _ => Scalar::Text,
        };
        let as_said = match &*tag {
            "null" => meaning == Scalar::Null,
            "bool" => matches!(meaning, Scalar::Bool(_)),
            "int" => matches!(meaning, Scalar::Signed(_) | Scalar::Unsigned(_)),
            "float" => matches!(meaning, Scalar::Signed(_) | Scalar::Unsigned(_) | Scalar::Float(_)),
            _ => true,
        };
        if as_said {
            self.value(meaning, text, span)
        } else {
            self.refuse(span, format!("{text:?} is no !!{tag}"))
        }
    }

    fn value(&self, meaning: Scalar, text: Cow<'_, str>, span: Span) -> Result<Value, ReadError> {
        Ok(match meaning {
            Scalar::Null => Value::Null,
            Scalar::Bool(value) => Value::Bool(value),
            Scalar::Signed(number) => Value::Number(number.into()),
            Scalar::Unsigned(number) => Value::Number(number.into()),
            Scalar::Text => Value::String(text.into_owned()),
            Scalar::Float(number) => match whole(number).or_else(|| Number::from_f64(number)) {
                Some(number) => Value::Number(number),
                None => {
                    return self.refuse(span, format!("JSON has no number for {text}; write it in quotes"));
                }
            },
        })
    }

    fn binary(&self, text: &str, span: Span) -> Result<Value, ReadError> {
        let text: String = text.split_ascii_whitespace().collect();
        match STANDARD.decode(text) {
            Ok(bytes) => Ok(Value::String(String::from_utf8_lossy(&bytes).into_owned())),
            Err(error) => self.refuse(span, format!("!!binary is not base64: {error}")),
        }
    }

    /// Accounts for a copy of `value`, put `depth` collections deep.
    fn count(&mut self, value: &Value, span: Span, depth: usize) -> Result<(), ReadError> {
        let (weight, height) = measure(value);
        self.copied = self.copied.saturating_add(weight);
        if self.copied > MAX_COPIED {
            let limit = MAX_COPIED / (1024 * 1024);
            return self.refuse(span, format!("anchors and aliases expand to more than {limit} MiB"));
        }
        if depth + height >= MAX_DEPTH {
            return self.refuse(span, format!("nests {MAX_DEPTH} or more levels deep"));
        }
        Ok(())
    }
}

/// JSON writes `1.0` as `1`, and so fields that want whole numbers take it.
#[expect(clippy::cast_possible_truncation, reason = "what an i64 cannot hold is left out")]
fn whole(number: f64) -> Option<Number> {
    const LIMIT: f64 = 9_223_372_036_854_775_808.0; // 2^63
    (number.trunc().to_bits() == number.to_bits() && number.abs() < LIMIT)
        .then(|| Number::from(number as i64))
}

fn is_merge(key: &Event<'_>) -> bool {
    match key {
        Event::Scalar(text, ScalarStyle::Plain, _, None) => text == "<<",
        Event::Scalar(text, _, _, Some(tag)) => {
            text == "<<" && tag.suffix_in_namespace(CORE).as_deref() == Some("merge")
        }
        _ => false,
    }
}

/// How much a copy costs, and how many collections it is high.
fn measure(value: &Value) -> (usize, usize) {
    let (mut weight, mut height) = (NODE, 0);
    let mut add = |key: &str, value: &Value| {
        let (more, high) = measure(value);
        weight += key.len() + more;
        height = height.max(high);
    };
    match value {
        Value::String(text) => (NODE + text.len(), 0),
        Value::Array(values) => {
            for value in values {
                add("", value);
            }
            (weight, height + 1)
        }
        Value::Object(map) => {
            for (key, value) in map {
                add(key, value);
            }
            (weight, height + 1)
        }
        _ => (NODE, 0),
    }
}
