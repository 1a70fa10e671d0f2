//! `pullgate policy`: what the API server makes of it, beside what the webhook makes of the same.

mod actions;
mod carriers;
mod direct;
mod equality;
mod installed;
mod limits;
mod mutating;
#[path = "../../client/reference_table.rs"]
#[allow(
    dead_code,
    clippy::unwrap_used,
    reason = "tests/it looks at the columns of results, and at them alone"
)]
mod reference_table;
mod references;
mod webhook_says;
