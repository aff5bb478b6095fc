//! When another program and this one keep moving the jump: whoever never gives up loads the node for nothing.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::place::Place;

/// How often within [`WINDOW`] the jump is put back.
const MOVES: usize = 5;
/// The time in which those are counted.
const WINDOW: Duration = Duration::from_secs(10 * 60);
/// How long the jump is then left where it is. All rules stay in force; only the place is given up.
const TRUCE: Duration = Duration::from_secs(60 * 60);

/// How often the jump had to be put back lately.
#[derive(Debug, Clone, Default)]
pub struct Fight {
    moves: VecDeque<Instant>,
    truce_until: Option<Instant>,
}

impl Fight {
    /// The jump was put back in its place. Returns whether this was once too often.
    pub fn moved(&mut self, now: Instant) -> bool {
        self.moves.push_back(now);
        while self.moves.front().is_some_and(|&first| now.duration_since(first) > WINDOW) {
            self.moves.pop_front();
        }
        let lost = self.moves.len() >= MOVES;
        if lost {
            self.moves.clear();
            self.truce_until = Some(now + TRUCE);
        }
        lost
    }

    /// Where the jump is to be for now.
    pub fn place<'a>(&mut self, wanted: &'a Place, now: Instant) -> &'a Place {
        if self.truce_until.is_some_and(|until| now >= until) {
            self.truce_until = None;
        }
        if self.has_truce() { &Place::Anywhere } else { wanted }
    }

    /// Whether the jump is left where it is.
    #[must_use]
    pub fn has_truce(&self) -> bool {
        self.truce_until.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fifth_time_in_ten_minutes_is_the_last_for_an_hour() {
        let minute = |minutes: u64| Duration::from_secs(60 * minutes);
        let begin = Instant::now();
        let mut fight = Fight::default();
        for at in [0, 3, 6, 9, 12, 15, 18] {
            assert!(!fight.moved(begin + minute(at)), "four in ten minutes are not five: {at}");
        }
        for at in [19, 20] {
            assert_eq!(fight.moved(begin + minute(at)), at == 19, "{at}");
        }
        assert_eq!(fight.place(&Place::First, begin + minute(78)), &Place::Anywhere);
        assert_eq!(fight.place(&Place::First, begin + minute(79)), &Place::First);
        assert!(!fight.has_truce());
    }
}
