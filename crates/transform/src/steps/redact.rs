//! Taking out of a field what must not be known further on.

use std::net::IpAddr;

use sha2::{Digest, Sha256};

use crate::record::Record;
use crate::value::Value;

/// What is left of a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum How {
    /// HMAC-SHA-256 with a key, in hex: equal values stay equal, and nobody without the key can
    /// guess them.
    Hash(Vec<u8>),
    /// `*` for every character but this many at the end.
    Mask(usize),
    /// The network of an address: 24 bits of IPv4, 48 of IPv6. Anything else goes.
    Truncate,
}

/// The step.
pub(crate) struct Redact {
    slot: usize,
    how: How,
    text: String,
}

impl Redact {
    pub(crate) fn new(slot: usize, how: How) -> Self {
        Self { slot, how, text: String::new() }
    }

    pub(crate) fn run<'r>(&'r mut self, record: &mut Record<'r>) {
        let Some(value) = record.values[self.slot].text() else { return };
        self.text.clear();
        match &self.how {
            How::Hash(key) => {
                for byte in hmac_sha256(key, value.as_bytes()) {
                    self.text.push_str(&format!("{byte:02x}"));
                }
            }
            How::Mask(keep) => {
                let hidden = value.chars().count().saturating_sub(*keep);
                self.text.extend(
                    value.chars().enumerate().map(|(at, c)| if at < hidden { '*' } else { c }),
                );
            }
            How::Truncate => match value.parse::<IpAddr>() {
                Ok(address) => self.text.push_str(&truncated(address).to_string()),
                Err(_) => {
                    record.values[self.slot] = Value::Null;
                    return;
                }
            },
        }
        record.values[self.slot] = Value::Text(&self.text);
    }
}

fn truncated(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(address) => IpAddr::V4((u32::from(address) & !0xff).into()),
        IpAddr::V6(address) => match address.to_ipv4_mapped() {
            Some(address) => truncated(IpAddr::V4(address)),
            None => IpAddr::V6((u128::from(address) >> 80 << 80).into()),
        },
    }
}

/// RFC 2104.
fn hmac_sha256(key: &[u8], message: &[u8]) -> [u8; 32] {
    let mut block = [0_u8; 64];
    if key.len() > block.len() {
        block[..32].copy_from_slice(&Sha256::digest(key));
    } else {
        block[..key.len()].copy_from_slice(key);
    }
    let inner = Sha256::new().chain_update(block.map(|byte| byte ^ 0x36)).chain_update(message);
    let outer = Sha256::new().chain_update(block.map(|byte| byte ^ 0x5c));
    outer.chain_update(inner.finalize()).finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn redact(how: How, value: &str) -> Option<String> {
        let mut step = Redact::new(0, how);
        let values = vec![Value::Text(value)];
        let mut record =
            Record { values, others: Vec::new(), at: None, geoip_error: false, written: None };
        step.run(&mut record);
        record.values[0].text().map(std::borrow::Cow::into_owned)
    }

    #[test]
    fn each_way_leaves_what_it_says() {
        let cases = [
            (How::Mask(4), "4111111111111111", Some("************1111")),
            (How::Mask(0), "né", Some("**")),
            (How::Mask(9), "short", Some("short")),
            (How::Truncate, "192.0.2.77", Some("192.0.2.0")),
            (How::Truncate, "2001:db8:1:2:3::4", Some("2001:db8:1::")),
            (How::Truncate, "::ffff:192.0.2.77", Some("192.0.2.0")),
            (How::Truncate, "host.example.com", None),
            // RFC 4231, test case 2.
            (
                How::Hash(b"Jefe".to_vec()),
                "what do ya want for nothing?",
                Some("5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"),
            ),
            // RFC 4231, test case 6: a key longer than a block.
            (
                How::Hash(vec![0xaa; 131]),
                "Test Using Larger Than Block-Size Key - Hash Key First",
                Some("60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"),
            ),
        ];
        for (how, value, expected) in cases {
            assert_eq!(redact(how.clone(), value).as_deref(), expected, "{how:?} of {value}");
        }
    }
}
