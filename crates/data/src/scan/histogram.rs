//! Histograms whose bins fit the values.

use serde::Serialize;

/// Bins of a histogram, at most.
const BINS: usize = 40;

/// The tail at either end that goes into the outermost bins, so that a few extreme values do not flatten the rest.
const TAIL: f64 = 0.005;

/// Counts of values in bins that follow each other.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Histogram {
    /// Whether the bins grow by a factor instead of an amount.
    pub logarithmic: bool,
    /// Where bins begin, and the last one ends: one more than there are counts. What lies outside is counted in the bin at
    /// that end.
    pub edges: Vec<f64>,
    /// Values in each bin.
    pub counts: Vec<u64>,
}

/// The value below which so great a part of sorted values lies; 0 of none.
pub(super) fn quantile(sorted: &[f64], part: f64) -> f64 {
    let last = sorted.len().saturating_sub(1);
    sorted.get((last as f64 * part).round() as usize).copied().unwrap_or(0.0)
}

impl Histogram {
    /// Of sorted values; `whole` says that they are whole numbers.
    pub(super) fn of(sorted: &[f64], whole: bool) -> Self {
        let (low, high) = (quantile(sorted, TAIL), quantile(sorted, 1.0 - TAIL));
        let positive = sorted.iter().copied().find(|value| *value > 0.0).unwrap_or(1.0).max(low);
        let logarithmic = low >= 0.0 && high > 50.0 * positive && high > 12.0 * quantile(sorted, 0.5);
        let edges = if whole && high - low < BINS as f64 {
            // A bin for each number.
            (0..=(high - low) as usize + 1).map(|step| low + step as f64 - 0.5).collect()
        } else if logarithmic {
            let factor = (high / positive).powf(1.0 / BINS as f64);
            (0..=BINS).map(|step| positive * factor.powi(step as i32)).collect()
        } else if high > low {
            (0..=BINS).map(|step| low + (high - low) * step as f64 / BINS as f64).collect()
        } else {
            vec![low, low]
        };
        let logarithmic = logarithmic && edges.len() == BINS + 1 && !(whole && high - low < BINS as f64);
        let mut histogram = Self { logarithmic, counts: vec![0; edges.len() - 1], edges };
        for value in sorted {
            let bin = histogram.edges.partition_point(|edge| edge <= value).saturating_sub(1);
            let last = histogram.counts.len() - 1;
            histogram.counts[bin.min(last)] += 1;
        }
        histogram
    }

    /// Where a value lies, in bins from the left; `None` where that is beyond the outermost.
    #[must_use]
    pub fn place(&self, value: f64) -> Option<f64> {
        let bin = self.edges.partition_point(|edge| *edge <= value).checked_sub(1)?;
        let (from, to) = (*self.edges.get(bin)?, *self.edges.get(bin + 1)?);
        let part = if self.logarithmic { (value / from).ln() / (to / from).ln() } else { (value - from) / (to - from) };
        Some(bin as f64 + part).filter(|place| place.is_finite())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_is_in_a_bin() {
        let cases: [(Vec<f64>, bool, bool, usize); 6] = [
            (vec![], false, false, 1),
            (vec![0.0; 10], false, false, 1),
            ((0..=8).map(f64::from).collect(), true, false, 9),
            ((0..1000).map(|n| f64::from(n) / 1000.0).collect(), false, false, BINS),
            ((0..1000).map(|n| (f64::from(n) / 100.0).exp()).collect(), true, true, BINS),
            ([vec![0.0; 900], (1..100).map(|n| f64::from(n * n)).collect()].concat(), true, true, BINS),
        ];
        for (values, whole, logarithmic, bins) in cases {
            let histogram = Histogram::of(&values, whole);
            assert_eq!(histogram.counts.iter().sum::<u64>(), values.len() as u64);
            assert_eq!((histogram.logarithmic, histogram.counts.len()), (logarithmic, bins), "{histogram:?}");
            assert_eq!(histogram.edges.len(), bins + 1);
        }
    }

    #[test]
    fn places_are_counted_in_bins() {
        let linear = Histogram { logarithmic: false, edges: vec![0.0, 1.0, 2.0], counts: vec![1, 1] };
        let growing = Histogram { logarithmic: true, edges: vec![1.0, 10.0, 100.0], counts: vec![1, 1] };
        for (histogram, value, place) in [
            (&linear, 0.5, Some(0.5)),
            (&linear, 1.0, Some(1.0)),
            (&linear, -0.1, None),
            (&linear, 2.0, None),
            (&growing, 10_f64.powf(1.5), Some(1.5)),
        ] {
            let found = histogram.place(value);
            assert!(found.zip(place).map_or(found == place, |(a, b)| (a - b).abs() < 1e-9), "{value}: {found:?}");
        }
    }
}
