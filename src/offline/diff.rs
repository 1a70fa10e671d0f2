//! PURE: unified diffs of printed documents.

use similar::TextDiff;

use crate::terminal::{BOLD, CYAN, GREEN, PLAIN, RED};

/// The difference between two texts of what `name` names, in git's colours when asked for.
pub(super) fn unified(name: &str, before: &str, after: &str, colours: bool) -> String {
    let diff = TextDiff::from_lines(before, after);
    let text = diff.unified_diff().header(name, &format!("{name} (mutated)")).to_string();
    if !colours {
        return text;
    }
    let mut coloured = String::with_capacity(text.len() + 64);
    for (i, line) in text.lines().enumerate() {
        let colour = match line.as_bytes().first() {
            _ if i < 2 => BOLD,
            Some(b'-') => RED,
            Some(b'+') => GREEN,
            Some(b'@') => CYAN,
            _ => "",
        };
        let end = if colour.is_empty() { "" } else { PLAIN };
        coloured.extend([colour, line, end, "\n"]);
    }
    coloured
}
