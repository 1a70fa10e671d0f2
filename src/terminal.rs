//! Colours: on a terminal, and never where somebody asks for none.

use std::io::{self, IsTerminal as _};

pub(crate) const BOLD: &str = "\u{1b}[1m";
pub(crate) const RED: &str = "\u{1b}[31m";
pub(crate) const GREEN: &str = "\u{1b}[32m";
pub(crate) const YELLOW: &str = "\u{1b}[33m";
pub(crate) const CYAN: &str = "\u{1b}[36m";
pub(crate) const PLAIN: &str = "\u{1b}[0m";

/// When output is coloured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Color {
    /// On a terminal.
    #[default]
    Auto,
    /// Everywhere.
    Always,
    /// Nowhere.
    Never,
}

impl Color {
    /// Whether output is coloured, where `terminal` says whether somebody sees colours.
    #[must_use]
    pub const fn is_on(self, terminal: bool) -> bool {
        match self {
            Self::Auto => terminal,
            Self::Always => true,
            Self::Never => false,
        }
    }
}

/// Whether standard output goes to somebody who sees colours, and wants them ([NO_COLOR](https://no-color.org)).
#[must_use]
pub fn shows_colours() -> bool {
    io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Whether a character is not seen for what it is: it moves the cursor, is nothing, or turns the text around.
pub(crate) fn misleads(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{ad}'
                | '\u{61c}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{feff}'
                | '\u{e0000}'..='\u{e007f}'
        )
}

/// Text of anybody's as it may go to a terminal or into a page.
pub(crate) fn shown(text: &str) -> String {
    text.chars().flat_map(|c| if misleads(c) { c.escape_default().collect() } else { vec![c] }).collect()
}

/// The line of an error, whoever wrote what is in it.
pub(crate) fn error(problem: &str) -> String {
    format!("error: {}\n", shown(problem))
}

/// The line of a warning, likewise.
pub(crate) fn warning(problem: &str) -> String {
    format!("warning: {}\n", shown(problem))
}
