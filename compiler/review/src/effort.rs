//! A bound on how long an answer may take.

use thiserror::Error;

/// The steps that an answer may still take. A step compares a packet with a rule, or the like: 10 to 20 ns. Steps are
/// counted before they are taken, so that equal input is answered or refused on every machine alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Effort {
    max: u64,
    left: u64,
}

/// An answer that takes more steps than it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the answer takes more than {max} steps, each as long as it takes to compare a packet with a rule")]
pub struct TooLong {
    max: u64,
}

impl Effort {
    /// The default of the command line: about ten seconds.
    pub const DEFAULT: u64 = 500_000_000;

    /// Allows this many steps.
    #[must_use]
    pub fn new(max: u64) -> Self {
        Self { max, left: max }
    }

    /// Takes steps off what is left.
    ///
    /// # Errors
    /// When fewer are left.
    pub fn spend(&mut self, steps: usize) -> Result<(), TooLong> {
        let left = self.left.checked_sub(u64::try_from(steps).unwrap_or(u64::MAX));
        self.left = left.ok_or(TooLong { max: self.max })?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_step_is_taken_and_none_after_it() {
        let mut effort = Effort::new(3);
        assert_eq!(effort.spend(2), Ok(()));
        assert_eq!(effort.spend(1), Ok(()));
        assert_eq!(effort.spend(0), Ok(()));
        assert_eq!(effort.spend(1), Err(TooLong { max: 3 }));
    }
}
