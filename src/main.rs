//! The `pullgate` program.

fn main() {}
