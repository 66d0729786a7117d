//! What the autoscaler is configured to do, for the function itself and for `tidegate plan`, which
//! looks at a stream as the function would.

mod settings;

pub use settings::{NoticeSettings, Settings};
