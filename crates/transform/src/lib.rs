//! Firehose records through a pipeline: a file says what is read, what is kept, what is added and
//! what is written.
//!
//! The engine is pure. It reads no clock, no environment and no file; tables come in as bytes that
//! the host has opened or mapped. It borrows from the request, and writes the response into a
//! buffer of the caller.
//!
//! ```
//! use tidegate_transform::{Engine, Pipeline, Tables, pipelines};
//!
//! let yaml = pipelines::builtin("access-log").unwrap();
//! let mut engine = Engine::new(Pipeline::compile(yaml, Tables::default()).unwrap());
//! let mut response = Vec::new();
//! let request = br#"{"records": [{"recordId": "1", "data": "bm90IGEgbG9nIGxpbmU="}]}"#;
//! let report = engine.transform(request, &mut response).unwrap();
//! assert_eq!((report.handed, report.processing_failed), (1, 1));
//! assert_eq!(response, br#"{"records":[{"recordId":"1","result":"ProcessingFailed"}]}"#);
//! ```
//!
//! Every record of a request ends in exactly one counted [`Outcome`]; the [`Report`] says how many
//! in which, and why.

mod base64;
pub mod contract;
mod engine;
mod event;
pub mod formats;
mod json;
mod moment;
mod outcome;
mod output;
mod pipeline;
pub mod pipelines;
mod predicate;
mod record;
pub mod reingest;
mod response;
mod scope;
mod steps;
mod template;
mod value;

pub use engine::Engine;
pub use event::{EventError, record_data};
pub use outcome::{Outcome, Reason, Reasons, Report};
pub use pipeline::{Case, CaseFailure, Mistake, Pipeline, PipelineError, Tables, editor_schema};
pub use predicate::{Predicate, PredicateError};
pub use response::RESPONSE_LIMIT_BYTES;
pub use scope::Field;
pub use steps::expression::Truth;
pub use steps::geoip;
pub use value::Kind;
