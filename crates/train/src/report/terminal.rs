//! Curves and loads in one line of a terminal.

const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// A curve as at most `width` blocks, each the mean of its part of the values; the lowest is `▁`, the highest `█`, and
/// a part without a number a space. Values that are all the same lie in the middle.
#[must_use]
pub fn sparkline(values: &[f64], width: usize) -> String {
    let width = width.min(values.len());
    let means: Vec<f64> =
        (0..width).map(|at| mean(&values[at * values.len() / width..(at + 1) * values.len() / width])).collect();
    let finite = || means.iter().copied().filter(|mean| mean.is_finite());
    let (low, high) = (finite().fold(f64::INFINITY, f64::min), finite().fold(f64::NEG_INFINITY, f64::max));
    let block = |mean: f64| match mean {
        mean if !mean.is_finite() => ' ',
        _ if high <= low => BLOCKS[3],
        mean => BLOCKS[((mean - low) / (high - low) * 7.0).round() as usize],
    };
    means.iter().map(|mean| block(*mean)).collect()
}

fn mean(values: &[f64]) -> f64 {
    let finite = || values.iter().filter(|value| value.is_finite());
    finite().sum::<f64>() / finite().count() as f64
}

/// The load of a layer's experts, one block each: `▄` is perfect balance, `█` twice that or more, and a space an
/// expert that got (almost) nothing. Shares add up to 1.
#[must_use]
pub fn load_strip(shares: &[f64]) -> String {
    let block = |share: &f64| match (share * shares.len() as f64 * 4.0).round() {
        level if level >= 1.0 => BLOCKS[(level as usize).min(8) - 1],
        _ => ' ',
    };
    shares.iter().map(block).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sparkline_shows_means_gaps_and_constants() {
        for (values, width, expected) in [
            (vec![0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0], 8, "▁▂▃▄▅▆▇█"),
            (vec![0.0, 2.0, 7.0, 9.0], 2, "▁█"),
            (vec![1.0, f64::NAN, 3.0], 3, "▁ █"),
            (vec![f64::INFINITY, f64::NAN], 2, "  "),
            (vec![2.0, 2.0], 9, "▄▄"),
            (vec![], 10, ""),
            (vec![1.0], 0, ""),
        ] {
            assert_eq!(sparkline(&values, width), expected, "{values:?} in {width}");
        }
        let many: Vec<f64> = (0..1001).map(f64::from).collect();
        assert_eq!(sparkline(&many, 40).chars().count(), 40);
    }

    #[test]
    fn a_load_strip_has_balance_in_the_middle() {
        assert_eq!(load_strip(&[0.25; 4]), "▄▄▄▄");
        assert_eq!(load_strip(&[0.0, 0.9, 0.1, 0.0]), " █▂ ");
        assert_eq!(load_strip(&[f64::NAN, 0.5]), " ▄");
        assert_eq!(load_strip(&[]), "");
    }
}
