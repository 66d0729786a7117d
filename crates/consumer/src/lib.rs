#![doc = include_str!("../README.md")]

mod bounded;
mod patience;

pub mod classify;
pub mod consumer;
pub mod decode;
pub mod envelope;
pub mod event;
#[cfg(feature = "expand")]
pub mod expand;
pub mod handler;
pub mod journal;
pub mod logs;
pub mod options;
pub mod outcome;
pub mod report;
pub mod seen;
#[cfg(feature = "lambda")]
pub mod service;
pub mod settle;
pub mod store;
pub mod window;

pub use consumer::{Call, Consumer, Deadline, ProcessError, Processed};
pub use decode::{DecodeError, Decoder, Json, Raw, Text};
pub use envelope::Envelope;
pub use event::{Event, EventError, Record, Window};
#[cfg(feature = "expand")]
pub use expand::Expand;
pub use handler::{BatchHandler, Bulk, BulkLimits, Received, RecordHandler, Scope};
pub use journal::Journal;
pub use logs::{LogEntry, LogEvent, Logs};
pub use options::{Breaker, OnPoison, OnRetry, Options};
pub use outcome::{BoxError, Outcome, PoisonReason, Stage};
pub use report::{PoisonRecord, Report};
pub use seen::{Dedupe, Recent, SeenError, SeenStore};
#[cfg(feature = "lambda")]
pub use service::LambdaService;
pub use settle::Response;
pub use store::{Folder, LogOnly, LogPayload, Quarantine, QuarantineError};
pub use window::WindowHandler;
