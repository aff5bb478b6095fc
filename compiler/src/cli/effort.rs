//! How long an answer may take.

use chainmail_review::effort::{Effort, TooLong};
use chainmail_review::query::EngineError;

use super::{Exit, Failure};

#[derive(Debug, Clone, Copy, clap::Args)]
pub(super) struct EffortArgs {
    /// Refuse an answer that takes more steps than this; 50 to 100 million take a second.
    #[arg(long, value_name = "STEPS", default_value_t = Effort::DEFAULT)]
    max_steps: u64,
}

impl EffortArgs {
    pub(super) fn effort(self) -> Effort {
        Effort::new(self.max_steps)
    }

    pub(super) fn failure(self, error: &EngineError) -> Failure {
        if let EngineError::TooLong(error) = error { self.refusal(*error) } else { Failure::input(error) }
    }

    pub(super) fn refusal(self, error: TooLong) -> Failure {
        Failure {
            exit: Exit::Input,
            message: format!("{error}; compare or ask for less, or raise --max-steps"),
        }
    }
}
