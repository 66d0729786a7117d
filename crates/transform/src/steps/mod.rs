//! What a pipeline does with each record, in the order it names. Renaming and removing happen when
//! the pipeline is compiled: at a record they cost nothing.

pub(crate) mod cast;
pub(crate) mod expression;
pub(crate) mod filter;
pub mod geoip;
pub(crate) mod lookup;
pub(crate) mod redact;
pub(crate) mod sample;
pub(crate) mod set;
pub(crate) mod timestamp;
pub(crate) mod user_agent;

use crate::outcome::Outcome;
use crate::record::Record;

/// One step, ready to run.
pub(crate) enum Step {
    Filter(filter::Filter),
    Geoip(geoip::Geoip<geoip::Place>),
    Asn(geoip::Geoip<geoip::Network>),
    UserAgent(user_agent::UserAgent),
    Lookup(lookup::Lookup),
    Timestamp(timestamp::Timestamp),
    Set(set::Set),
    Cast(cast::Cast),
    Redact(redact::Redact),
    Sample(sample::Sample),
}

impl Step {
    /// Runs the step; `Some` ends the record here. What a step makes it keeps until the record
    /// ends, so that values are never copied.
    pub(crate) fn run<'r>(&'r mut self, record: &mut Record<'r>) -> Option<Outcome> {
        match self {
            Self::Filter(filter) => filter.run(record),
            Self::Geoip(geoip) => {
                geoip.run(record);
                None
            }
            Self::Asn(asn) => {
                asn.run(record);
                None
            }
            Self::UserAgent(user_agent) => {
                user_agent.run(record);
                None
            }
            Self::Lookup(lookup) => lookup.run(record),
            Self::Timestamp(timestamp) => timestamp.run(record),
            Self::Set(set) => set.run(record),
            Self::Cast(cast) => cast.run(record),
            Self::Redact(redact) => {
                redact.run(record);
                None
            }
            Self::Sample(sample) => sample.run(record),
        }
    }

    /// Forgets what was kept ready.
    pub(crate) fn reset(&mut self) {
        match self {
            Self::Geoip(geoip) => geoip.reset(),
            Self::Asn(asn) => asn.reset(),
            Self::UserAgent(user_agent) => user_agent.reset(),
            _ => {}
        }
    }
}
