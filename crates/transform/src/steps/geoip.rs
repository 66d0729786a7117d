//! The place of an address, from a MaxMind database (GeoIP2 or GeoLite2; City, Country or
//! Enterprise) that the host has opened or mapped.
//!
//! An address that the database does not know, one of a private network, and a host name get no
//! geo fields. A database that cannot be read where an address leads is another matter: the record
//! goes on without its place, since the address is still there to be looked up later, and the gap
//! is counted as `geoip_errors`, never taken for an address that is not known.

#[cfg(test)]
mod made;
mod place;

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use maxminddb::{MaxMindDbError, Reader};

pub use self::place::FIELDS;
pub(crate) use self::place::Place;
use super::Record;

/// Places that are kept ready. A City database holds many more, but few of them in one log;
/// one takes about 300 bytes, so that this many take about 5 MB.
const CACHED_PLACES: usize = 16_384;

/// Kinds of MaxMind databases that hold no places.
const WITHOUT_PLACES: &[&str] = &["ASN", "ISP", "Domain", "Connection-Type", "Anonymous"];

/// The bytes of a table, wherever the host keeps them.
pub type Bytes = Arc<dyn AsRef<[u8]> + Send + Sync>;

/// A MaxMind database that was found readable. Clones share it.
#[derive(Clone)]
pub struct Database(Arc<Reader<Shared>>);

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
}

impl Database {
    /// Reads the description at the end of the bytes; the rest is read where it is needed.
    ///
    /// # Errors
    /// When the bytes are no MaxMind database, or one without places.
    pub fn open(bytes: Bytes) -> Result<Self, DatabaseError> {
        let reader = Reader::from_source(Shared(bytes)).map_err(DatabaseError::Unreadable)?;
        let database_type = &reader.metadata().database_type;
        if WITHOUT_PLACES.iter().any(|kind| database_type.contains(kind)) {
            return Err(DatabaseError::NoPlaces { database_type: database_type.clone() });
        }
        Ok(Self(Arc::new(reader)))
    }

    /// What the database says it is, such as `GeoLite2-City`.
    pub fn database_type(&self) -> &str {
        &self.0.metadata().database_type
    }

    /// When it was built, in seconds of the epoch.
    pub fn build_epoch_secs(&self) -> u64 {
        self.0.metadata().build_epoch
    }
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Database").field(&self.database_type()).finish()
    }
}

/// The step.
pub(crate) struct Geoip {
    database: Database,
    /// By the offset of the database's entry, which many addresses share; `None` for one that
    /// cannot be read.
    places: HashMap<usize, Option<Arc<Place>>>,
}

impl Geoip {
    pub(crate) fn new(database: Database) -> Self {
        Self { database, places: HashMap::new() }
    }

    /// Forgets the places that were kept ready.
    pub(crate) fn reset(&mut self) {
        self.places.clear();
    }

    pub(crate) fn run(&mut self, record: &mut Record<'_>) {
        let Ok(address) = record.line.client.parse::<IpAddr>() else { return };
        match self.place(address) {
            Ok(place) => record.place = place,
            Err(Unreadable) => record.geoip_error = true,
        }
    }

    /// The place of an address, when the database knows one.
    fn place(&mut self, address: IpAddr) -> Result<Option<Arc<Place>>, Unreadable> {
        let reader = &*self.database.0;
        if address.is_ipv6() && reader.metadata().ip_version == 4 {
            return Ok(None);
        }
        let found = reader.lookup(address).map_err(|_| Unreadable)?;
        let Some(offset) = found.offset() else { return Ok(None) };
        if let Some(place) = self.places.get(&offset) {
            return place.clone().map(Some).ok_or(Unreadable);
        }
        let place = Place::read(&found).ok().map(Arc::new);
        if self.places.len() >= CACHED_PLACES {
            self.places.clear();
        }
        self.places.insert(offset, place.clone());
        place.map(Some).ok_or(Unreadable)
    }
}

/// The database could not be read where an address leads.
struct Unreadable;

#[cfg(test)]
mod tests;
