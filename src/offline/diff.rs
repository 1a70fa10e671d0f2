//! PURE: unified diffs of printed documents.

use similar::TextDiff;

const BOLD: &str = "\u{1b}[1m";
const RED: &str = "\u{1b}[31m";
const GREEN: &str = "\u{1b}[32m";
const CYAN: &str = "\u{1b}[36m";
const PLAIN: &str = "\u{1b}[0m";

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
