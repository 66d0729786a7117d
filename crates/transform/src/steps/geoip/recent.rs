//! What the last addresses came to, by their text: most lines of a log are of a client that was
//! there a moment ago, and neither reading the address nor walking the tree is needed again.

use super::Found;

/// One text for each value of a digest, the latest.
pub(super) struct Recent(Vec<Kept>);

const PLACES: usize = 4_096;
/// The longest IPv4 address; others are looked up each time.
const TEXT_BYTES: usize = 15;

#[derive(Clone, Copy)]
struct Kept {
    text: [u8; TEXT_BYTES],
    /// 0 for nothing kept, since no address is empty.
    len: u8,
    found: Found,
}

impl Default for Recent {
    fn default() -> Self {
        Self(vec![Kept { text: [0; TEXT_BYTES], len: 0, found: Found::Nothing }; PLACES])
    }
}

impl Recent {
    pub(super) fn get(&self, text: &str) -> Option<Found> {
        let kept = self.0.get(place(text)?)?;
        (kept.text.get(..usize::from(kept.len)) == Some(text.as_bytes())).then_some(kept.found)
    }

    pub(super) fn put(&mut self, text: &str, found: Found) {
        if let Some(kept) = place(text).and_then(|place| self.0.get_mut(place)) {
            kept.text[..text.len()].copy_from_slice(text.as_bytes());
            kept.len = text.len() as u8;
            kept.found = found;
        }
    }
}

/// Where a text is kept, when it is one that is.
fn place(text: &str) -> Option<usize> {
    if text.is_empty() || text.len() > TEXT_BYTES {
        return None;
    }
    let digest = text
        .bytes()
        .fold(0_u32, |digest, byte| (digest ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    Some((digest ^ (digest >> 15)) as usize % PLACES)
}
