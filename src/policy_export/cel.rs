//! PURE: literals of the Common Expression Language.
//!
//! Grammar: <https://github.com/google/cel-spec/blob/master/doc/langdef.md#syntax>.

use std::fmt::Write as _;

/// A string literal, whatever is in `text`.
#[must_use]
pub fn text(text: &str) -> String {
    let mut literal = String::with_capacity(text.len() + 2);
    literal.push('\'');
    for c in text.chars() {
        match c {
            '\\' | '\'' => literal.extend(['\\', c]),
            ' '..='~' => literal.push(c),
            // Writing to a String cannot fail.
            c => drop(write!(literal, "\\U{:08x}", u32::from(c))),
        }
    }
    literal.push('\'');
    literal
}

/// A list of strings.
pub(super) fn list(texts: impl IntoIterator<Item = impl AsRef<str>>) -> String {
    block('[', texts.into_iter().map(|item| text(item.as_ref())), ']')
}

/// A map from strings to strings.
pub(super) fn map(entries: impl IntoIterator<Item = (String, String)>) -> String {
    block('{', entries.into_iter().map(|(key, value)| format!("{}: {}", text(&key), text(&value))), '}')
}

/// One line for each of several items, so that a difference between two policies shows the rule it is about.
fn block(open: char, items: impl Iterator<Item = String>, close: char) -> String {
    let items: Vec<_> = items.collect();
    match items.as_slice() {
        [] | [_] => format!("{open}{}{close}", items.concat()),
        _ => format!("{open}\n  {}\n{close}", items.join(",\n  ")),
    }
}
