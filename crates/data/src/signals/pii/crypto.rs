//! Addresses of Bitcoin (base58check and bech32, BIP 173 and 350) and of Ethereum.

use super::bounds::{at, before, is_word, run};
use sha2::{Digest, Sha256};

const BASE58: &[u8; 58] = b"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
const BECH32: &[u8; 32] = b"qpzry9x8gf2tvdw0s3jn54khce6mua7l";

/// The address that a run of digits is at the start of, or near it.
pub(super) fn find(bytes: &[u8], digit: usize) -> Option<(usize, usize)> {
    match bytes[digit] {
        b'0' if at(bytes, digit + 1) == b'x' => {
            let end = run(bytes, digit + 2, 41, |byte| byte.is_ascii_hexdigit());
            let whole = end - digit == 42 && !is_word(before(bytes, digit)) && !is_word(at(bytes, end));
            let varied = || bytes[digit + 2..end].iter().any(|byte| *byte != bytes[digit + 2]);
            (whole && varied()).then_some((digit, end))
        }
        b'1' if digit >= 2 && matches!(&bytes[digit - 2..digit], b"bc" | b"BC") => segwit(bytes, digit - 2),
        b'1' | b'3' if !is_word(before(bytes, digit)) => {
            let end = run(bytes, digit, 36, |byte| byte.is_ascii_alphanumeric());
            let whole = (26..=35).contains(&(end - digit)) && !is_word(at(bytes, end));
            (whole && base58_check(&bytes[digit..end])).then_some((digit, end))
        }
        _ => None,
    }
}

/// Whether the last four of 25 bytes are the first of the others' double SHA-256.
fn base58_check(text: &[u8]) -> bool {
    let mut number = [0_u8; 25];
    for byte in text {
        let Some(value) = BASE58.iter().position(|symbol| symbol == byte) else { return false };
        let mut carry = value as u32;
        for byte in number.iter_mut().rev() {
            carry += u32::from(*byte) * 58;
            (*byte, carry) = (carry as u8, carry >> 8);
        }
        if carry != 0 {
            return false;
        }
    }
    Sha256::digest(Sha256::digest(&number[..21]))[..4] == number[21..]
}

fn segwit(bytes: &[u8], start: usize) -> Option<(usize, usize)> {
    let end = run(bytes, start, 91, |byte| byte.is_ascii_alphanumeric());
    if is_word(before(bytes, start)) || is_word(at(bytes, end)) || !(14..=74).contains(&(end - start)) {
        return None;
    }
    // The checksum runs over "bc" spread out, then the data.
    let mut sum = [3, 3, 0, 2, 3].into_iter().fold(1, step);
    let upper = bytes[start].is_ascii_uppercase();
    for byte in &bytes[start + 3..end] {
        if upper && byte.is_ascii_lowercase() || !upper && byte.is_ascii_uppercase() {
            return None;
        }
        let value = BECH32.iter().position(|symbol| *symbol == byte.to_ascii_lowercase())?;
        sum = step(sum, value as u32);
    }
    matches!(sum, 1 | 0x2bc8_30a3).then_some((start, end))
}

/// One step of the BCH code of BIP 173.
fn step(sum: u32, value: u32) -> u32 {
    const GENERATOR: [u32; 5] = [0x3b6a_57b2, 0x2650_8e6d, 0x1ea1_19fa, 0x3d42_33dd, 0x2a14_62b3];
    let top = sum >> 25;
    let sum = (sum & 0x01ff_ffff) << 5 ^ value;
    GENERATOR.iter().enumerate().fold(sum, |sum, (bit, term)| if top >> bit & 1 == 1 { sum ^ term } else { sum })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_are_checked() {
        // The first block's address, and the examples of BIP 173 and BIP 350.
        for address in [
            "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa",
            "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4",
            "BC1QW508D6QEJXTDG4Y5R3ZARVARY0C5XW7KV8F3T4",
            "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqzk5jj0",
        ] {
            let digit = address.find('1').unwrap();
            assert_eq!(find(address.as_bytes(), digit), Some((0, address.len())), "{address}");
            let wrong = address.replace(['v', 'V'], if address.starts_with('B') { "W" } else { "w" });
            assert_eq!(find(wrong.as_bytes(), digit), None, "{wrong}");
        }
    }
}
