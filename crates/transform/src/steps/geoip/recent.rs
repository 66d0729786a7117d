//! What the last addresses came to, by their text: most lines of a log are of a client that was
//! there a moment ago, and neither reading the address nor walking the tree is needed again.

use super::Found;

/// One text for each value of a digest, the latest.
pub(super) struct Recent(Vec<Kept>);

const PLACES: usize = 4_096;

/// The texts that are kept: of IPv4 addresses, nearly all. Others are looked up each time.
const TEXT_BYTES: std::ops::RangeInclusive<usize> = 8..=16;

/// A text of such a length is its first eight bytes, its last eight, and its length.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Text {
    first: u64,
    last: u64,
    len: usize,
}

/// Nothing is kept under a text without a length.
#[derive(Clone, Copy)]
struct Kept {
    text: Text,
    found: Found,
}

impl Default for Recent {
    fn default() -> Self {
        Self(vec![Kept { text: Text::default(), found: Found::Nothing }; PLACES])
    }
}

impl Recent {
    pub(super) fn get(&self, text: &str) -> Option<Found> {
        let text = Text::of(text)?;
        let kept = self.0.get(text.place())?;
        (kept.text == text).then_some(kept.found)
    }

    pub(super) fn put(&mut self, text: &str, found: Found) {
        if let Some(text) = Text::of(text)
            && let Some(kept) = self.0.get_mut(text.place())
        {
            *kept = Kept { text, found };
        }
    }
}

impl Text {
    fn of(text: &str) -> Option<Self> {
        let (bytes, len) = (text.as_bytes(), text.len());
        let (first, last) = (bytes.first_chunk()?, bytes.last_chunk()?);
        let [first, last] = [first, last].map(|bytes| u64::from_le_bytes(*bytes));
        TEXT_BYTES.contains(&len).then_some(Self { first, last, len })
    }

    /// Where it is kept: the upper bits of a product, on which all of both numbers bear.
    fn place(self) -> usize {
        const ODD: u64 = 0x9e37_79b9_7f4a_7c15;
        let digest = (self.first.wrapping_mul(ODD) ^ self.last.rotate_left(29)).wrapping_mul(ODD);
        (digest >> (u64::BITS - PLACES.trailing_zeros())) as usize
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_text_leads_to_what_was_kept_for_it_or_to_nothing(
            texts in prop::collection::vec("[0-9.]{0,18}|192\\.0\\.2\\.[0-9]{1,3}", 1..200),
        ) {
            let mut recent = Recent::default();
            for (index, text) in texts.iter().enumerate() {
                let index = u32::try_from(index).unwrap();
                recent.put(text, Found::Entry(index));
                let kept = TEXT_BYTES.contains(&text.len()).then_some(Found::Entry(index));
                prop_assert_eq!(recent.get(text), kept);
            }
            for (index, text) in texts.iter().enumerate() {
                if let Some(Found::Entry(found)) = recent.get(text) {
                    prop_assert_eq!(&texts[found as usize], text);
                    prop_assert!(found as usize >= index || texts[index + 1..].contains(text));
                }
            }
        }
    }
}
