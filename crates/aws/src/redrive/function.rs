//! A function that is called as an event source mapping calls it.

use std::time::Duration;

use super::RedriveError;
use crate::call::{CallError, Connections};
use crate::quarantine::WriteError;

/// The longest that a function may run ("Lambda quotas", AWS Lambda Developer Guide, 2026-11), and
/// some time for the way.
const LONGEST: Duration = Duration::from_secs(15 * 60 + 10);

/// How a call ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Called {
    /// The function answered.
    Response(Vec<u8>),
    /// It failed, or is throttled: what was said.
    Failed(String),
}

/// A function by its name or ARN.
#[derive(Debug)]
pub struct Function {
    name: String,
    connections: Connections,
}

impl Function {
    /// By its name or ARN, with `:ALIAS` behind it for a version.
    pub fn new(name: impl Into<String>, connections: Connections) -> Self {
        Self { name: name.into(), connections }
    }

    /// Calls it and waits for its answer. A call is not made again here: the caller decides that.
    ///
    /// # Errors
    /// When it cannot be called at all (`lambda:InvokeFunction`).
    pub async fn call(&self, event: &[u8]) -> Result<Called, RedriveError> {
        let caller = self.connections.caller().await;
        match caller.invoke(&self.name, event.to_vec(), LONGEST).await {
            Ok((answer, None)) if answer.status == 200 => Ok(Called::Response(answer.body)),
            Ok((answer, Some(kind))) if answer.status == 200 => {
                let body = answer.json();
                let said = |name: &str| body[name].as_str().unwrap_or("?").to_owned();
                let what = format!("{}: {}", said("errorType"), said("errorMessage"));
                Ok(Called::Failed(format!("{kind} error: {what}")))
            }
            Ok((answer, _)) => self.refused(CallError::of_service(&answer)),
            Err(error) => self.refused(error),
        }
    }

    fn refused(&self, error: CallError) -> Result<Called, RedriveError> {
        use crate::call::Fate;

        if error.fate() == Fate::Passes {
            return Ok(Called::Failed(error.to_string()));
        }
        let failed = WriteError::Call { operation: "Invoke", source: error };
        Err(RedriveError::new(&format!("function:{}", self.name), failed))
    }
}
