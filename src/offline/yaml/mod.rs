//! PURE: YAML and JSON in, YAML out, with values read as `kubectl` reads them.
//!
//! ```text
//! text --split::documents--> Chunk --compose::compose--> Value | ReadError
//!                                  plain scalars: scalar::resolve
//! Value --print::print--> text
//! ```
//! `kubectl` reads YAML 1.1 by way of JSON: a plain `yes` is a boolean, `0o17` and `017` are fifteen, `1.0` is
//! `1`, a key is always a string. Serde based readers infer by YAML 1.2 or by a mixture, so the reader here
//! composes values from parser events itself. The printer quotes whatever either version could read as
//! something else than a string.

mod compose;
mod print;
mod scalar;
mod split;

use serde_json::Value;

pub use print::print;

/// Why a document cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {problem}")]
pub struct ReadError {
    /// Line of the file, from 1.
    pub line: usize,
    /// What is wrong there.
    pub problem: String,
}

/// One document of a stream.
#[derive(Clone, Debug, PartialEq)]
pub struct Document {
    /// Position among the stream's documents that are not empty, from 1.
    pub number: usize,
    /// Line that it starts on, from 1.
    pub line: usize,
    /// Its value, or why there is none.
    pub value: Result<Value, ReadError>,
}

impl Document {
    /// Hands over its value.
    ///
    /// # Errors
    /// Why there is none, or what is wrong with it; each says where.
    pub(crate) fn taken<T>(
        self,
        take: impl FnOnce(Value) -> Result<T, Vec<String>>,
    ) -> Result<T, Vec<String>> {
        let Self { number, line, value } = self;
        let placed = |problem: String| format!("document {number}, {problem}");
        let value = value.map_err(|error| vec![placed(error.to_string())])?;
        let within = |problem| placed(format!("line {line}: {problem}"));
        take(value).map_err(|problems| problems.into_iter().map(within).collect())
    }
}

/// Reads every document of a stream of YAML or of JSON. Empty ones are left out; a bad one does not hide those
/// after it.
#[must_use]
pub fn read(text: &str) -> Vec<Document> {
    let chunks = split::documents(text.strip_prefix('\u{feff}').unwrap_or(text));
    let values = chunks.into_iter().flat_map(|chunk| {
        let line = chunk.first_line;
        match compose::compose(&chunk) {
            Ok(values) => values.into_iter().map(|(line, value)| (line, Ok(value))).collect(),
            Err(error) => vec![(line, Err(error))],
        }
    });
    values
        .filter(|(_, value)| !matches!(value, Ok(Value::Null)))
        .zip(1..)
        .map(|((line, value), number)| Document { number, line, value })
        .collect()
}
