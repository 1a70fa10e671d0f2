//! PURE: values to YAML in block style, laid out as `kubectl get -o yaml` does.

use std::fmt::Write as _;

use serde_json::{Map, Number, Value};

use super::scalar::{Scalar, resolve};

/// Longest key that every reader takes without an explicit `?`.
const MAX_PLAIN_KEY: usize = 1000;

/// Prints one value as one document, without a marker. Whatever YAML 1.1 and YAML 1.2 read differently is
/// written such that both read the same.
#[must_use]
pub fn print(value: &Value) -> String {
    let mut text = String::new();
    match value {
        Value::Object(map) if !map.is_empty() => mapping(&mut text, map, 0, false),
        Value::Array(values) if !values.is_empty() => sequence(&mut text, values, 0, false),
        value => scalar(&mut text, value, 2),
    }
    text
}

/// `key: value` lines, `indent` columns in; the first one starts where the text stands when `inline`.
fn mapping(text: &mut String, map: &Map<String, Value>, indent: usize, inline: bool) {
    for (i, (key, value)) in map.iter().enumerate() {
        if i > 0 || !inline {
            pad(text, indent);
        }
        let key = if is_plain(key) { key.clone() } else { quoted(key) };
        if key.len() > MAX_PLAIN_KEY {
            text.extend(["? ", &key, "\n"]);
            pad(text, indent);
        } else {
            text.push_str(&key);
        }
        text.push(':');
        match value {
            Value::Object(map) if !map.is_empty() => {
                text.push('\n');
                mapping(text, map, indent + 2, false);
            }
            Value::Array(values) if !values.is_empty() => {
                text.push('\n');
                sequence(text, values, indent, false);
            }
            value => {
                text.push(' ');
                scalar(text, value, indent + 2);
            }
        }
    }
}

/// `- value` lines, as [`mapping`].
fn sequence(text: &mut String, values: &[Value], indent: usize, inline: bool) {
    for (i, value) in values.iter().enumerate() {
        if i > 0 || !inline {
            pad(text, indent);
        }
        text.push_str("- ");
        match value {
            Value::Object(map) if !map.is_empty() => mapping(text, map, indent + 2, true),
            Value::Array(values) if !values.is_empty() => sequence(text, values, indent + 2, true),
            value => scalar(text, value, indent + 2),
        }
    }
}

fn pad(text: &mut String, indent: usize) {
    text.extend(std::iter::repeat_n(' ', indent));
}

/// Anything without children, with the line's end; `indent` is for the lines of a literal block.
fn scalar(text: &mut String, value: &Value, indent: usize) {
    match value {
        Value::Null => text.push_str("null"),
        Value::Bool(value) => text.push_str(if *value { "true" } else { "false" }),
        Value::Number(number) => text.push_str(&numeral(number)),
        Value::Array(_) => text.push_str("[]"),
        Value::Object(_) => text.push_str("{}"),
        Value::String(value) if is_plain(value) => text.push_str(value),
        Value::String(value) if is_literal(value) => return literal(text, value, indent),
        Value::String(value) => text.push_str(&quoted(value)),
    }
    text.push('\n');
}

/// YAML 1.1 wants a point and a signed exponent in a float: `1.0e+21`.
fn numeral(number: &Number) -> String {
    let text = number.to_string();
    match text.split_once('e') {
        Some((digits, exponent)) => {
            let point = if digits.contains('.') { "" } else { ".0" };
            let sign = if exponent.starts_with(['+', '-']) { "" } else { "+" };
            format!("{digits}{point}e{sign}{exponent}")
        }
        None => text,
    }
}

/// Whether a string needs no quotes in any version of YAML. On the careful side: what is rare is quoted.
fn is_plain(text: &str) -> bool {
    let starts_as_word = match text.as_bytes() {
        [b'-', b'-', b'a'..=b'z' | b'A'..=b'Z', ..] => true,
        [b'-' | b'/' | b'_', rest @ ..] => {
            rest.first().is_some_and(|b| b.is_ascii_alphanumeric() || *b == b'_')
        }
        [first, ..] => first.is_ascii_alphanumeric(),
        [] => false,
    };
    let safe = |b: u8| b.is_ascii_alphanumeric() || b" _-./:=@+,;()$%*&!?~^<>|'\"#[]{}".contains(&b);
    starts_as_word
        && text.bytes().all(safe)
        && !text.contains(": ")
        && !text.contains(" #")
        && !text.ends_with([':', ' '])
        && !has_another_meaning(text)
}

/// Whether some reader takes the bare text for a boolean, null, a number (base 60 too) or a date: known words,
/// and texts that start with a digit or a sign, hold a digit and no letter but those of numbers and dates.
fn has_another_meaning(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    let numeric_letter = |b: u8| matches!(b, b'a'..=b'f' | b'o' | b'x' | b't' | b'z');
    let looks_numeric = lower.starts_with(|c: char| c.is_ascii_digit() || c == '-')
        && lower.contains(|c: char| c.is_ascii_digit())
        && lower.bytes().all(|b| !b.is_ascii_lowercase() || numeric_letter(b));
    looks_numeric || resolve(&lower) != Scalar::Text
}

/// Whether a text reads better in lines, and every reader finds where they start and end.
fn is_literal(text: &str) -> bool {
    let line_is_clear = |line: &str| line.is_empty() || !line.trim().is_empty();
    text.contains('\n')
        && !text.starts_with(char::is_whitespace)
        && text.chars().all(|c| c == '\n' || c == '\t' || is_printable(c))
        && text.split('\n').all(line_is_clear)
}

fn literal(text: &mut String, value: &str, indent: usize) {
    let body = value.trim_end_matches('\n');
    text.push_str(match value.len() - body.len() {
        0 => "|-",
        1 => "|",
        _ => "|+",
    });
    text.push('\n');
    let lines = if body.len() == value.len() { value } else { &value[..value.len() - 1] };
    for line in lines.split('\n') {
        if !line.is_empty() {
            pad(text, indent);
            text.push_str(line);
        }
        text.push('\n');
    }
}

/// Double quotes, with the escapes that YAML 1.1, YAML 1.2 and JSON share wherever they suffice.
fn quoted(value: &str) -> String {
    let mut text = String::with_capacity(value.len() + 2);
    text.push('"');
    for c in value.chars() {
        match c {
            '"' | '\\' => text.extend(['\\', c]),
            '\n' => text.push_str("\\n"),
            '\t' => text.push_str("\\t"),
            '\r' => text.push_str("\\r"),
            c if is_printable(c) => text.push(c),
            c => escape(&mut text, c),
        }
    }
    text.push('"');
    text
}

/// Writes a character that is not printable; they all lie below U+10000.
pub(super) fn escape(text: &mut String, c: char) {
    // Writing to a String cannot fail.
    let _ = write!(text, "\\u{:04x}", u32::from(c));
}

/// Printable in both versions, and no line break in either.
pub(super) fn is_printable(c: char) -> bool {
    matches!(c, ' '..='~' | '\u{a0}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..)
        && !matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn objects_are_laid_out_as_kubectl_does() {
        let value = json!({
            "kind": "Pod",
            "metadata": {"annotations": {}, "finalizers": []},
            "spec": {"containers": [{"name": "app", "args": ["--v=2", "-x", "a b"], "ports": [{"port": 80}]}]},
            "matrix": [[1, 2], [], [{"a": null}]],
        });
        let text = "\
kind: Pod
metadata:
  annotations: {}
  finalizers: []
spec:
  containers:
  - name: app
    args:
    - --v=2
    - -x
    - a b
    ports:
    - port: 80
matrix:
- - 1
  - 2
- []
- - a: null
";
        assert_eq!(print(&value), text);
    }

    #[test]
    fn strings_of_many_lines_are_literal_blocks() {
        for (value, text) in [
            ("a\nb", "k: |-\n  a\n  b\n"),
            ("a\n  b\n", "k: |\n  a\n    b\n"),
            ("a\n\nb\n\n", "k: |+\n  a\n\n  b\n\n"),
            (" a\nb", "k: \" a\\nb\"\n"),
            ("a\n \nb", "k: \"a\\n \\nb\"\n"),
            ("\n", "k: \"\\n\"\n"),
            ("a\r\nb", "k: \"a\\r\\nb\"\n"),
        ] {
            assert_eq!(print(&json!({ "k": value })), text);
        }
    }

    #[test]
    fn only_strings_that_every_reader_takes_for_strings_go_without_quotes() {
        for plain in [
            "app",
            "10Gi",
            "100m",
            "30s",
            "nginx:1.27",
            "http://a:80/b?c=d&e",
            "--flag=x",
            "a#b",
            "it's",
            "/bin/sh",
        ] {
            assert_eq!(print(&json!(plain)), format!("{plain}\n"));
        }
        for word in [
            "",
            "~",
            "null",
            "NULL",
            "y",
            "N",
            "yes",
            "On",
            "oFF",
            "true",
            "False",
            "123",
            "-1",
            "+1",
            "1.0",
            ".5",
            "1e3",
            "0o17",
            "017",
            "0x1F",
            "1_000",
            "1:30",
            "190:20:30",
            "2024-01-01",
            "2001-12-14t21:59:43.10-05:00",
            ".inf",
            "-.Inf",
            ".nan",
            "=",
            "<<",
            "- a",
            "-",
            "---",
            "--- a",
            "...",
            "a: b",
            "a:",
            "a #b",
            "#a",
            "&a",
            "*a",
            "!a",
            "%a",
            "@a",
            "`a",
            "[a",
            "{a",
            "'a",
            "|",
            ">",
            "a ",
            " a",
            "?",
            "? a",
            ": a",
            "café",
            "\u{1f600}",
            "a\tb",
        ] {
            assert_eq!(print(&json!(word)), format!("{}\n", quoted(word)), "{word:?}");
        }
        assert_eq!(
            quoted("\u{0}\u{7f}\u{85}\u{2028}\u{feff}\u{fffe}\"\\\u{1f600}"),
            "\"\\u0000\\u007f\\u0085\\u2028\\ufeff\\ufffe\\\"\\\\\u{1f600}\""
        );
    }

    #[test]
    fn floats_have_a_point_and_a_signed_exponent() {
        for (number, text) in
            [(1e300, "1.0e+300\n"), (1.5e-7, "1.5e-7\n"), (0.25, "0.25\n"), (-2e21, "-2.0e+21\n")]
        {
            assert_eq!(print(&json!(number)), text);
        }
    }
}
