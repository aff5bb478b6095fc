//! The shell: where messages go. Under systemd each has its fields (`DIGEST=`, `FAMILY=`) in the journal.

#![expect(clippy::disallowed_methods, reason = "this module is the one that asks the environment")]

use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::terminal::Inert;

/// Sends messages to the journal if standard error is connected to it, else to standard error.
pub fn start() {
    let filter = tracing_subscriber::EnvFilter::builder()
        .with_default_directive(tracing::level_filters::LevelFilter::INFO.into())
        .from_env_lossy();
    // systemd sets it for services whose standard error goes to the journal: systemd.exec(5).
    let journal = std::env::var("JOURNAL_STREAM").is_ok().then(tracing_journald::layer).and_then(Result::ok);
    let text = journal.is_none().then(|| {
        tracing_subscriber::fmt::layer()
            .with_writer(|| Inert(std::io::stderr()))
            // Colours are the same sequences that others must not write.
            .with_ansi(false)
            .with_target(false)
            .without_time()
    });
    let journal = journal.map(|layer| layer.with_field_prefix(None));
    tracing_subscriber::registry().with(filter).with(journal).with(text).init();
}
