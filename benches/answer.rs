//! What the pure part costs: a body decoded, admitted and the answer encoded, against `serde_json` skipping the same
//! bytes. No HTTP, no TLS, no log, no metrics; memory is allocated and freed by both as they need it.
//!
//! - `cargo bench --bench answer` runs all of it, with criterion; `-- answer/9kB` chooses, `-- --help` says more.
//! - `EXECUTABLE review SERIES POINT` prints a body, and `EXECUTABLE count RULES TIMES` answers the body of its
//!   input so many times and ends. That is for counting instructions, which repeat where times do not:
//!
//!   ```text
//!   export CARGO_PROFILE_BENCH_STRIP=false CARGO_PROFILE_BENCH_DEBUG=1
//!   cargo bench --bench answer --no-run        # names the executable
//!   EXECUTABLE review body 9000 | valgrind --tool=callgrind EXECUTABLE count all 1000
//!   ```
//!
//!   RULES: `skip` (no answer), `none`, `all`, or a number of entries in the registry map beside all else.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a bench that cannot run says so and ends"
)]

mod reviews;

use std::hint::black_box;
use std::io::{self, Read as _, Write as _};

use criterion::{BenchmarkId, Criterion, Throughput};
use pullgate::answer::answer;
use pullgate::policy::Policy;
use serde::de::IgnoredAny;

/// What is done with a body: skipped, answered without a rule, answered with every mutation.
const KINDS: [&str; 3] = ["skip", "none", "all"];

/// The rules by name; none where the body is only skipped.
fn rules(name: &str) -> Option<Policy> {
    match name {
        "skip" => None,
        "none" => Some(Policy::default()),
        "all" => Some(reviews::policy(&reviews::EVERYTHING)),
        entries => Some(reviews::policy_with_rules(entries.parse().expect("skip, none, all or a number"))),
    }
}

/// Rules and a body of one point of a series.
fn point(series: &str, value: usize) -> (String, Vec<u8>) {
    match series {
        "body" => ("all".to_owned(), reviews::of_size(value)),
        "containers" => ("all".to_owned(), reviews::with_containers(value)),
        "rules" => (value.to_string(), reviews::of_size(9_000)),
        _ => panic!("'{series}' is no series: give one of {:?}", reviews::GROWTH.map(|(name, _)| name)),
    }
}

fn run(policy: Option<&Policy>, body: &[u8]) -> usize {
    match policy {
        None => serde_json::from_slice::<IgnoredAny>(black_box(body)).map(|_| 0).unwrap(),
        Some(policy) => answer(policy, black_box(body), |admitted| {
            black_box(admitted);
        })
        .unwrap()
        .len(),
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["review", series, value] => {
            let (_, body) = point(series, value.parse().expect("POINT is a number"));
            io::stdout().write_all(&body).unwrap();
        }
        ["count", name, times] => {
            let mut body = Vec::new();
            io::stdin().read_to_end(&mut body).unwrap();
            let rules = rules(name);
            for _ in 0..times.parse().expect("TIMES is a number") {
                black_box(run(rules.as_ref(), &body));
            }
        }
        _ => measure(Criterion::default().configure_from_args()),
    }
}

fn measure(mut criterion: Criterion) {
    for (name, bytes) in reviews::SIZES {
        let mut group = criterion.benchmark_group(format!("answer/{name}"));
        group.throughput(Throughput::Bytes(bytes as u64));
        let body = reviews::of_size(bytes);
        for kind in KINDS {
            let rules = rules(kind);
            group.bench_function(kind, |bencher| bencher.iter(|| run(rules.as_ref(), &body)));
        }
        group.finish();
    }
    for (series, values) in reviews::GROWTH {
        let mut group = criterion.benchmark_group(series);
        for value in values {
            let (name, body) = point(series, *value);
            let (rules, id) = (rules(&name), BenchmarkId::from_parameter(value));
            group.bench_function(id, |bencher| bencher.iter(|| run(rules.as_ref(), &body)));
        }
        group.finish();
    }
    criterion.final_summary();
}
