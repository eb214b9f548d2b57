//! What needs no neural network: how far zstd and an order-3 byte model compress the same text.

use std::collections::HashMap;

/// Bits a byte of texts that zstd compresses as one stream at level 19 with a window over all of it: as kind to zstd as
/// can be.
pub fn zstd_bits_per_byte<'a>(texts: impl IntoIterator<Item = &'a str>) -> std::io::Result<f64> {
    let mut encoder = zstd::Encoder::new(Counter(0), 19)?;
    encoder.long_distance_matching(true)?;
    encoder.window_log(27)?;
    let mut bytes = 0usize;
    for text in texts {
        std::io::Write::write_all(&mut encoder, text.as_bytes())?;
        bytes += text.len();
    }
    let written = encoder.finish()?.0;
    Ok(8.0 * written as f64 / bytes.max(1) as f64)
}

/// Counts what is written to it.
struct Counter(usize);

impl std::io::Write for Counter {
    fn write(&mut self, buffer: &[u8]) -> std::io::Result<usize> {
        self.0 += buffer.len();
        Ok(buffer.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Bytes that the model looks back.
const ORDER: usize = 3;

/// Counts of bytes after every context of 0 to 3 bytes, blended from the longest context down by Witten and Bell's rule
/// (IEEE Transactions on Information Theory 37, 1991): a context seen C times with T different followers gives
/// `(count + T shorter) / (C + T)`, and below the empty context all bytes are alike.
#[derive(Debug, Default)]
pub struct ByteModel {
    /// By length of the context.
    contexts: [HashMap<u32, Seen>; ORDER + 1],
    /// By length, context and follower.
    followers: [HashMap<(u32, u8), u32>; ORDER + 1],
}

#[derive(Debug, Default)]
struct Seen {
    times: u32,
    different: u32,
}

/// The last `length` bytes before position `at`, as a number.
fn context(text: &[u8], at: usize, length: usize) -> u32 {
    text[at - length..at].iter().fold(0, |c, b| c << 8 | u32::from(*b))
}

impl ByteModel {
    /// Counts a document; contexts do not reach back over its beginning.
    pub fn learn(&mut self, text: &str) {
        let text = text.as_bytes();
        for (at, byte) in text.iter().enumerate() {
            for length in 0..=ORDER.min(at) {
                let c = context(text, at, length);
                let count = self.followers[length].entry((c, *byte)).or_default();
                let seen = self.contexts[length].entry(c).or_default();
                *count += 1;
                seen.times += 1;
                seen.different += u32::from(*count == 1);
            }
        }
    }

    /// Bits that a document takes.
    pub fn bits(&self, text: &str) -> f64 {
        let text = text.as_bytes();
        let probability = |at: usize, byte: u8| -> f64 {
            (0..=ORDER.min(at)).fold(1.0 / 256.0, |shorter, length| {
                let c = context(text, at, length);
                let Some(seen) = self.contexts[length].get(&c) else { return shorter };
                let count = self.followers[length].get(&(c, byte)).copied().unwrap_or(0);
                let (times, different) = (f64::from(seen.times), f64::from(seen.different));
                (f64::from(count) + different * shorter) / (times + different)
            })
        };
        text.iter().enumerate().map(|(at, byte)| -probability(at, *byte).log2()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_byte_model_is_a_distribution_and_learns() {
        let mut model = ByteModel::default();
        assert_eq!(model.bits("abcd"), 32.0, "all bytes are alike at first");
        let text = "fn main() { println!(\"hello\"); }\n".repeat(20);
        model.learn(&text);
        assert!(model.bits(&text) / (text.len() as f64) < 1.0);
        let total: f64 =
            (0..=127u8).map(|b| 2f64.powf(-model.bits(&format!("fn {}", b as char)) + model.bits("fn "))).sum();
        assert!(total < 1.0 + 1e-9 && total > 0.9, "{total}: ASCII alone, the rest goes to other bytes");
    }

    #[test]
    fn zstd_pays_for_what_is_new_only() {
        let text = "some words that repeat ".repeat(500);
        let repeated = zstd_bits_per_byte([text.as_str()]).unwrap();
        assert!(repeated < 0.1, "{repeated}");
        let mut state = 1u64;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            char::from(33 + ((state >> 33) % 90) as u8)
        };
        let noise: String = (0..5000).map(|_| next()).collect();
        assert!(zstd_bits_per_byte([noise.as_str()]).unwrap() > 5.0);
    }
}
