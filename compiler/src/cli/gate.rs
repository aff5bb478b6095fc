//! `--fail-on` and `--exit-code`: when a review ends the command with a number of its own.

use std::collections::BTreeSet;
use std::str::FromStr;

use chainmail_findings::Findings;
use chainmail_review::diff::Review;
use chainmail_review::gate::{Gate, judge};

use super::{Exit, output};

/// When to fail, and how.
#[derive(Debug, clap::Args)]
pub(super) struct GateArgs {
    /// Fail where the world may do more (world), anyone may (opened), someone may do less (closed), anything differs
    /// (any), or lint finds something new of a level (lint:error, lint:warning, lint:note); may be given again. What
    /// waivers of the new side's chainmail.toml cover passes.
    #[arg(long, value_name = "WHAT")]
    fail_on: Vec<Gate>,
    /// Fail where anything differs, unless --fail-on says when; exit with N, which is 1 or from 10 to 99.
    #[arg(long, value_name = "N", num_args = 0..=1, require_equals = true, default_missing_value = "1")]
    exit_code: Option<FailureCode>,
}

/// The number of a review that fails: none that means anything else, nor what shells use (126 and above).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct FailureCode(u8);

impl FromStr for FailureCode {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let code = text.parse().ok().filter(|code| matches!(code, 1 | 10..=99));
        code.map(Self).ok_or_else(|| "it is 1, or from 10 to 99".to_owned())
    }
}

impl GateArgs {
    /// The number with which a review that fails ends.
    pub(super) fn failure_code(&self) -> u8 {
        self.exit_code.map_or(Exit::Differences.code(), |code| code.0)
    }

    /// Whether findings of lint are asked for.
    pub(super) fn asks_lint(&self) -> bool {
        self.fail_on.iter().any(|gate| matches!(gate, Gate::Lint(_)))
    }

    /// Judges a review and what lint finds on its new side only, and says why it fails.
    pub(super) fn judge(&self, review: &Review, fresh: &Findings) -> Exit {
        let mut gates: BTreeSet<Gate> = self.fail_on.iter().copied().collect();
        if gates.is_empty() && self.exit_code.is_some() {
            gates.insert(Gate::Any);
        }
        let failures = judge(&gates, review, fresh);
        // That anything differs was just printed at length.
        for failure in failures.iter().filter(|_| !self.fail_on.is_empty()) {
            output::error_line(&format!("failed: {failure}"));
        }
        if failures.is_empty() { Exit::Done } else { Exit::Differences }
    }
}
