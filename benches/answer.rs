//! What the pure part costs: a body decoded, admitted and the answer encoded, against `serde_json` skipping the same
//! bytes. No HTTP, no TLS, no log, no metrics; memory is allocated and freed by both as they need it.
//!
//! - `cargo bench --bench answer` runs all of it, with criterion; `-- answer/9kB` chooses, `-- --help` says more.
//! - `cargo bench --bench answer -- count SERIES POINT TIMES` answers one body so many times and ends. It is for
//!   counting instructions, which repeat to the digit where times do not (`scripts/bench profile` does this):
//!
//!   ```text
//!   export CARGO_PROFILE_BENCH_STRIP=false CARGO_PROFILE_BENCH_DEBUG=1
//!   cargo bench --bench answer --no-run        # names the executable
//!   valgrind --tool=callgrind EXECUTABLE count all 9000 1000
//!   ```
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a bench that cannot run says so and ends"
)]

mod reviews;

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput};
use pullgate::answer::answer;
use pullgate::policy::Policy;
use serde::de::IgnoredAny;

const SIZES: [(&str, usize); 4] = [("4kB", 4_000), ("9kB", 9_000), ("100kB", 100_000), ("1MB", 1_000_000)];

/// What is done with a body: skipped, answered without a rule, answered with every mutation.
const KINDS: [&str; 3] = ["skip", "none", "all"];

/// What grows, and to which values.
const GROWTH: [(&str, &[usize]); 3] = [
    ("body", &[1_000, 10_000, 100_000, 1_000_000, 20_000_000]),
    ("containers", &[1, 10, 100, 1_000]),
    ("rules", &[1, 10, 100, 1_000, 10_000]),
];

/// Rules and a body of one point of a series; no rules where the body is only skipped.
fn point(series: &str, value: usize) -> (Option<Policy>, Vec<u8>) {
    let everything = || Some(reviews::policy(&reviews::EVERYTHING));
    match series {
        "skip" => (None, reviews::of_size(value)),
        "none" => (Some(Policy::default()), reviews::of_size(value)),
        "all" | "body" => (everything(), reviews::of_size(value)),
        "containers" => (everything(), reviews::with_containers(value)),
        "rules" => (Some(reviews::policy_with_rules(value)), reviews::of_size(9_000)),
        _ => panic!("'{series}' is no series: give one of {KINDS:?}, {:?}", GROWTH.map(|(name, _)| name)),
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
    if let [mode, series, value, times] = arguments.as_slice()
        && mode == "count"
    {
        let (policy, body) = point(series, value.parse().expect("POINT is a number"));
        for _ in 0..times.parse().expect("TIMES is a number") {
            black_box(run(policy.as_ref(), &body));
        }
        return;
    }
    let mut criterion = Criterion::default().configure_from_args();
    for (name, bytes) in SIZES {
        let mut group = criterion.benchmark_group(format!("answer/{name}"));
        group.throughput(Throughput::Bytes(bytes as u64));
        for series in KINDS {
            let (policy, body) = point(series, bytes);
            group.bench_function(series, |bencher| bencher.iter(|| run(policy.as_ref(), &body)));
        }
        group.finish();
    }
    for (series, values) in GROWTH {
        let mut group = criterion.benchmark_group(series);
        for value in values {
            let (policy, body) = point(series, *value);
            let id = BenchmarkId::from_parameter(value);
            group.bench_with_input(id, &body, |bencher, body| bencher.iter(|| run(policy.as_ref(), body)));
        }
        group.finish();
    }
    criterion.final_summary();
}
