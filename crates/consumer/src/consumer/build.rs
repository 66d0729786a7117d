//! How a consumer is put together, and how its windows go on.

use std::future::Future;
use std::time::Duration;

use serde_json::value::RawValue;

use super::{Call, Consumer, Told, catch};
use crate::decode::Decoder;
use crate::event::Window;
use crate::handler::RecordHandler;
use crate::journal::Journal;
use crate::options::Options;
use crate::outcome::BoxError;
use crate::patience::{Attempts, TimeLimit};
use crate::report::PoisonRecord;
use crate::seen::Dedupe;
use crate::store::Quarantine;
use crate::window::{WindowHandler, Windows};

impl<D, H, Q> Consumer<D, H, Q>
where
    D: Decoder,
    H: for<'a> RecordHandler<D::Item<'a>>,
    Q: Quarantine,
{
    /// A consumer of three parts, with the default options.
    pub fn new(decoder: D, handler: H, quarantine: Q) -> Self {
        Self {
            decoder,
            handler,
            quarantine,
            options: Options::default(),
            time_limit: None,
            attempts: Attempts::default(),
            journal: None,
            dedupe: None,
            windows: None,
            told: None,
        }
    }

    /// The same with other options.
    #[must_use]
    pub fn with(mut self, options: Options) -> Self {
        self.options = options;
        self
    }

    /// The same with a limit of the time that one call of the handler may take. A record that takes
    /// longer comes again, and is poison as soon as it was tried
    /// [long](Options::max_age) or [often](Options::max_attempts) enough.
    ///
    /// `sleep` ends after a time, such as `tokio::time::sleep`; it is asked for only where the
    /// handler waits. A handler that computes and never waits cannot be stopped so: see
    /// [`Self::journal`].
    #[must_use]
    pub fn time_limit<S: Future<Output = ()> + Send + 'static>(
        mut self,
        limit: Duration,
        sleep: impl Fn(Duration) -> S + Send + Sync + 'static,
    ) -> Self {
        self.time_limit = Some(TimeLimit::new(limit, sleep));
        self
    }

    /// The same with a journal, by which a record that crashes the function or never ends is found.
    #[must_use]
    pub fn journal(mut self, journal: Journal) -> Self {
        self.journal = Some(journal);
        self
    }

    /// The same without what was delivered before.
    #[must_use]
    pub fn dedupe(mut self, dedupe: Dedupe) -> Self {
        self.dedupe = Some(dedupe);
        self
    }

    /// The same with a state of one's own for tumbling windows. Without it, the state is handed on as
    /// it came.
    #[must_use]
    pub fn windows(mut self, handler: impl WindowHandler + 'static) -> Self {
        self.windows = Some(Windows::new(handler));
        self
    }

    /// The same, telling of each poison record as soon as its store has answered: a line of the log
    /// that is written then is there also when the invocation does not come to its end. The report
    /// has the [first](crate::report::POISON_MAX) of them too.
    #[must_use]
    pub fn tell_poison(
        mut self,
        tell: impl Fn(&PoisonRecord, &Call<'_>) + Send + Sync + 'static,
    ) -> Self {
        self.told = Some(Told(Box::new(tell)));
        self
    }

    /// What the invocation is to answer as the state of its window.
    pub(super) async fn next_state(&self, window: &Window<'_>) -> Result<String, BoxError> {
        let Some(windows) = &self.windows else { return Ok(window.state.to_owned()) };
        let state = catch(windows.next_state(window)).await??;
        // Lambda takes no other, and this one would spoil the answer with it.
        Ok(RawValue::from_string(state)?.get().to_owned())
    }
}
