//! The place of an address, from a MaxMind database (GeoIP2 or GeoLite2; City, Country or
//! Enterprise) that the host has opened or mapped; and the network that it belongs to, from one of
//! autonomous systems (ASN or ISP).
//!
//! An address that the database does not know, one of a private network, and a host name get no
//! geo fields. A database that cannot be read where an address leads is another matter: the record
//! goes on without its place, since the address is still there to be looked up later, and the gap
//! is counted as `geoip_errors`, never taken for an address that is not known.

#[cfg(test)]
mod made;
mod network;
mod place;
mod recent;

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use maxminddb::{LookupResult, MaxMindDbError, Reader};

pub(crate) use self::network::Network;
pub(crate) use self::place::Place;
use self::recent::Recent;
use crate::record::Record;
use crate::value::{Kind, Value};

/// Entries that are kept ready. A City database holds many more, but few of them in one log;
/// one takes about 300 bytes, so that this many take about 5 MB.
const CACHED_ENTRIES: usize = 16_384;

/// Kinds of MaxMind databases that hold no places.
const WITHOUT_PLACES: &[&str] = &["ASN", "ISP", "Domain", "Connection-Type", "Anonymous"];

/// Kinds of MaxMind databases that hold networks.
const WITH_NETWORKS: &[&str] = &["ASN", "ISP"];

/// The bytes of a table, wherever the host keeps them.
pub type Bytes = Arc<dyn AsRef<[u8]> + Send + Sync>;

/// A MaxMind database that was found readable. Clones share it.
#[derive(Clone)]
pub struct Database(Option<Arc<Reader<Shared>>>);

struct Shared(Bytes);

impl AsRef<[u8]> for Shared {
    fn as_ref(&self) -> &[u8] {
        (*self.0).as_ref()
    }
}

/// Why a database cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// The bytes are something else, or damaged.
    #[error("it is not a MaxMind database (.mmdb), or a damaged one")]
    Unreadable(#[source] MaxMindDbError),
    /// A database of something else than places.
    #[error("a database of type {database_type} holds no places: use a City or Country database")]
    NoPlaces {
        /// What the database says it is.
        database_type: String,
    },
    /// A database of something else than networks.
    #[error("a database of type {database_type} holds no networks: use an ASN or ISP database")]
    NoNetworks {
        /// What the database says it is.
        database_type: String,
    },
}

impl Database {
    /// A database of places. Reads the description at the end of the bytes; the rest is read where
    /// it is needed.
    ///
    /// # Errors
    /// When the bytes are no MaxMind database, or one without places.
    pub fn open(bytes: Bytes) -> Result<Self, DatabaseError> {
        let (database, database_type) = Self::any(bytes)?;
        if WITHOUT_PLACES.iter().any(|kind| database_type.contains(kind)) {
            return Err(DatabaseError::NoPlaces { database_type });
        }
        Ok(database)
    }

    /// A database of networks.
    ///
    /// # Errors
    /// When the bytes are no MaxMind database, or one without networks.
    pub fn open_networks(bytes: Bytes) -> Result<Self, DatabaseError> {
        let (database, database_type) = Self::any(bytes)?;
        if !WITH_NETWORKS.iter().any(|kind| database_type.contains(kind)) {
            return Err(DatabaseError::NoNetworks { database_type });
        }
        Ok(database)
    }

    /// In place of a database that cannot be opened: no record finds anything in it, and each is
    /// counted as one that could not be looked up.
    pub const fn unusable() -> Self {
        Self(None)
    }

    fn any(bytes: Bytes) -> Result<(Self, String), DatabaseError> {
        let reader = Reader::from_source(Shared(bytes)).map_err(DatabaseError::Unreadable)?;
        let database_type = reader.metadata().database_type.clone();
        Ok((Self(Some(Arc::new(reader))), database_type))
    }

    /// What the database says it is, such as `GeoLite2-City`.
    pub fn database_type(&self) -> &str {
        self.0.as_ref().map_or("unusable", |reader| &reader.metadata().database_type)
    }

    /// When it was built, in seconds of the epoch.
    pub fn build_epoch_secs(&self) -> u64 {
        self.0.as_ref().map_or(0, |reader| reader.metadata().build_epoch)
    }
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Database").field(&self.database_type()).finish()
    }
}

/// What a step takes from an entry of its database.
pub(crate) trait Entry: Sized {
    /// The fields that the step adds, in the order of the output.
    const FIELDS: &'static [(&'static str, Kind)];

    fn read<S: AsRef<[u8]>>(found: &LookupResult<'_, S>) -> Result<Self, MaxMindDbError>;

    /// The values of the fields.
    fn values(&self) -> impl Iterator<Item = Value<'_>>;
}

/// The step.
pub(crate) struct Geoip<E> {
    database: Database,
    field: usize,
    /// The slots of [`Entry::FIELDS`].
    into: Vec<usize>,
    /// What the output writes before each of the fields, where it takes them together.
    keys: Vec<Box<[u8]>>,
    /// Whether nothing else of the pipeline wants the fields.
    unread: bool,
    /// Each entry, and its fields as the output writes them.
    entries: Vec<(E, Box<[u8]>)>,
    /// By the offset of the database's entry, which many addresses share.
    by_offset: HashMap<usize, Found>,
    recent: Recent,
}

/// What an address leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Found {
    Nothing,
    Unreadable,
    Entry(u32),
}

impl<E: Entry> Geoip<E> {
    pub(crate) fn new(database: Database, field: usize, into: Vec<usize>) -> Self {
        let (entries, by_offset) = (Vec::new(), HashMap::new());
        let (keys, recent) = (Vec::new(), Recent::default());
        Self { database, field, into, keys, unread: false, entries, by_offset, recent }
    }

    /// The slots that the step fills, in the order of its fields.
    pub(crate) fn slots(&self) -> &[usize] {
        &self.into
    }

    /// From now on each entry's fields are kept as the output writes them, after these keys. No
    /// later step may change them, and where they are `unread` none looks at them either.
    pub(crate) fn write_ahead(&mut self, keys: Vec<Box<[u8]>>, unread: bool) {
        (self.keys, self.unread) = (keys, unread);
    }

    /// Forgets what was kept ready.
    pub(crate) fn reset(&mut self) {
        self.entries.clear();
        self.by_offset.clear();
        self.recent = Recent::default();
    }

    pub(crate) fn run<'r>(&'r mut self, record: &mut Record<'r>) {
        let value = record.values[self.field];
        let plain = match value {
            Value::Text(text) => Some(text),
            Value::Logged(text) => text.as_plain(),
            _ => None,
        };
        let found = match plain {
            Some(text) => self.find(text),
            None => value.text().map_or(Found::Nothing, |text| self.find(&text)),
        };
        record.geoip_error |= found == Found::Unreadable;
        let entry = match found {
            Found::Entry(index) => self.entries.get(index as usize),
            _ => None,
        };
        match entry {
            Some((entry, written)) => {
                if !self.keys.is_empty() {
                    record.written = Some(written);
                    if self.unread {
                        return;
                    }
                }
                for (slot, value) in self.into.iter().zip(entry.values()) {
                    record.values[*slot] = value;
                }
            }
            None => self.into.iter().for_each(|slot| record.values[*slot] = Value::Null),
        }
    }

    fn find(&mut self, text: &str) -> Found {
        if let Some(found) = self.recent.get(text) {
            return found;
        }
        let Ok(address) = text.parse::<IpAddr>() else { return Found::Nothing };
        let found = self.look_up(address);
        self.recent.put(text, found);
        found
    }

    fn look_up(&mut self, address: IpAddr) -> Found {
        let Some(reader) = &self.database.0 else { return Found::Unreadable };
        if address.is_ipv6() && reader.metadata().ip_version == 4 {
            return Found::Nothing;
        }
        let Ok(result) = reader.lookup(address) else { return Found::Unreadable };
        let Some(offset) = result.offset() else { return Found::Nothing };
        if let Some(found) = self.by_offset.get(&offset) {
            return *found;
        }
        if self.entries.len() >= CACHED_ENTRIES || self.by_offset.len() >= CACHED_ENTRIES {
            self.entries.clear();
            self.by_offset.clear();
            self.recent = Recent::default();
        }
        let found = match (E::read(&result), u32::try_from(self.entries.len())) {
            (Ok(entry), Ok(index)) => {
                let mut written = Vec::new();
                for (key, value) in self.keys.iter().zip(entry.values()) {
                    if !value.is_null() {
                        written.extend_from_slice(key);
                        value.write(&mut written);
                    }
                }
                self.entries.push((entry, written.into()));
                Found::Entry(index)
            }
            _ => Found::Unreadable,
        };
        self.by_offset.insert(offset, found);
        found
    }
}

#[cfg(test)]
mod tests;
