//! Rotary positions: the tables of cosines and sines.
//!
//! Frequencies and angles are rounded to f32 as transformers does, so that long contexts agree too.

use crate::config::Config;

/// Frequency of each of the C / 2 pairs of a head, after scaling.
pub fn frequencies(config: &Config) -> Vec<f32> {
    let width = config.head_dim as f64;
    (0..config.head_dim / 2)
        .map(|i| {
            let plain = config.rope_theta.powf(-2.0 * i as f64 / width);
            let Some(s) = config.rope_scaling else { return plain as f32 };
            let wavelength = 2.0 * std::f64::consts::PI / plain;
            let turns = s.original_max_position_embeddings as f64 / wavelength;
            let scaled = if turns > s.high_freq_factor {
                plain
            } else if turns < s.low_freq_factor {
                plain / s.factor
            } else {
                let smooth = (turns - s.low_freq_factor) / (s.high_freq_factor - s.low_freq_factor);
                (1.0 - smooth) * plain / s.factor + smooth * plain
            };
            scaled as f32
        })
        .collect()
}

/// Cosines and sines [S, C / 2] of the first `positions` positions.
pub fn tables(config: &Config, positions: usize) -> (Vec<f64>, Vec<f64>) {
    let frequencies = frequencies(config);
    let angles = (0..positions).flat_map(|p| frequencies.iter().map(move |f| f64::from(p as f32 * f)));
    angles.map(|a| (a.cos(), a.sin())).unzip()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::RopeScaling;

    #[test]
    fn llama3_scaling_leaves_fast_pairs_and_stretches_slow_ones() {
        let mut config = crate::presets::preset("tiny").unwrap();
        config.rope_theta = 500000.0;
        config.head_dim = 64;
        let plain = frequencies(&config);
        config.rope_scaling = Some(RopeScaling {
            factor: 8.0,
            low_freq_factor: 1.0,
            high_freq_factor: 4.0,
            original_max_position_embeddings: 32,
        });
        let scaled = frequencies(&config);
        assert_eq!(plain[0], scaled[0]); // 5.1 turns in 32 positions: fast
        assert_eq!(plain[31] / 8.0, scaled[31]);
        assert!(scaled[1] < plain[1] && scaled[1] > plain[1] / 8.0); // 3.4 turns: between
    }
}
