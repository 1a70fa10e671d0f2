//! The one table, on the screen and in `docs/performance.md`.

use std::fmt::Write as _;
use std::fs;

use crate::sample::Sample;

/// A figure and its goal.
pub(crate) struct Row {
    what: String,
    measured: String,
    against: String,
    ratio: String,
    goal: String,
    met: Option<bool>,
    noise: String,
    counted: bool,
}

/// On which side of a number the goal is.
#[derive(Clone, Copy)]
pub(crate) enum Goal {
    AtMost(f64),
    AtLeast(f64),
    /// Said for comparison.
    None,
}

impl Goal {
    fn met(self, value: f64) -> Option<bool> {
        match self {
            Self::AtMost(goal) => Some(value <= goal),
            Self::AtLeast(goal) => Some(value >= goal),
            Self::None => None,
        }
    }

    fn text(self, unit: &str) -> String {
        match self {
            Self::AtMost(goal) => format!("≤ {goal}{unit}"),
            Self::AtLeast(goal) => format!("≥ {goal}{unit}"),
            Self::None => String::new(),
        }
    }
}

impl Row {
    /// One thing over another, each measured once in every round.
    pub(crate) fn ratio(
        what: String,
        unit: &str,
        values: &[f64],
        (name, bases): (&str, &[f64]),
        goal: Goal,
    ) -> Self {
        let ratio = Sample::ratio(values, bases);
        let figure = |values: &[f64]| figure(Sample::of(values.iter().copied()).median());
        Self {
            what,
            measured: format!("{} {unit}", figure(values)),
            against: format!("{name}: {}", figure(bases)),
            ratio: format!("{:.2}", ratio.median()),
            goal: goal.text(" ×"),
            met: goal.met(ratio.median()),
            noise: ratio.spread(2),
            counted: false,
        }
    }

    /// A figure with a goal of its own.
    pub(crate) fn absolute(what: &str, unit: &str, values: &[f64], goal: Goal) -> Self {
        let sample = Sample::of(values.iter().copied());
        Self {
            what: what.to_owned(),
            measured: format!("{} {unit}", figure(sample.median())),
            against: String::new(),
            ratio: String::new(),
            goal: goal.text(&format!(" {unit}")),
            met: goal.met(sample.median()),
            noise: if values.len() == 1 { String::new() } else { sample.spread(1) },
            counted: false,
        }
    }

    /// What is counted, and is the same on every machine.
    pub(crate) fn count(what: &str, value: usize, expected: usize) -> Self {
        Self {
            what: what.to_owned(),
            measured: value.to_string(),
            against: String::new(),
            ratio: String::new(),
            goal: expected.to_string(),
            met: Some(value == expected),
            noise: String::new(),
            counted: true,
        }
    }

    /// Whether something was counted that should be another number.
    pub(crate) fn miscounted(&self) -> bool {
        self.counted && self.missed()
    }

    /// Whether there is a goal, and it was not reached.
    pub(crate) fn missed(&self) -> bool {
        self.met == Some(false)
    }

    fn cells(&self) -> [&str; 7] {
        let met = self.met.map_or("", |met| if met { "met" } else { "**missed**" });
        [&self.what, &self.measured, &self.against, &self.ratio, &self.goal, met, &self.noise]
    }
}

/// Three digits that count.
fn figure(value: f64) -> String {
    // No minus before a zero.
    let value = if value.abs() < 0.005 { 0.0 } else { value };
    match value {
        100.0.. => format!("{value:.0}"),
        10.0.. => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

/// As Markdown with columns that line up.
pub(crate) fn render(rows: &[Row]) -> String {
    let header = ["what", "measured", "against", "ratio", "goal", "", "noise"];
    let lines: Vec<_> = std::iter::once(header).chain(rows.iter().map(Row::cells)).collect();
    let widths: Vec<usize> = (0..header.len())
        .map(|column| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0))
        .collect();
    let mut text = String::new();
    for (n, line) in lines.iter().enumerate() {
        for (cell, width) in line.iter().zip(&widths) {
            write!(text, "| {cell:width$} ").expect("a string takes everything");
        }
        text.push_str("|\n");
        if n == 0 {
            for width in &widths {
                text.extend(["|", &"-".repeat(width + 2)]);
            }
            text.push_str("|\n");
        }
    }
    text
}

/// Puts `text` between `<!-- NAME -->` and `<!-- end -->` of a document.
pub(crate) fn write_into(path: &str, name: &str, text: &str) {
    let document = fs::read_to_string(path).unwrap_or_else(|error| panic!("{path}: {error}"));
    let begin = format!("<!-- {name} -->\n");
    let at = document.find(&begin).unwrap_or_else(|| panic!("{path} has no line {begin}")) + begin.len();
    let end = at + document[at..].find("<!-- end -->").unwrap_or_else(|| panic!("{path}: no end of {name}"));
    let written = [&document[..at], text, &document[end..]].concat();
    fs::write(path, written).unwrap_or_else(|error| panic!("{path}: {error}"));
}
