/// Shannon entropy of the bytes of a short text, in bits of a byte.
pub(super) fn bits(text: &[u8]) -> f64 {
    let mut counts = [0_u32; 256];
    for byte in text {
        counts[usize::from(*byte)] += 1;
    }
    let share = |count: u32| f64::from(count) / text.len() as f64;
    counts.iter().filter(|count| **count > 0).map(|count| -share(*count) * share(*count).log2()).sum()
}

#[cfg(test)]
mod tests {
    #[test]
    fn entropy_is_in_bits() {
        for (text, bits) in [("", 0.0), ("aaaa", 0.0), ("abab", 1.0), ("abcdefgh", 3.0)] {
            assert!((super::bits(text.as_bytes()) - bits).abs() < 1e-12, "{text}");
        }
    }
}
