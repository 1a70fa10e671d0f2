//! What a case counts and measures, and the table of it.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::time::Duration;

/// Calls by what became of them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) sent: u64,
    /// Calls without the answer that was asked for, by how they ended.
    pub(crate) failures: BTreeMap<String, u64>,
    /// Calls with an answer that is not what the rules make of them, likewise.
    pub(crate) wrong: BTreeMap<String, u64>,
    /// How long each call took that was answered right, and each that a client would have sent while it waited.
    pub(crate) times: Vec<Duration>,
    pub(crate) connections: u64,
    /// How long loads lasted, one after the other; a tally that is counted beside a load leaves it out.
    pub(crate) lasted: Duration,
}

/// What one call came to.
#[derive(Debug)]
pub(crate) enum Judged {
    Right,
    Failed(String),
    Wrong(String),
}

impl Tally {
    pub(crate) fn add(&mut self, judged: Judged, took: Duration) {
        self.sent += 1;
        match judged {
            Judged::Right => self.times.push(took),
            Judged::Failed(how) => *self.failures.entry(how).or_default() += 1,
            Judged::Wrong(how) => *self.wrong.entry(how).or_default() += 1,
        }
    }

    pub(crate) fn merge(&mut self, other: Self) {
        let Self { sent, failures, wrong, times, connections, lasted } = other;
        self.sent += sent;
        self.connections += connections;
        self.lasted += lasted;
        self.times.extend(times);
        for (all, more) in [(&mut self.failures, failures), (&mut self.wrong, wrong)] {
            for (how, count) in more {
                *all.entry(how).or_default() += count;
            }
        }
    }

    pub(crate) fn failed(&self) -> u64 {
        self.failures.values().sum()
    }

    pub(crate) fn wrongs(&self) -> u64 {
        self.wrong.values().sum()
    }

    /// Calls per second, whatever became of them.
    #[allow(clippy::cast_precision_loss, reason = "some thousands")]
    pub(crate) fn rate(&self) -> f64 {
        self.sent as f64 / self.lasted.as_secs_f64()
    }

    /// The time that `per_mille` of them did not exceed.
    pub(crate) fn quantile(&self, per_mille: usize) -> Duration {
        let mut times = self.times.clone();
        times.sort_unstable();
        let at = (times.len() * per_mille / 1000).min(times.len().saturating_sub(1));
        times.get(at).copied().unwrap_or_default()
    }
}

/// A line of the table.
#[derive(Debug, Default)]
pub(crate) struct Row {
    what: String,
    tally: Tally,
    measured: Vec<String>,
    missed: Vec<String>,
    not_run: Option<String>,
}

impl Row {
    pub(crate) fn new(what: impl Into<String>) -> Self {
        Self { what: what.into(), ..Self::default() }
    }

    /// Something that this machine or its user cannot do; never the same as a goal that is met.
    pub(crate) fn not_run(what: impl Into<String>, why: impl Into<String>) -> Self {
        Self { not_run: Some(why.into()), ..Self::new(what) }
    }

    /// Counts calls of which none may fail or be wrong.
    pub(crate) fn faultless(&mut self, tally: Tally) -> &mut Self {
        if tally.failed() > 0 {
            let (failed, sent) = (tally.failed(), tally.sent);
            self.missed.push(format!("{failed} of {sent} calls failed: {}", list(&tally.failures)));
        }
        self.never_wrong(tally)
    }

    /// Counts calls that may fail, though not be answered wrongly.
    pub(crate) fn never_wrong(&mut self, tally: Tally) -> &mut Self {
        if tally.wrongs() > 0 {
            self.missed.push(format!("{} wrong answers: {}", tally.wrongs(), list(&tally.wrong)));
        }
        self.goal("at least one call was made", tally.sent > 0);
        self.tally.merge(tally);
        self
    }

    pub(crate) fn measured(&mut self, text: impl Into<String>) -> &mut Self {
        self.measured.push(text.into());
        self
    }

    /// Something that has to hold.
    pub(crate) fn goal(&mut self, wanted: impl Display, met: bool) -> &mut Self {
        if !met {
            self.missed.push(wanted.to_string());
        }
        self
    }

    pub(crate) fn is_missed(&self) -> bool {
        !self.missed.is_empty()
    }

    pub(crate) fn is_not_run(&self) -> bool {
        self.not_run.is_some()
    }

    fn verdict(&self) -> String {
        match &self.not_run {
            Some(why) => format!("NOT RUN: {why}"),
            None if self.missed.is_empty() => "met".to_owned(),
            None => format!("**MISSED**: {}", self.missed.join("; ")),
        }
    }

    /// The line in Markdown.
    pub(crate) fn line(&self, case: &str) -> String {
        let cell = |text: &str| text.replace('|', "\\|").replace('\n', " ");
        let Tally { sent, .. } = self.tally;
        let (failed, wrong) = (self.tally.failed(), self.tally.wrongs());
        format!(
            "| {case}: {} | {sent} | {failed} | {wrong} | {} | {} |",
            cell(&self.what),
            cell(&self.measured.join("; ")),
            cell(&self.verdict())
        )
    }
}

/// The beginning of the table.
pub(crate) const HEADER: &str =
    "| case | sent | failed | wrong | measured | goal |\n|---|---|---|---|---|---|";

/// `reset ×3, timed out ×1`
pub(crate) fn list(counts: &BTreeMap<String, u64>) -> String {
    let each: Vec<_> = counts.iter().map(|(what, count)| format!("{what} ×{count}")).collect();
    if each.is_empty() { "none".to_owned() } else { each.join(", ") }
}

/// Milliseconds, to a hundredth.
pub(crate) fn ms(time: Duration) -> String {
    format!("{:.2} ms", time.as_secs_f64() * 1000.0)
}

/// Seconds, to a hundredth.
pub(crate) fn seconds(time: Duration) -> String {
    format!("{:.2} s", time.as_secs_f64())
}

pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
