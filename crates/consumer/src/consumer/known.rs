//! What was delivered before: asked before a chunk, remembered after it.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::chunk::{Fault, KnownBy, Unit};
use super::run::Run;
use crate::envelope::ErrorText;
use crate::outcome::Panicked;
use crate::report::RetryCause;
use crate::seen::Dedupe;

/// Asks which of these were delivered before. Without an answer they come again.
pub(super) async fn recognise(dedupe: &Dedupe, units: &mut [Unit<'_>], run: &Run<'_>) {
    let mut keys = Vec::new();
    for unit in units.iter_mut().filter(|unit| unit.fault.is_none()) {
        let record = unit.record();
        let key = || dedupe.key(unit.payload, &record, run.call.function_arn);
        match catch_unwind(AssertUnwindSafe(key)) {
            Ok(key) => keys.push(key),
            Err(panic) => unit.fault = Some(Fault::panicked(Panicked::new(&*panic))),
        }
    }
    let sound = units.iter_mut().filter(|unit| unit.fault.is_none());
    match dedupe.seen(&keys, run.call.now).await {
        Ok(seen) => {
            for ((unit, key), seen) in sound.zip(keys).zip(seen) {
                unit.known_by = Some(KnownBy { key, seen });
            }
        }
        Err(error) => {
            if let Some(first) = sound.take(1).next() {
                let error = ErrorText::of(&error).line();
                run.left(&first.record(), None, RetryCause::Seen, error);
            }
        }
    }
}

/// Marks what was delivered since the last time.
pub(super) async fn remember(dedupe: &Dedupe, run: &Run<'_>) {
    let done = run.take_done();
    if done.is_empty() {
        return;
    }
    if let Err(error) = dedupe.mark(&done, run.call.now).await {
        run.unmarked(done.len());
        run.trouble("dedupe", &error);
    }
}
