//! How far it is: drawn on standard error where that is a terminal, and nowhere else.

use indicatif::{ProgressBar, ProgressStyle};

/// Of so many.
pub(super) fn bar(what: &'static str, length: usize) -> ProgressBar {
    let bar = ProgressBar::new(u64::try_from(length).unwrap_or(u64::MAX)).with_message(what);
    bar.with_style(style("{msg} {bar:30} {pos} of {len}"))
}

/// Of nobody knows how many.
pub(super) fn count(what: &str) -> ProgressBar {
    ProgressBar::new_spinner().with_message(what.to_owned()).with_style(style("{msg} {pos}"))
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}
