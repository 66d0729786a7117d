//! What every Tidegate function needs from its host: [`settings`] read once and reported together,
//! the [`clock`], [`telemetry`] (JSON log lines and embedded metrics), error [`chain`]s, and
//! [`serve`], the terminal service on the Lambda Runtime API.
//!
//! Nothing is decided here. The engines (`tidegate-autoscaler`, `tidegate-consumer`,
//! `tidegate-transform`) do not depend on this crate; the functions wire the two together.

pub mod chain;
pub mod clock;
mod memory;
pub mod serve;
pub mod settings;
pub mod telemetry;

pub use serve::{Function, FunctionError, Invocation, run};
pub use settings::{Environment, Settings, SettingsError, Vars};
pub use telemetry::{Level, Log};
