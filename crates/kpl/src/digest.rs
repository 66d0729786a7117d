//! MD5 of several messages at once (RFC 1321): one step of the algorithm waits for the one before
//! it, but eight messages do not wait for each other, and vectors take eight words in a step.

use alloc::vec::Vec;

#[cfg(target_arch = "x86_64")]
cpufeatures::new!(avx2, "avx2");

/// The digest of a message.
pub(crate) type Digest = [u8; 16];

/// Messages in step: one vector with AVX2, two without.
const LANES: usize = 8;

/// With fewer messages than this, each alone is quicker.
const LANES_LEAST: usize = 3;

const BLOCK: usize = 64;

/// "The MD5 Message-Digest Algorithm", section 3.3.
const BEGIN: [u32; 4] = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476];

/// Section 3.4: how far each step of a round rotates, over and over.
const ROTATE: [[u32; 4]; 4] = [[7, 12, 17, 22], [5, 9, 14, 20], [4, 11, 16, 23], [6, 10, 15, 21]];

/// Section 3.4: for step `i`, counted from 1, the whole part of 2^32 · |sin(i)|.
#[rustfmt::skip]
const SINES: [u32; 64] = [
    0xd76a_a478, 0xe8c7_b756, 0x2420_70db, 0xc1bd_ceee, 0xf57c_0faf, 0x4787_c62a, 0xa830_4613, 0xfd46_9501,
    0x6980_98d8, 0x8b44_f7af, 0xffff_5bb1, 0x895c_d7be, 0x6b90_1122, 0xfd98_7193, 0xa679_438e, 0x49b4_0821,
    0xf61e_2562, 0xc040_b340, 0x265e_5a51, 0xe9b6_c7aa, 0xd62f_105d, 0x0244_1453, 0xd8a1_e681, 0xe7d3_fbc8,
    0x21e1_cde6, 0xc337_07d6, 0xf4d5_0d87, 0x455a_14ed, 0xa9e3_e905, 0xfcef_a3f8, 0x676f_02d9, 0x8d2a_4c8a,
    0xfffa_3942, 0x8771_f681, 0x6d9d_6122, 0xfde5_380c, 0xa4be_ea44, 0x4bde_cfa9, 0xf6bb_4b60, 0xbebf_bc70,
    0x289b_7ec6, 0xeaa1_27fa, 0xd4ef_3085, 0x0488_1d05, 0xd9d4_d039, 0xe6db_99e5, 0x1fa2_7cf8, 0xc4ac_5665,
    0xf429_2244, 0x432a_ff97, 0xab94_23a7, 0xfc93_a039, 0x655b_59c3, 0x8f0c_cc92, 0xffef_f47d, 0x8584_5dd1,
    0x6fa8_7e4f, 0xfe2c_e6e0, 0xa301_4314, 0x4e08_11a1, 0xf753_7e82, 0xbd3a_f235, 0x2ad7_d2bb, 0xeb86_d391,
];

/// The digests of messages, in their order.
pub(crate) fn digests(messages: &[&[u8]]) -> Vec<Digest> {
    digests_by(messages, widest())
}

/// Works so many blocks of each lane into its state.
type InStep = fn(&mut [Lane<'_>], usize);

/// The quickest way on this processor, of which nothing is known when this is compiled.
fn widest() -> InStep {
    #[cfg(target_arch = "x86_64")]
    if avx2::get() {
        return |lanes, count| {
            #[expect(unsafe_code, reason = "the processor was asked")]
            // SAFETY: it has AVX2.
            unsafe {
                with_avx2(lanes, count);
            }
        };
    }
    in_step::<LANES>
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn with_avx2(lanes: &mut [Lane<'_>], count: usize) {
    in_step::<LANES>(lanes, count);
}

fn digests_by(messages: &[&[u8]], in_step_all: InStep) -> Vec<Digest> {
    let mut found = alloc::vec![Digest::default(); messages.len()];
    let mut waiting = messages.iter().enumerate();
    let mut lanes: Vec<_> = waiting.by_ref().take(LANES).map(Lane::new).collect();
    while let Some(count) = lanes.iter().map(|lane| lane.blocks().len()).min() {
        if lanes.len() < LANES_LEAST {
            lanes.iter_mut().for_each(|lane| in_step::<1>(core::slice::from_mut(lane), count));
        } else {
            in_step_all(&mut lanes, count);
        }
        for lane in &mut lanes {
            lane.advance(count);
            if lane.blocks().is_empty() {
                if let Some(digest) = found.get_mut(lane.place) {
                    *digest = lane.digest();
                }
                if let Some(next) = waiting.next() {
                    *lane = Lane::new(next);
                }
            }
        }
        lanes.retain(|lane| !lane.blocks().is_empty());
    }
    found
}

/// A message on its way.
struct Lane<'m> {
    place: usize,
    state: [u32; 4],
    /// Whole blocks of the message that are left.
    whole: &'m [[u8; BLOCK]],
    /// What follows them: the rest of the message, and its length.
    end: [[u8; BLOCK]; 2],
    /// The blocks of it that are left.
    end_from: usize,
    end_to: usize,
}

impl<'m> Lane<'m> {
    fn new((place, message): (usize, &&'m [u8])) -> Self {
        let (whole, rest) = message.as_chunks();
        let mut end = [[0; BLOCK]; 2];
        let bytes = end.as_flattened_mut();
        let (tail, padding) = bytes.split_at_mut(rest.len());
        tail.copy_from_slice(rest);
        padding[0] = 0x80;
        let end_to = if rest.len() + 1 + 8 <= BLOCK { 1 } else { 2 };
        let bits = (message.len() as u64).wrapping_mul(8);
        bytes[end_to * BLOCK - 8..end_to * BLOCK].copy_from_slice(&bits.to_le_bytes());
        Self { place, state: BEGIN, whole, end, end_from: 0, end_to }
    }

    /// Blocks that lie together; none when the digest is ready.
    fn blocks(&self) -> &[[u8; BLOCK]] {
        if self.whole.is_empty() { &self.end[self.end_from..self.end_to] } else { self.whole }
    }

    fn advance(&mut self, count: usize) {
        if self.whole.is_empty() {
            self.end_from += count;
        } else {
            self.whole = &self.whole[count..];
        }
    }

    fn digest(&self) -> Digest {
        let mut digest = Digest::default();
        for (bytes, word) in digest.as_chunks_mut().0.iter_mut().zip(self.state) {
            *bytes = word.to_le_bytes();
        }
        digest
    }
}

/// Where there are fewer lanes than `L`, the last is worked on several times.
#[inline(always)]
fn in_step<const L: usize>(lanes: &mut [Lane<'_>], count: usize) {
    let Some(last) = lanes.len().checked_sub(1) else { return };
    let mut state = [[0; L]; 4];
    let mut blocks: [&[[u8; BLOCK]]; L] = [&[]; L];
    for (at, blocks) in blocks.iter_mut().enumerate() {
        let lane = &lanes[at.min(last)];
        *blocks = &lane.blocks()[..count];
        for (words, word) in state.iter_mut().zip(lane.state) {
            words[at] = word;
        }
    }
    for at in 0..count {
        let mut words = [[0; L]; 16];
        for (lane, blocks) in blocks.iter().enumerate() {
            for (words, bytes) in words.iter_mut().zip(blocks[at].as_chunks().0) {
                words[lane] = u32::from_le_bytes(*bytes);
            }
        }
        compress(&mut state, &words);
    }
    for (at, lane) in lanes.iter_mut().enumerate().take(L) {
        lane.state = state.map(|words| words[at]);
    }
}

/// Section 3.4, one block of each lane.
///
/// The body of the loop is written for one lane, and so long that the compiler does not unroll it: it
/// makes vectors of the lanes instead.
#[inline(always)]
fn compress<const L: usize>(state: &mut [[u32; L]; 4], words: &[[u32; L]; 16]) {
    let [first, second, third, fourth] = state;
    for lane in 0..L {
        let now = [first[lane], second[lane], third[lane], fourth[lane]];
        let word = |at: usize| words[at % 16][lane];
        let [a, b, c, d] = now;
        let now = round::<0>(now, word, |b, c, d| d ^ (b & (c ^ d)));
        let now = round::<1>(now, |step| word(5 * step + 1), |b, c, d| c ^ (d & (b ^ c)));
        let now = round::<2>(now, |step| word(3 * step + 5), |b, c, d| b ^ c ^ d);
        let now = round::<3>(now, |step| word(7 * step), |b, c, d| c ^ (b | !d));
        first[lane] = a.wrapping_add(now[0]);
        second[lane] = b.wrapping_add(now[1]);
        third[lane] = c.wrapping_add(now[2]);
        fourth[lane] = d.wrapping_add(now[3]);
    }
}

/// Sixteen steps: which word each takes, and what it makes of three quarters of the state.
#[inline(always)]
fn round<const NUMBER: usize>(
    state: [u32; 4],
    word: impl Fn(usize) -> u32,
    mix: impl Fn(u32, u32, u32) -> u32,
) -> [u32; 4] {
    let state = four_steps::<NUMBER, 0>(state, &word, &mix);
    let state = four_steps::<NUMBER, 4>(state, &word, &mix);
    let state = four_steps::<NUMBER, 8>(state, &word, &mix);
    four_steps::<NUMBER, 12>(state, &word, &mix)
}

#[inline(always)]
fn four_steps<const NUMBER: usize, const FROM: usize>(
    [a, b, c, d]: [u32; 4],
    word: &impl Fn(usize) -> u32,
    mix: &impl Fn(u32, u32, u32) -> u32,
) -> [u32; 4] {
    let one = |a: u32, b: u32, c: u32, d: u32, step: usize| {
        let sum = a.wrapping_add(mix(b, c, d)).wrapping_add(word(FROM + step));
        let sum = sum.wrapping_add(SINES[16 * NUMBER + FROM + step]);
        sum.rotate_left(ROTATE[NUMBER][step]).wrapping_add(b)
    };
    let a = one(a, b, c, d, 0);
    let d = one(d, a, b, c, 1);
    let c = one(c, d, a, b, 2);
    let b = one(b, c, d, a, 3);
    [a, b, c, d]
}

#[cfg(test)]
mod tests {
    use md5::{Digest as _, Md5};
    use proptest::prelude::*;

    use super::*;

    /// Both ways, against another implementation.
    fn check(messages: &[&[u8]]) {
        let expected: Vec<Digest> = messages.iter().map(|m| Md5::digest(m).into()).collect();
        assert_eq!(digests(messages), expected);
        assert_eq!(digests_by(messages, in_step::<LANES>), expected);
    }

    #[test]
    fn digests_are_those_of_the_standard() {
        // RFC 1321, appendix A.5.
        let cases: [(&[u8], u128); 3] = [
            (b"", 0xd41d_8cd9_8f00_b204_e980_0998_ecf8_427e),
            (b"abc", 0x9001_5098_3cd2_4fb0_d696_3f7d_28e1_7f72),
            (b"message digest", 0xf96b_697d_7cb7_938d_525a_2f31_aaf1_61d0),
        ];
        let found = digests(&cases.map(|(message, _)| message)).into_iter();
        let found: Vec<_> = found.map(u128::from_be_bytes).collect();
        assert_eq!(found, cases.map(|(_, digest)| digest));
        assert_eq!(digests(&[]), Vec::<Digest>::new());
    }

    #[test]
    fn each_number_of_messages_and_each_rest_of_a_block() {
        let bytes: Vec<u8> = (0..=u8::MAX).cycle().take(300).collect();
        for length in 0..bytes.len() {
            check(&[&bytes[..length]]);
            check(&[&bytes[..length]; LANES_LEAST]);
        }
        for count in 0..3 * LANES {
            let messages: Vec<_> = (0..count).map(|at| &bytes[at..at + 11 * at]).collect();
            check(&messages);
        }
    }

    proptest! {
        #[test]
        fn messages_of_any_length_do_not_disturb_each_other(
            messages in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..400), 0..20),
        ) {
            check(&messages.iter().map(Vec::as_slice).collect::<Vec<_>>());
        }
    }
}
