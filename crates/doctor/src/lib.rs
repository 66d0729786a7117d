//! What is known to lose data, block a shard, cost money or leak, looked for in a deployment.
//!
//! A [`Deployment`] is a list of resources in CloudFormation's own words. It is read from a template
//! ([`template::read`]) or described by who asked AWS ([`Deployment::new`]), and the checks of
//! [`CHECKS`] look at it, each a pure function that knows nothing of the other. What a template
//! leaves open (a parameter without a value, an import) is unknown, and nothing is said about what
//! is unknown.

pub mod checks;
pub mod deployment;
pub mod finding;
pub mod template;

mod evaluate;
mod intrinsics;
mod serverless;
mod yaml;

pub use checks::{CHECKS, Check};
pub use deployment::{Deployment, Resource, Setting};
pub use finding::{Finding, Report, Severity, diagnose};
