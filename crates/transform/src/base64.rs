//! Base64 (RFC 4648, section 4, with padding), which all data comes and goes in.
//!
//! Records are a few hundred bytes long, so that what is done around the vectors counts as much as
//! they do: here there is no loop over single characters at the end, and no choice between
//! alphabets. Without AVX2 it is left to `base64-simd`; a test holds the two against each other.

use base64_simd::{STANDARD, STANDARD_NO_PAD};

/// Appends bytes as base64.
pub(crate) fn encode(bytes: &[u8], out: &mut Vec<u8>) {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx2") {
        #[expect(unsafe_code, reason = "AVX2 is taken for absent unless it is said")]
        // SAFETY: the processor has AVX2.
        return unsafe { avx2::encode(bytes, out) };
    }
    STANDARD.encode_append(bytes, out);
}

/// The length of so many bytes as base64.
pub(crate) const fn encoded_len(bytes: usize) -> usize {
    bytes.div_ceil(3) * 4
}

/// Puts the bytes of base64 in the place of what is in `out`; `false` when it is none.
#[must_use]
pub(crate) fn decode(base64: &[u8], out: &mut Vec<u8>) -> bool {
    out.clear();
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx2") {
        #[expect(unsafe_code, reason = "AVX2 is taken for absent unless it is said")]
        // SAFETY: the processor has AVX2.
        return unsafe { avx2::decode(base64, out) };
    }
    STANDARD.decode_append(base64, out).is_ok()
}

/// The same, with any number of signs of padding: an event that AWS publishes as a sample has one too
/// many.
#[must_use]
pub(crate) fn decode_leniently(base64: &[u8], out: &mut Vec<u8>) -> bool {
    if decode(base64, out) {
        return true;
    }
    let end = base64.iter().rposition(|byte| *byte != b'=').map_or(0, |last| last + 1);
    out.clear();
    STANDARD_NO_PAD.decode_append(&base64[..end], out).is_ok()
}

/// The method is of Wojciech Muła and Daniel Lemire, "Faster Base64 Encoding and Decoding Using
/// AVX2 Instructions" (2018).
#[cfg(target_arch = "x86_64")]
mod avx2 {
    use std::arch::x86_64::*;
    use std::hint::black_box;
    use std::mem::MaybeUninit;

    /// As many bytes are as many characters.
    const BYTES: usize = 24;
    const CHARACTERS: usize = 32;

    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

    #[target_feature(enable = "avx2")]
    #[expect(unsafe_code, reason = "what is written over is not filled with zeros before")]
    pub(super) fn encode(bytes: &[u8], out: &mut Vec<u8>) {
        out.reserve(super::encoded_len(bytes.len()));
        let (groups, rest) = bytes.split_at(bytes.len() / 3 * 3);
        let len = groups.len() / 3 * 4;
        let place = &mut out.spare_capacity_mut()[..len];
        let places = place.as_chunks_mut::<CHARACTERS>().0;
        let encoder = Encoder::new();
        for (block, place) in groups.as_chunks::<BYTES>().0.iter().zip(places) {
            store(encoder.characters(block), place);
        }
        match (groups.last_chunk(), place.last_chunk_mut()) {
            // The last block overlaps the one before it.
            (Some(block), Some(place)) => store(encoder.characters(block), place),
            _ => {
                let (mut block, mut filled) = ([0; BYTES], [MaybeUninit::uninit(); CHARACTERS]);
                block[..groups.len()].copy_from_slice(groups);
                store(encoder.characters(&block), &mut filled);
                place.copy_from_slice(&filled[..len]);
            }
        }
        let end = out.len() + len;
        // SAFETY: there is room for so many, and all of them were written.
        unsafe { out.set_len(end) };
        let six = |bits: u8| ALPHABET[usize::from(bits & 63)];
        match *rest {
            [a] => out.extend_from_slice(&[six(a >> 2), six(a << 4), b'=', b'=']),
            [a, b] => {
                out.extend_from_slice(&[six(a >> 2), six(a << 4 | b >> 4), six(b << 2), b'=']);
            }
            _ => {}
        }
    }

    #[target_feature(enable = "avx2")]
    #[expect(unsafe_code, reason = "what is written over is not filled with zeros before")]
    pub(super) fn decode(base64: &[u8], out: &mut Vec<u8>) -> bool {
        let len = base64.len() / 4 * 3;
        let padding = match base64 {
            [.., b'=', b'='] => 2,
            [.., b'='] => 1,
            [] => return true,
            _ => 0,
        };
        if !base64.len().is_multiple_of(4) {
            return false;
        }
        out.clear();
        out.reserve(len);
        let place = &mut out.spare_capacity_mut()[..len];
        let places = place.as_chunks_mut().0;
        let mut odd = _mm256_setzero_si256();
        // The last block has the padding, and overlaps the one before it.
        let blocks = base64[..base64.len() - 1].as_chunks::<CHARACTERS>().0;
        for (block, place) in blocks.iter().zip(places) {
            let (bytes, found) = bytes(load(block));
            odd = _mm256_or_si256(odd, found);
            store_bytes(bytes, place);
        }
        // `A` stands for no bits.
        let mut last = [b'A'; CHARACTERS];
        match (base64.last_chunk::<CHARACTERS>(), place.last_chunk_mut()) {
            (Some(block), Some(place)) => {
                last = *block;
                last[CHARACTERS - padding..].fill(b'A');
                let (bytes, found) = bytes(load(&last));
                odd = _mm256_or_si256(odd, found);
                store_bytes(bytes, place);
            }
            _ => {
                let characters = base64.len() - padding;
                last[..characters].copy_from_slice(&base64[..characters]);
                let (bytes, found) = bytes(load(&last));
                odd = _mm256_or_si256(odd, found);
                let mut filled = [MaybeUninit::uninit(); BYTES];
                store_bytes(bytes, &mut filled);
                place.copy_from_slice(&filled[..len]);
            }
        }
        // SAFETY: there is room for so many, and all of them were written.
        unsafe { out.set_len(len) };
        // Bits that belong to no byte are none.
        let none_left = out[len - padding..].iter().all(|byte| *byte == 0);
        out.truncate(len - padding);
        _mm256_testz_si256(odd, odd) == 1 && none_left
    }

    struct Encoder {
        /// What is multiplied by. The compiler must not know it: it takes products with powers of
        /// two apart into shifts, which differ from part to part and so are several each.
        shift: __m256i,
    }

    impl Encoder {
        #[target_feature(enable = "avx2")]
        fn new() -> Self {
            Self { shift: black_box(_mm256_set1_epi32(0x0100_0010)) }
        }

        #[target_feature(enable = "avx2")]
        fn characters(&self, block: &[u8; BYTES]) -> __m256i {
            // The second half has its bytes four places further on.
            let halves = (block.first_chunk(), block.last_chunk());
            let (Some(low), Some(high)) = halves else { return _mm256_setzero_si256() };
            let bytes = _mm256_set_m128i(load_half(high), load_half(low));
            // Each group of three bytes becomes four places of six bits.
            #[rustfmt::skip]
            let groups = _mm256_shuffle_epi8(bytes, _mm256_setr_epi8(
                1, 0, 2, 1, 4, 3, 5, 4, 7, 6, 8, 7, 10, 9, 11, 10,
                5, 4, 6, 5, 8, 7, 9, 8, 11, 10, 12, 11, 14, 13, 15, 14,
            ));
            let first = _mm256_and_si256(groups, _mm256_set1_epi32(0x0fc0_fc00));
            let first = _mm256_mulhrs_epi16(first, _mm256_set1_epi32(0x0200_0020));
            // The product is signed, and what its sign filled is not of it.
            let first = _mm256_and_si256(first, _mm256_set1_epi16(0x3f));
            let second = _mm256_and_si256(groups, _mm256_set1_epi32(0x003f_03f0));
            let second = _mm256_mullo_epi16(second, self.shift);
            let sixes = _mm256_or_si256(first, second);
            // What to add depends on the part of the alphabet: A-Z, a-z, the ten digits, + and /.
            let part = _mm256_subs_epu8(sixes, _mm256_set1_epi8(51));
            let part = _mm256_sub_epi8(part, _mm256_cmpgt_epi8(sixes, _mm256_set1_epi8(25)));
            let add = twice([65, 71, -4, -4, -4, -4, -4, -4, -4, -4, -4, -4, -19, -16, 0, 0]);
            _mm256_add_epi8(sixes, _mm256_shuffle_epi8(add, part))
        }
    }

    /// The bytes, of which the first 24 count, and bits where a character is none of base64.
    #[target_feature(enable = "avx2")]
    fn bytes(characters: __m256i) -> (__m256i, __m256i) {
        let nibble = _mm256_set1_epi8(0x2f);
        let high = _mm256_and_si256(_mm256_srli_epi32(characters, 4), nibble);
        let low = _mm256_and_si256(characters, nibble);
        // A character is one of base64 when what its halves exclude has nothing in common.
        let by_low = twice([
            0x15, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x13, 0x1a, 0x1b, 0x1b,
            0x1b, 0x1a,
        ]);
        let by_high = twice([
            0x10, 0x10, 0x01, 0x02, 0x04, 0x08, 0x04, 0x08, 0x10, 0x10, 0x10, 0x10, 0x10, 0x10,
            0x10, 0x10,
        ]);
        let by_low = _mm256_shuffle_epi8(by_low, low);
        let odd = _mm256_and_si256(by_low, _mm256_shuffle_epi8(by_high, high));
        // What to add depends on the high half, and for / on the whole.
        let slash = _mm256_cmpeq_epi8(characters, nibble);
        let add = twice([0, 16, 19, 4, -65, -65, -71, -71, 0, 0, 0, 0, 0, 0, 0, 0]);
        let add = _mm256_shuffle_epi8(add, _mm256_add_epi8(slash, high));
        let sixes = _mm256_add_epi8(characters, add);
        let twelves = _mm256_maddubs_epi16(sixes, _mm256_set1_epi32(0x0140_0140));
        let groups = _mm256_madd_epi16(twelves, _mm256_set1_epi32(0x0001_1000));
        let order = twice([2, 1, 0, 6, 5, 4, 10, 9, 8, 14, 13, 12, -1, -1, -1, -1]);
        let groups = _mm256_shuffle_epi8(groups, order);
        let together = _mm256_setr_epi32(0, 1, 2, 4, 5, 6, 3, 7);
        (_mm256_permutevar8x32_epi32(groups, together), odd)
    }

    #[target_feature(enable = "avx2")]
    fn twice(b: [i8; 16]) -> __m256i {
        _mm256_broadcastsi128_si256(_mm_setr_epi8(
            b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12], b[13],
            b[14], b[15],
        ))
    }

    #[target_feature(enable = "avx2")]
    #[expect(unsafe_code, reason = "vectors are loaded through pointers")]
    fn load(block: &[u8; CHARACTERS]) -> __m256i {
        // SAFETY: there are as many bytes as are read, and they may lie anywhere.
        unsafe { _mm256_loadu_si256(block.as_ptr().cast()) }
    }

    #[target_feature(enable = "avx2")]
    #[expect(unsafe_code, reason = "vectors are loaded through pointers")]
    fn load_half(block: &[u8; CHARACTERS / 2]) -> __m128i {
        // SAFETY: there are as many bytes as are read, and they may lie anywhere.
        unsafe { _mm_loadu_si128(block.as_ptr().cast()) }
    }

    #[target_feature(enable = "avx2")]
    #[expect(unsafe_code, reason = "vectors are stored through pointers")]
    fn store_bytes(vector: __m256i, place: &mut [MaybeUninit<u8>; BYTES]) {
        let (low, high) = (_mm256_castsi256_si128(vector), _mm256_extracti128_si256(vector, 1));
        let (first, rest) = place.split_at_mut(CHARACTERS / 2);
        // SAFETY: there are as many bytes as are written, 16 and 8, and they may lie anywhere.
        unsafe {
            _mm_storeu_si128(first.as_mut_ptr().cast(), low);
            _mm_storel_epi64(rest.as_mut_ptr().cast(), high);
        }
    }

    #[target_feature(enable = "avx2")]
    #[expect(unsafe_code, reason = "vectors are stored through pointers")]
    fn store(vector: __m256i, place: &mut [MaybeUninit<u8>; CHARACTERS]) {
        // SAFETY: there are as many bytes as are written, and they may lie anywhere.
        unsafe { _mm256_storeu_si256(place.as_mut_ptr().cast(), vector) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn decoded(base64: &[u8]) -> Option<Vec<u8>> {
        let mut out = b"what was there".to_vec();
        decode(base64, &mut out).then_some(out)
    }

    #[test]
    fn what_is_no_base64_is_refused() {
        let cases: &[(&str, Option<&str>)] = &[
            ("", Some("")),
            ("QQ==", Some("A")),
            ("QUI=", Some("AB")),
            ("QUJD", Some("ABC")),
            ("QQ", None),
            ("QQ=", None),
            ("Q===", None),
            ("====", None),
            ("=", None),
            // Bits of no byte.
            ("QR==", None),
            ("QUJ=", None),
            ("QQ==QQ==", None),
            ("QQ= ", None),
            ("Q-_=", None),
        ];
        for (base64, expected) in cases {
            assert_eq!(decoded(base64.as_bytes()).as_deref(), expected.map(str::as_bytes));
        }
    }

    #[test]
    fn padding_may_be_wrong() {
        let mut out = Vec::new();
        for base64 in ["QQ==", "QQ=", "QQ", "QQ==="] {
            assert!(decode_leniently(base64.as_bytes(), &mut out), "{base64}");
            assert_eq!(out, b"A", "{base64}");
        }
        for base64 in ["Q", "Q=", "QR==", "=QQ="] {
            assert!(!decode_leniently(base64.as_bytes(), &mut out), "{base64}");
        }
    }

    proptest! {
        #[test]
        fn another_implementation_agrees(
            bytes in prop::collection::vec(any::<u8>(), 0..200),
            damage in prop::option::of((any::<prop::sample::Index>(), any::<u8>())),
            cut in 0_usize..4,
        ) {
            let mut base64 = b"before".to_vec();
            encode(&bytes, &mut base64);
            let own = base64.split_off(b"before".len());
            prop_assert_eq!(base64, b"before");
            let theirs = STANDARD.encode_to_string(&bytes).into_bytes();
            prop_assert_eq!(&own, &theirs);
            prop_assert_eq!(own.len(), encoded_len(bytes.len()));
            prop_assert_eq!(decoded(&own), Some(bytes));
            let mut odd = own;
            if let (Some((place, byte)), false) = (damage, odd.is_empty()) {
                let place = place.index(odd.len());
                odd[place] = byte;
            }
            odd.truncate(odd.len().saturating_sub(cut));
            prop_assert_eq!(decoded(&odd), STANDARD.decode_to_vec(&odd).ok());
        }
    }
}
