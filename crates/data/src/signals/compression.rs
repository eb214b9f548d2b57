//! How well a text compresses: repeated text does too well, noise does not.

use zstd::bulk::Compressor;

/// Bytes looked at, from the start.
const PREFIX: usize = 1 << 16;

const LEVEL: i32 = 1;

/// What compression needs, kept between texts.
#[derive(Default)]
pub(super) struct Buffer {
    compressor: Option<Compressor<'static>>,
    output: Vec<u8>,
}

/// Bytes of text for each byte that zstd (level 1) makes of them. An empty text has 1.
pub(super) fn ratio(text: &str, buffer: &mut Buffer) -> f64 {
    let prefix = &text.as_bytes()[..text.len().min(PREFIX)];
    buffer.output.clear();
    buffer.output.reserve(zstd::zstd_safe::compress_bound(PREFIX));
    if buffer.compressor.is_none() {
        buffer.compressor = Compressor::new(LEVEL).ok();
    }
    let compressor = buffer.compressor.as_mut().filter(|_| !prefix.is_empty());
    // Into a buffer that is large enough, zstd compresses anything.
    let size = compressor.and_then(|compressor| compressor.compress_to_buffer(prefix, &mut buffer.output).ok());
    size.map_or(1.0, |size| prefix.len() as f64 / size as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repetition_compresses_and_noise_does_not() {
        let mut buffer = Buffer::default();
        assert_eq!(ratio("", &mut buffer), 1.0);
        assert!(ratio(&"again and ".repeat(1000), &mut buffer) > 50.0);
        let mut state = 1_u32;
        let mut noise = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            char::from(b'!' + (state >> 24) as u8 % 90)
        };
        let noise: String = (0..100_000).map(|_| noise()).collect();
        assert!(ratio(&noise, &mut buffer) < 1.3);
    }
}
