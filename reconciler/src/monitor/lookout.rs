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

/// Looks at sets, and at legacy tables.
#[derive(Debug)]
pub struct Lookout {
    sets: Option<Sets>,
    /// What the last look at sets found, and the one before it.
    found: [Vec<u8>; 2],
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
            found: Default::default(),
            sets_pace: pace,
            tables,
            deadline,
            tables_pace: pace,
        }
    }

    /// A cycle is about to look by itself: what is there now is what later looks are compared with. So a change that comes
    /// while the cycle is at work is not missed, and one that it makes itself is looked at once more.
    pub fn begin(&mut self) {
        self.look_at_sets();
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
        (now >= self.sets_pace.next && self.look_at_sets())
            || (now >= self.tables_pace.next && self.look_at_tables(seen))
    }

    /// Whether sets are others than at the last look.
    fn look_at_sets(&mut self) -> bool {
        let Some(sets) = &mut self.sets else {
            self.sets_pace = Pace::new(Instant::now());
            return false;
        };
        let began = processor_time();
        let [last, now] = &mut self.found;
        std::mem::swap(last, now);
        now.clear();
        if let Err(error) = sets.dump(now) {
            // What cannot be read is another state than what can, and the same one as long as it cannot.
            tracing::debug!(%error, "sets cannot be dumped");
            now.clear();
            now.extend(error.to_string().into_bytes());
        }
        self.sets_pace = Pace::after(processor_time().saturating_sub(began));
        last != now
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
}

impl Pace {
    fn new(now: Instant) -> Self {
        Self { next: now + SHORTEST }
    }

    /// After a look that took so long.
    fn after(time: Duration) -> Self {
        Self { next: Instant::now() + period(time) }
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
        }
    }
}
