//! The forms of input: each turns the bytes of one record into fields, or says why not.

pub mod apache;
mod time;

pub use time::LogTime;

/// A form of input, as a pipeline names it under `input.format`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Format {
    /// The combined access log of Apache and nginx.
    ApacheCombined,
}

impl Format {
    /// Every format.
    pub const ALL: &[Self] = &[Self::ApacheCombined];

    /// The name in a pipeline.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ApacheCombined => "apache_combined",
        }
    }

    /// The fields that a record of this format can have, in the order of the output.
    pub const fn fields(self) -> &'static [&'static str] {
        match self {
            Self::ApacheCombined => apache::FIELDS,
        }
    }

    /// Those of the fields that hold an address.
    pub const fn addresses(self) -> &'static [&'static str] {
        match self {
            Self::ApacheCombined => &["client"],
        }
    }
}
