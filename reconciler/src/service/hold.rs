//! A snapshot that failed is tried again after a while, and after a longer one each time.

use std::time::{Duration, Instant};

use chainmail_contract::Sha256Hex;

/// The first wait before a snapshot that failed is tried again; it doubles each time.
pub(super) const FIRST: Duration = Duration::from_secs(30);
/// The longest such wait.
const LONGEST: Duration = Duration::from_secs(60 * 60);

/// The snapshot that failed last, as long as it is the wanted one.
#[derive(Default)]
pub(super) struct Hold(Option<Held>);

struct Held {
    digest: Sha256Hex,
    wait: Duration,
    until: Instant,
    why: String,
}

impl Hold {
    /// A snapshot failed.
    pub(super) fn failed(&mut self, digest: &Sha256Hex, why: String, now: Instant) {
        let wait = self.0.as_ref().map_or(FIRST, |held| (held.wait * 2).min(LONGEST));
        self.0 = Some(Held { digest: digest.clone(), wait, until: now + wait, why });
    }

    /// Nothing is held any more.
    pub(super) fn release(&mut self) {
        self.0 = None;
    }

    /// Whether a wanted snapshot is still to wait. Another one than the one that failed is not.
    pub(super) fn is_waiting(&mut self, wanted: &Sha256Hex, now: Instant) -> bool {
        self.0.take_if(|held| held.digest != *wanted);
        self.0.as_ref().is_some_and(|held| now < held.until)
    }

    /// Whether there is one.
    pub(super) fn is_any(&self) -> bool {
        self.0.is_some()
    }

    /// Why it failed.
    pub(super) fn why(&self) -> Option<String> {
        self.0.as_ref().map(|held| held.why.clone())
    }

    /// How long until it is tried again.
    pub(super) fn left(&self, now: Instant) -> Option<Duration> {
        self.0.as_ref().map(|held| held.until.saturating_duration_since(now))
    }
}
