//! Why a document could not be decoded.

use chainmail_findings::Code;

use crate::source::outline::Spot;

/// A document that could not be decoded: where, if known, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct DecodeError {
    pub(super) at: Option<Spot>,
    pub(super) code: Code,
    pub(super) message: String,
    pub(super) help: Option<String>,
}
