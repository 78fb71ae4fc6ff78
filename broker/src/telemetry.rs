//! Logs: tracing to stderr as text or JSON; raft's own words, which are many, at debug level.

use std::cell::Cell;
use std::fmt::Write;
use std::io::IsTerminal;
use std::time::{Duration, Instant};

use slog::{Drain, KV, Level, OwnedKVList, Record, Serializer};
use tracing_subscriber::EnvFilter;

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Starts logging. `CHRONIK_LOG` takes filters as `tracing-subscriber` defines them ("debug",
/// "chronik_core=debug,info"); the default is "info".
pub fn start(format: LogFormat) {
    let filter =
        EnvFilter::try_from_env("CHRONIK_LOG").unwrap_or_else(|_| EnvFilter::new("info,h2=warn"));
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    // Only a second start fails, and then the first one's settings hold.
    let _ = match format {
        LogFormat::Text => subscriber.with_target(false).try_init(),
        LogFormat::Json => subscriber.json().flatten_event(true).try_init(),
    };
}

/// One log line a second for something that strangers can cause.
#[derive(Debug, Default)]
pub struct LogLimit {
    last: Cell<Option<Instant>>,
    suppressed: Cell<u64>,
}

impl LogLimit {
    /// Whether to write a line now, and how many were suppressed since the last.
    pub fn admit(&self) -> Option<u64> {
        let now = Instant::now();
        match self.last.get() {
            Some(last) if now.duration_since(last) < Duration::from_secs(1) => {
                self.suppressed.set(self.suppressed.get() + 1);
                None
            }
            Some(_) | None => {
                self.last.set(Some(now));
                Some(self.suppressed.replace(0))
            }
        }
    }
}

/// The logger for raft.
pub fn raft_logger() -> slog::Logger {
    slog::Logger::root(ToTracing.fuse(), slog::o!())
}

/// A slog drain that ends in tracing.
#[derive(Debug)]
struct ToTracing;

impl Drain for ToTracing {
    type Ok = ();
    type Err = slog::Never;

    fn log(&self, record: &Record<'_>, values: &OwnedKVList) -> Result<(), slog::Never> {
        let mut text = Text(record.msg().to_string());
        // Writing to a String cannot fail, and a value that does is left out.
        let _ = record.kv().serialize(record, &mut text);
        let _ = values.serialize(record, &mut text);
        match record.level() {
            Level::Critical | Level::Error => tracing::warn!(target: "raft", "{}", text.0),
            Level::Warning | Level::Info | Level::Debug => {
                tracing::debug!(target: "raft", "{}", text.0);
            }
            Level::Trace => tracing::trace!(target: "raft", "{}", text.0),
        }
        Ok(())
    }

    fn is_enabled(&self, level: Level) -> bool {
        match level {
            Level::Critical | Level::Error => true,
            Level::Warning | Level::Info | Level::Debug => {
                tracing::enabled!(target: "raft", tracing::Level::DEBUG)
            }
            Level::Trace => tracing::enabled!(target: "raft", tracing::Level::TRACE),
        }
    }
}

struct Text(String);

impl Serializer for Text {
    fn emit_arguments(&mut self, key: slog::Key, val: &std::fmt::Arguments<'_>) -> slog::Result {
        Ok(write!(self.0, " {key}={val}")?)
    }
}
