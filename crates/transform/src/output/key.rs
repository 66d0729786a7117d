//! The name of a field as the output writes it, and what follows it in one go.

use std::ptr;

/// Names of up to 26 bytes are copied at a fixed length, which is a move or two.
const KEY_BYTES: usize = 32;

/// What stands before a value.
#[derive(Debug)]
pub(crate) struct Key {
    /// The comma before it, its name, and the colon after it.
    whole: Box<[u8]>,
    /// The same with the quote after it, filled up; only where it fits.
    quoted: Option<[u8; KEY_BYTES]>,
}

impl Key {
    pub(crate) fn new(name: &str) -> Self {
        let mut whole = vec![b','];
        crate::json::string(&mut whole, name);
        whole.push(b':');
        let mut quoted = [b'"'; KEY_BYTES];
        let fits = quoted.get_mut(..=whole.len()).map(|quoted| {
            quoted[..whole.len()].copy_from_slice(&whole);
        });
        Self { quoted: fits.map(|()| quoted), whole: whole.into() }
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.whole
    }

    /// Appends a text in which nothing needs escaping.
    #[inline(always)]
    pub(crate) fn plain(&self, text: &str, out: &mut Vec<u8>) {
        let Some(quoted) = &self.quoted else {
            return [&*self.whole, b"\"", text.as_bytes(), b"\""].iter().for_each(|part| {
                out.extend_from_slice(part);
            });
        };
        let (key, text) = (self.whole.len() + 1, text.as_bytes());
        out.reserve(KEY_BYTES + text.len() + 1);
        #[expect(unsafe_code, reason = "room is made once, and not for each of the parts")]
        // SAFETY: the key's 32 bytes fit what was reserved, and so do the text and the quote, which
        // begin within the 32. What the length takes in was written.
        unsafe {
            let place = out.as_mut_ptr().add(out.len());
            ptr::copy_nonoverlapping(quoted.as_ptr(), place, KEY_BYTES);
            ptr::copy_nonoverlapping(text.as_ptr(), place.add(key), text.len());
            place.add(key + text.len()).write(b'"');
            out.set_len(out.len() + key + text.len() + 1);
        }
    }

    /// Appends the beginning of a short value, as long as it is said to be.
    #[inline(always)]
    pub(crate) fn short<const LEN: usize>(
        &self,
        (value, len): ([u8; LEN], usize),
        out: &mut Vec<u8>,
    ) {
        let (Some(quoted), true) = (&self.quoted, len <= LEN) else {
            out.extend_from_slice(&self.whole);
            return out.extend_from_slice(&value[..len]);
        };
        let key = self.whole.len();
        out.reserve(KEY_BYTES + LEN);
        #[expect(unsafe_code, reason = "room is made once, and not for each of the parts")]
        // SAFETY: the key's 32 bytes fit what was reserved, and so does the value, which begins
        // within the 32. What the length takes in was written.
        unsafe {
            let place = out.as_mut_ptr().add(out.len());
            ptr::copy_nonoverlapping(quoted.as_ptr(), place, KEY_BYTES);
            ptr::copy_nonoverlapping(value.as_ptr(), place.add(key), LEN);
            out.set_len(out.len() + key + len);
        }
    }
}
