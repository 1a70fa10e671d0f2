//! What criterion measures in `benches/answer.rs`, in rounds, and what valgrind counts there.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::Plan;
use crate::plot::{self, Plot};
use crate::reviews::{GROWTH, SIZES};
use crate::sample::Sample;
use crate::table::{Goal, Row};

/// `benches/answer.rs`, compiled; `scripts/bench` names it.
fn answer() -> Command {
    Command::new(std::env::var("ANSWER").expect("ANSWER names the bench `answer`: run scripts/bench"))
}

/// One run of the benchmarks whose names match, into a folder of its own.
fn criterion(plan: &Plan, names: &str) -> TempDir {
    let home = tempfile::tempdir().expect("a scratch folder");
    let (warm_up, time) = if plan.short { ("0.05", "0.1") } else { ("0.3", "1") };
    let run = answer()
        .args([
            "--bench",
            "--noplot",
            "--sample-size",
            "10",
            "--warm-up-time",
            warm_up,
            "--measurement-time",
            time,
            names,
        ])
        .env("CRITERION_HOME", home.path())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    assert!(run.is_ok_and(|status| status.success()), "benches/answer.rs failed: cargo bench --bench answer");
    home
}

/// The median of one benchmark, in microseconds.
fn microseconds(home: &Path, name: &str) -> f64 {
    let path = home.join(name).join("new/estimates.json");
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let estimates: serde_json::Value = serde_json::from_str(&text).expect("criterion writes JSON");
    estimates["median"]["point_estimate"].as_f64().expect("a number") / 1e3
}

/// Decoding, admitting and encoding against skipping.
pub(crate) fn pure(plan: &Plan) -> Vec<Row> {
    let homes: Vec<_> = (0..plan.rounds).map(|_| criterion(plan, "^answer/")).collect();
    let all = |name: &str| homes.iter().map(|home| microseconds(home.path(), name)).collect::<Vec<_>>();
    let mut rows = Vec::new();
    for (size, _) in SIZES {
        let skipped = all(&format!("answer_{size}/skip"));
        for (kind, rules) in [("none", "no mutation"), ("all", "every mutation")] {
            let what = format!("decode, admit, encode, {size}, {rules}");
            let answered = all(&format!("answer_{size}/{kind}"));
            rows.push(Row::ratio(what, "µs", &answered, ("skipping", &skipped), Goal::AtMost(1.5)));
        }
    }
    rows
}

/// Instructions of one answer after the first, on average. Of so many that reading the rules, whose hash tables are
/// seeded at random, differs by nothing in comparison.
fn instructions(rules: &str, body: &Path) -> f64 {
    let length = fs::metadata(body).expect("the body was written").len();
    let more = (2_000_000 / length).clamp(2, 1_000);
    let count = |times: u64| {
        let answer = answer();
        let output = Command::new("valgrind")
            .args(["--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null"])
            .arg(answer.get_program())
            .args(["count", rules, &times.to_string()])
            .stdin(File::open(body).expect("the body was written"))
            .output()
            .unwrap_or_else(|error| panic!("valgrind: {error}"));
        let said = String::from_utf8_lossy(&output.stderr);
        let refs = said.lines().find_map(|line| line.split_once("I ")?.1.split_once("refs:"));
        let refs = refs.unwrap_or_else(|| panic!("valgrind counted nothing: {said}")).1;
        refs.trim().replace(',', "").parse::<f64>().expect("a number")
    };
    (count(1 + more) - count(1)) / more as f64
}

/// How instructions grow: a row for each series, and its plot into `folder`. Fails where growth is worse than linear:
/// instructions repeat, so this is no matter of luck.
pub(crate) fn growth(plan: &Plan, plots: Option<&Path>) -> Vec<Row> {
    let scratch = tempfile::tempdir().expect("a scratch folder");
    let homes: Vec<_> =
        (0..plan.rounds.min(3)).map(|_| criterion(plan, "^(body|containers|rules)/")).collect();
    let mut rows = Vec::new();
    for (series, values) in GROWTH {
        let mut points = Vec::new();
        // Under valgrind the largest body takes half a minute.
        let values = if plan.short && series == "body" { &values[..values.len() - 1] } else { values };
        for value in values {
            let body = scratch.path().join("body");
            let written = answer()
                .args(["review", series, &value.to_string()])
                .stdout(File::create(&body).expect("a scratch file"))
                .status();
            assert!(written.is_ok_and(|status| status.success()), "no body for {series} {value}");
            let rules = if series == "rules" { value.to_string() } else { "all".to_owned() };
            let times = homes.iter().map(|home| microseconds(home.path(), &format!("{series}/{value}")));
            points.push(plot::Point {
                x: *value as f64,
                instructions: instructions(&rules, &body),
                microseconds: Sample::of(times).median(),
            });
        }
        let plot = Plot { series, points };
        if let Some(folder) = plots {
            let path = folder.join(format!("performance-{series}.svg"));
            fs::write(&path, plot.svg()).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        }
        rows.push(plot.row());
    }
    rows
}
