//! The shell: looks now and then whether others have changed what no news tells of.

use std::time::{Duration, Instant};

use rustix::time::{ClockId, Timespec, clock_gettime};

use super::sets::Sets;
use crate::kernel::backend::Backend;
use crate::service::Seen;

/// The shortest time between two looks.
const SHORTEST: Duration = Duration::from_secs(1);
/// The longest one: the full look of a cycle comes about as often.
const LONGEST: Duration = Duration::from_secs(30);
/// A look may take this part of the time until the next one.
const PART: u32 = 100;

/// What looks at sets are compared with.
#[derive(Debug)]
enum Known {
    /// Nothing yet: a look found something new, and what is there when the next cycle begins is to be known.
    News,
    /// Nothing, since a cycle has changed sets itself: whatever is found is looked at once more.
    Unknown,
    /// What looks have found since then.
    Sets(Vec<u8>),
}

/// Looks at sets, and at legacy tables.
#[derive(Debug)]
pub struct Lookout {
    sets: Option<Sets>,
    known: Known,
    /// Memory for the next look.
    spare: Vec<u8>,
    sets_pace: Pace,
    /// The backend, where the kernel has no news of its tables.
    tables: Option<Backend>,
    /// How long a tool may take.
    deadline: Duration,
    tables_pace: Pace,
}

impl Lookout {
    /// What is to be looked at where rules are kept in a backend.
    #[must_use]
    pub fn new(backend: Backend, deadline: Duration) -> Self {
        let sets = Sets::open().inspect_err(|error| {
            tracing::info!(%error, "changes of sets by others are seen by time alone");
        });
        let tables = match backend {
            Backend::Nft => None,
            Backend::Legacy => Some(backend),
        };
        let pace = Pace::new(Instant::now());
        Self {
            sets: sets.ok(),
            known: Known::News,
            spare: Vec::new(),
            sets_pace: pace,
            tables,
            deadline,
            tables_pace: pace,
        }
    }

    /// A cycle is about to look by itself, after one that has left `seen`. After a look that found something new, what is
    /// there now is what later looks are compared with; so a change that comes while the cycle is at work is not missed.
    /// Otherwise it stays what looks have found so far. Sets that a cycle has made itself are looked at once more.
    pub fn begin(&mut self, seen: &Seen) {
        match (seen, &self.known) {
            (Seen::Changed, Known::Sets(_) | Known::Unknown) => self.known = Known::Unknown,
            (Seen::Unchanged { .. }, Known::Sets(_)) => {}
            (Seen::Changed, Known::News) | (Seen::Unchanged { .. } | Seen::Nothing, _) => {
                self.known = self.look_at_sets().map_or(Known::News, Known::Sets);
                return;
            }
        }
        self.sets_pace = self.sets_pace.again();
    }

    /// Whether tables are looked at.
    #[must_use]
    pub fn looks_at_tables(&self) -> bool {
        self.tables.is_some()
    }

    /// When the next look is due.
    #[must_use]
    pub fn next(&self) -> Instant {
        match self.tables {
            Some(_) => self.sets_pace.next.min(self.tables_pace.next),
            None => self.sets_pace.next,
        }
    }

    /// Legacy tables may have changed: they are looked at by then.
    pub fn expect_change(&mut self, then: Instant) {
        self.tables_pace.next = self.tables_pace.next.min(then);
    }

    /// Looks at what is due; returns whether something is not as the last cycle has seen it.
    pub fn is_changed(&mut self, now: Instant, seen: &Seen) -> bool {
        if matches!(seen, Seen::Nothing) {
            (self.sets_pace, self.tables_pace) = (Pace::new(now), Pace::new(now));
            return false;
        }
        (now >= self.sets_pace.next && self.are_sets_changed())
            || (now >= self.tables_pace.next && self.look_at_tables(seen))
    }

    /// Whether sets are others than those that are known.
    fn are_sets_changed(&mut self) -> bool {
        let Some(found) = self.look_at_sets() else { return false };
        let is_known = matches!(&self.known, Known::Sets(known) if *known == found);
        self.spare = found;
        if !is_known {
            self.known = Known::News;
        }
        !is_known
    }

    /// What the kernel says of our sets, where it can be asked.
    fn look_at_sets(&mut self) -> Option<Vec<u8>> {
        let Some(sets) = &mut self.sets else {
            self.sets_pace = Pace::new(Instant::now());
            return None;
        };
        let began = processor_time();
        let mut found = std::mem::take(&mut self.spare);
        found.clear();
        if let Err(error) = sets.dump(&mut found) {
            // What cannot be read is another state than what can, and the same one as long as it cannot.
            tracing::debug!(%error, "sets cannot be dumped");
            found.clear();
            found.extend(error.to_string().into_bytes());
        }
        self.sets_pace = Pace::after(processor_time().saturating_sub(began));
        Some(found)
    }

    /// Whether legacy tables are others than the last cycle has seen.
    fn look_at_tables(&mut self, seen: &Seen) -> bool {
        let (Some(backend), Seen::Unchanged { live, .. }) = (self.tables, seen) else {
            // After a change the next cycle sees them.
            self.tables_pace = Pace::new(Instant::now());
            return matches!(seen, Seen::Changed) && self.tables.is_some();
        };
        let began = Instant::now();
        let changed = match backend.tables(live.tables.keys().copied(), self.deadline, None) {
            Ok(found) => live.tables != found,
            // The cycle tells of it.
            Err(_) => true,
        };
        self.tables_pace = Pace::after(began.elapsed());
        changed
    }
}

/// When something is looked at next.
#[derive(Debug, Clone, Copy)]
struct Pace {
    next: Instant,
    /// The time between two looks.
    period: Duration,
}

impl Pace {
    fn new(now: Instant) -> Self {
        Self { next: now + SHORTEST, period: SHORTEST }
    }

    /// As if a look had been made now that took as long as the last one.
    fn again(self) -> Self {
        Self { next: Instant::now() + self.period, ..self }
    }

    /// After a look that took so long.
    fn after(time: Duration) -> Self {
        let period = period(time);
        Self { next: Instant::now() + period, period }
    }
}

/// How long to wait after a look that took so long.
fn period(time: Duration) -> Duration {
    (time * PART).clamp(SHORTEST, LONGEST)
}

/// How long this thread has been at work: clock_gettime(2).
fn processor_time() -> Duration {
    let Timespec { tv_sec, tv_nsec } = clock_gettime(ClockId::ThreadCPUTime);
    let seconds = u64::try_from(tv_sec).unwrap_or_default();
    Duration::new(seconds, u32::try_from(tv_nsec).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_look_takes_at_most_a_hundredth_of_the_time() {
        let milliseconds = Duration::from_millis;
        for (took, waits) in [(0, 1000), (10, 1000), (42, 4200), (299, 29_900), (5000, 30_000)] {
            assert_eq!(period(milliseconds(took)), milliseconds(waits), "{took}");
            let before = Instant::now();
            let again = Pace::after(milliseconds(took)).again();
            assert!(again.next >= before + milliseconds(waits), "{took}");
        }
    }
}
