//! The state that goes from one invocation of a tumbling window to the next.

use std::fmt;
use std::future::Future;
use std::pin::Pin;

use crate::event::Window;
use crate::outcome::BoxError;

/// Says at the end of each batch of a window what the next one begins with.
///
/// The records were handled by then, and what they came to is the handler's to keep until here: the
/// state is what [`Window::state`] says and what this batch adds. At the last invocation of a
/// window, which may have no records, the result is due, and the state goes nowhere.
pub trait WindowHandler: Send + Sync {
    /// The state for the next invocation, as JSON, at most 1 MB.
    ///
    /// # Errors
    /// The invocation then fails, and Lambda delivers the batch again, with the state as it was.
    fn next_state(
        &self,
        window: &Window<'_>,
    ) -> impl Future<Output = Result<String, BoxError>> + Send;
}

type NextState<'a> = Pin<Box<dyn Future<Output = Result<String, BoxError>> + Send + 'a>>;

/// A [`WindowHandler`] of any type.
pub(crate) struct Windows(Box<dyn Erased>);

impl Windows {
    pub(crate) fn new(handler: impl WindowHandler + 'static) -> Self {
        Self(Box::new(handler))
    }

    pub(crate) fn next_state<'a>(&'a self, window: &'a Window<'_>) -> NextState<'a> {
        self.0.next_state(window)
    }
}

impl fmt::Debug for Windows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Windows")
    }
}

trait Erased: Send + Sync {
    fn next_state<'a>(&'a self, window: &'a Window<'_>) -> NextState<'a>;
}

impl<W: WindowHandler> Erased for W {
    fn next_state<'a>(&'a self, window: &'a Window<'_>) -> NextState<'a> {
        Box::pin(WindowHandler::next_state(self, window))
    }
}
