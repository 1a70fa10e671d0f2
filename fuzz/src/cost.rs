//! Work that grows faster than its input: an oracle, and the mutation that leads there.

use std::time::Duration;

use cpu_time::ThreadTime;
use libfuzzer_sys::{Corpus, fuzzer_mutate};

/// What a call may take whatever its input.
const BASE: Duration = Duration::from_millis(100);
/// What each byte of input may add. Instrumented code takes a tenth of this at most, so that no slow machine
/// is taken for a finding; most work that grows with the square of 64 KiB takes more.
const PER_BYTE: Duration = Duration::from_micros(10);

/// Calls `work`, and panics when it took more time on the processor than an input of `bytes` bytes may cost.
pub fn bounded<T>(bytes: usize, work: impl FnOnce() -> T) -> T {
    let began = ThreadTime::now();
    let result = work();
    let took = began.elapsed();
    let limit = BASE + PER_BYTE * u32::try_from(bytes).unwrap_or(u32::MAX);
    assert!(took <= limit, "{bytes} bytes took {took:?}, more than {limit:?}");
    result
}

/// Longest input that is kept and mutated further; longer ones are made to be measured, once.
const LONGEST_KEPT: usize = 16 * 1024;

/// What a target returns: whether the fuzzer may start from this input again.
#[must_use]
pub fn keep(input: &[u8]) -> Corpus {
    if input.len() <= LONGEST_KEPT { Corpus::Keep } else { Corpus::Reject }
}

/// A mutator for `fuzz_mutator!`: mostly the fuzzer's own; now and then a piece of the input is repeated until the
/// input is as long as it may be, which the fuzzer would hardly come to by itself.
pub fn mutate(data: &mut [u8], size: usize, max_size: usize, seed: u32) -> usize {
    const ONE_IN: u32 = 512;
    if size == 0 || !seed.is_multiple_of(ONE_IN) {
        return fuzzer_mutate(data, size, max_size.min(LONGEST_KEPT.max(size)));
    }
    let random = usize::try_from(seed / ONE_IN).unwrap_or_default();
    let start = random % size;
    let length = 1 + (random / size) % (size - start).min(64);
    let piece = data[start..start + length].to_vec();
    let rest = data[start..size].to_vec();
    let repeats = (max_size.min(data.len()) - size) / length;
    let end = start + repeats * length;
    for place in data[start..end].chunks_exact_mut(length) {
        place.copy_from_slice(&piece);
    }
    data[end..end + rest.len()].copy_from_slice(&rest);
    end + rest.len()
}
