//! PURE: a stream to the texts of its documents.
//!
//! Documents are taken apart before they are parsed, as `kubectl` does, so that a syntax error in one leaves
//! the others readable.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::print::{escape, is_printable};

/// The text of one document, seldom of several.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Chunk<'a> {
    /// The text.
    pub(super) text: Cow<'a, str>,
    /// Its first line's number in the stream, from 1.
    pub(super) first_line: usize,
}

/// Takes a stream apart: JSON values one after the other, or YAML documents.
pub(super) fn documents(text: &str) -> Vec<Chunk<'_>> {
    json(text).unwrap_or_else(|| yaml(text))
}

/// JSON values with nothing but space between them, such as `jq '.items[]'` prints. Only their extent is taken
/// from here: one reader makes values of either language.
fn json(text: &str) -> Option<Vec<Chunk<'_>>> {
    if !text.trim_start().starts_with('{') {
        return None;
    }
    let mut values = serde_json::Deserializer::from_str(text).into_iter::<&RawValue>();
    let (mut chunks, mut line, mut at) = (Vec::new(), 1, 0);
    while let Some(value) = values.next() {
        let value = value.ok()?.get();
        let start = values.byte_offset() - value.len();
        line += newlines(&text[at..start]);
        chunks.push(Chunk { text: as_yaml(value), first_line: line });
        at = start;
    }
    Some(chunks)
}

/// All JSON is YAML but for characters that JSON strings may hold as they are and YAML only as escapes.
fn as_yaml(json: &str) -> Cow<'_, str> {
    let needs_escape = |c: char| !is_printable(c) && !matches!(c, '\n' | '\r' | '\t');
    if !json.contains(needs_escape) {
        return json.into();
    }
    let mut text = String::with_capacity(json.len() + 16);
    for c in json.chars() {
        if needs_escape(c) { escape(&mut text, c) } else { text.push(c) }
    }
    text.into()
}

/// A line that starts with `---` starts a document, inside of any scalar too. Directives belong to the document
/// that they precede.
fn yaml(text: &str) -> Vec<Chunk<'_>> {
    let (mut chunks, mut start, mut first_line, mut line, mut at) = (Vec::new(), 0, 1, 1, 0);
    let mut has_content = false;
    for text_line in text.split_inclusive('\n') {
        if has_content && is_marker(text_line, "---") {
            chunks.push(Chunk { text: text[start..at].into(), first_line });
            (start, first_line, has_content) = (at, line, false);
        }
        has_content |= is_content(text_line);
        at += text_line.len();
        line += 1;
    }
    if has_content {
        chunks.push(Chunk { text: text[start..].into(), first_line });
    }
    chunks
}

fn is_marker(line: &str, marker: &str) -> bool {
    line.strip_prefix(marker).is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t', '\r', '\n']))
}

fn is_content(line: &str) -> bool {
    let rest = if is_marker(line, "---") { &line[3..] } else { line };
    let rest = rest.trim();
    !(rest.is_empty() || rest.starts_with('#') || line.starts_with('%') || is_marker(line, "..."))
}

fn newlines(text: &str) -> usize {
    text.bytes().filter(|b| *b == b'\n').count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assert_split(text: &str, chunks: &[(&str, usize)]) {
        let split: Vec<_> = documents(text).into_iter().map(|chunk| (chunk.text, chunk.first_line)).collect();
        assert_eq!(split, chunks.iter().map(|(text, line)| (Cow::from(*text), *line)).collect::<Vec<_>>());
    }

    #[test]
    fn documents_are_split_at_their_markers_with_their_lines() {
        assert_split("a: 1\n---\nb: 2\n", &[("a: 1\n", 1), ("---\nb: 2\n", 2)]);
        assert_split(
            "--- # first\r\na: 1\r\n--- \r\nb: 2",
            &[("--- # first\r\na: 1\r\n", 1), ("--- \r\nb: 2", 3)],
        );
        assert_split("--- {a: 1}\n--- {b: 2}\n", &[("--- {a: 1}\n", 1), ("--- {b: 2}\n", 2)]);
        assert_split("a: ---\nb: |\n  ---\n---x: 1\n", &[("a: ---\nb: |\n  ---\n---x: 1\n", 1)]);
    }

    #[test]
    fn empty_documents_and_comments_are_no_documents_and_directives_are_none_either() {
        assert_split("---\n---\n# note\n---\n\n", &[]);
        assert_split("%YAML 1.1\n---\na: 1\n", &[("%YAML 1.1\n---\na: 1\n", 1)]);
        assert_split("a: 1\n...\n---\nb: 1\n", &[("a: 1\n...\n", 1), ("---\nb: 1\n", 3)]);
    }

    #[test]
    fn json_values_may_follow_each_other() {
        assert_split(
            "{\"a\":\n1}{\"b\":2}\n\n{\"c\":3}",
            &[("{\"a\":\n1}", 1), ("{\"b\":2}", 2), ("{\"c\":3}", 4)],
        );
        assert_split("{a: 1}", &[("{a: 1}", 1)]);
    }
}
