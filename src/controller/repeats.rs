//! What goes wrong over and over is said once, and again after a while.

use std::time::Duration;

use tokio::time::Instant;

/// After so long, the same is worth saying again.
const SILENCE: Duration = Duration::from_mins(10);

/// The last complaint of one kind.
#[derive(Debug, Default)]
pub struct Repeats(Option<(String, Instant)>);

impl Repeats {
    /// Whether this is news.
    pub fn is_news(&mut self, complaint: &str) -> bool {
        let known = self.0.as_ref().is_some_and(|(last, when)| last == complaint && when.elapsed() < SILENCE);
        if !known {
            self.0 = Some((complaint.to_owned(), Instant::now()));
        }
        !known
    }
}
