//! Curves: many thousands of points brought down to what a plot can show.

/// A step and a value, which may be no number.
pub(super) type Point = (f64, f64);

/// The curve with at most two points for each of so many columns of equal width: the lowest and the highest, in the
/// order in which they came, so that no spike is lost. A column without a number becomes a gap, a NaN.
pub(super) fn extremes(points: &[Point], columns: usize) -> Vec<Point> {
    if points.len() <= columns * 2 {
        return points.to_vec();
    }
    let (first, last) = (points[0].0, points[points.len() - 1].0);
    let width = ((last - first) / columns as f64).max(f64::MIN_POSITIVE);
    let column_of = |point: &Point| (((point.0 - first) / width) as usize).min(columns - 1);
    let mut thin = Vec::with_capacity(columns * 2);
    for column in points.chunk_by(|a, b| column_of(a) == column_of(b)) {
        let numbers = || column.iter().enumerate().filter(|(_, point)| point.1.is_finite());
        let by_value = |a: &(usize, &Point), b: &(usize, &Point)| a.1.1.total_cmp(&b.1.1);
        let (Some(low), Some(high)) = (numbers().min_by(by_value), numbers().max_by(by_value)) else {
            thin.push((column[0].0, f64::NAN));
            continue;
        };
        let (earlier, later) = if low.0 <= high.0 { (low, high) } else { (high, low) };
        thin.push(*earlier.1);
        if earlier.0 != later.0 {
            thin.push(*later.1);
        }
    }
    thin
}

/// The trend at so many places: Tukey's running medians of five, which drop lone spikes, and through them straight
/// lines fitted around each place (Cleveland's LOESS, tricube weights over the nearest points), which neither lag behind
/// a falling curve nor bend at its ends. The reach grows with the step up to a twenty-fifth of the curve, since a loss
/// falls fast at first and slowly later. What is no number is left out.
pub(super) fn trend(points: &[Point], places: usize) -> Vec<Point> {
    let points: Vec<Point> = points.iter().copied().filter(|point| point.1.is_finite()).collect();
    if points.len() < 8 {
        return points;
    }
    let points = medians(&points);
    let last = points.len() - 1;
    let places = places.clamp(2, points.len());
    let reach = |centre: usize| (centre / 6).clamp(3, (points.len() / 25).max(4));
    (0..places).map(|place| place * last / (places - 1)).map(|centre| fit(&points, centre, reach(centre))).collect()
}

/// Each value replaced by the median of those up to two places around it, as many on either side.
fn medians(points: &[Point]) -> Vec<Point> {
    let median = |at: usize| {
        let reach = at.min(points.len() - 1 - at).min(2);
        let mut near: Vec<f64> = points[at - reach..=at + reach].iter().map(|point| point.1).collect();
        near.sort_by(f64::total_cmp);
        (points[at].0, near[reach])
    };
    (0..points.len()).map(median).collect()
}

fn fit(points: &[Point], centre: usize, reach: usize) -> Point {
    let near = &points[centre.saturating_sub(reach)..(centre + reach + 1).min(points.len())];
    let x = points[centre].0;
    let farthest = near.iter().map(|point| (point.0 - x).abs()).fold(f64::MIN_POSITIVE, f64::max) * 1.000_001;
    let (mut w, mut wd, mut wdd, mut wy, mut wdy) = (0.0, 0.0, 0.0, 0.0, 0.0);
    for point in near {
        let distance = point.0 - x;
        let weight = (1.0 - (distance.abs() / farthest).powi(3)).powi(3);
        w += weight;
        wd += weight * distance;
        wdd += weight * distance * distance;
        wy += weight * point.1;
        wdy += weight * distance * point.1;
    }
    let spread = w * wdd - wd * wd;
    (x, if spread > 0.0 { (wdd * wy - wd * wdy) / spread } else { wy / w })
}

/// A value that so great a part of the numbers do not exceed.
pub(super) fn quantile(values: impl Iterator<Item = f64>, part: f64) -> Option<f64> {
    let mut values: Vec<f64> = values.filter(|value| value.is_finite()).collect();
    let last = values.len().checked_sub(1)?;
    let at = (last as f64 * part).round() as usize;
    Some(*values.select_nth_unstable_by(at, f64::total_cmp).1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thinning_keeps_every_extreme() {
        let mut points: Vec<Point> = (0..50_000).map(|x| (f64::from(x), f64::from(x % 7))).collect();
        points[12_345].1 = 900.0;
        points[12_346].1 = -900.0;
        points[40_000].1 = f64::NAN;
        let thin = extremes(&points, 300);
        assert!(thin.len() <= 600, "{}", thin.len());
        let (peak, dip) = (thin.iter().position(|p| p.1 == 900.0), thin.iter().position(|p| p.1 == -900.0));
        assert_eq!(peak.map(|at| at + 1), dip, "the peak came before the dip");
        assert!(thin.windows(2).all(|pair| pair[0].0 < pair[1].0));
        assert!(thin.iter().all(|point| point.1.is_finite()), "a column with numbers has no gap");
    }

    #[test]
    fn thinning_leaves_short_curves_and_gaps_as_they_are() {
        let short = [(1.0, 2.0), (2.0, 5.0), (3.0, 1.0)];
        assert_eq!(extremes(&short, 2), short);
        assert_eq!(extremes(&[], 2), []);
        let gap: Vec<Point> = (0..1000).map(|x| (f64::from(x), if x < 500 { f64::NAN } else { 1.0 })).collect();
        let thin = extremes(&gap, 10);
        assert_eq!(thin.iter().filter(|point| point.1.is_nan()).count(), 5);
    }

    #[test]
    fn a_trend_follows_a_line_to_its_ends_and_calms_noise() {
        let line: Vec<Point> = (0..1000).map(|x| (f64::from(x), 3.0 - 0.002 * f64::from(x))).collect();
        for (x, y) in trend(&line, 50) {
            assert!((y - (3.0 - 0.002 * x)).abs() < 1e-9, "{x}");
        }
        let noisy: Vec<Point> = (0..1000).map(|x| (f64::from(x), if x % 4 < 2 { 1.0 } else { 3.0 })).collect();
        let mut spiked = noisy.clone();
        spiked[500].1 = 1e6;
        assert!(trend(&spiked, 200).iter().all(|point| point.1 < 4.0));
        let smooth = trend(&noisy, 50);
        assert_eq!((smooth.len(), smooth[0].0, smooth[49].0), (50, 0.0, 999.0));
        assert!(smooth[10..45].iter().all(|point| (point.1 - 2.0).abs() < 0.2));
        let broken = [(1.0, 1.0), (2.0, f64::NAN), (3.0, 2.0)];
        assert_eq!(trend(&broken, 50), [(1.0, 1.0), (3.0, 2.0)]);
        let one_place = vec![(5.0, 1.0); 20];
        assert!(trend(&one_place, 5).iter().all(|point| point.1.is_finite()));
    }

    #[test]
    fn quantiles_pass_over_what_is_no_number() {
        let values = [5.0, f64::NAN, 1.0, 3.0, f64::INFINITY];
        for (part, expected) in [(0.0, 1.0), (0.5, 3.0), (1.0, 5.0)] {
            assert_eq!(quantile(values.into_iter(), part), Some(expected));
        }
        assert_eq!(quantile([f64::NAN].into_iter(), 0.5), None);
    }
}
