//! Figures with standard errors.

use serde::{Deserialize, Serialize};

/// A figure and how far chance in the choice of the rows or documents may have moved it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// The figure.
    pub value: f64,
    /// Its standard error; none where there is too little to tell (a single row or document).
    pub standard_error: Option<f64>,
}

impl Estimate {
    /// Mean of independent values: s / sqrt(n), s the sample deviation with n - 1.
    pub fn of_mean(values: &[f64]) -> Self {
        let n = values.len() as f64;
        let value = values.iter().sum::<f64>() / n;
        let squares: f64 = values.iter().map(|x| (x - value).powi(2)).sum();
        Estimate { value, standard_error: (values.len() > 1).then(|| (squares / (n - 1.0) / n).sqrt()) }
    }

    /// Unweighted mean of independent estimates: sqrt(sum of squared standard errors) / k. Without a standard error
    /// where one of them has none.
    pub fn of_average(parts: &[Estimate]) -> Self {
        let k = parts.len() as f64;
        let squares: Option<f64> = parts.iter().map(|p| p.standard_error.map(|e| e * e)).sum();
        Estimate {
            value: parts.iter().map(|p| p.value).sum::<f64>() / k,
            standard_error: squares.map(|s| s.sqrt() / k),
        }
    }

    /// Ratio of sums over clusters that were drawn whole, such as nats and bytes of documents: r = sum a / sum b, with
    /// sqrt(n / (n - 1) sum (a - r b)^2) / sum b (linearisation; Cochran, Sampling Techniques, 1977, chapter 6).
    pub fn of_ratio(pairs: &[(f64, f64)]) -> Self {
        let n = pairs.len() as f64;
        let over: f64 = pairs.iter().map(|p| p.1).sum();
        let value = pairs.iter().map(|p| p.0).sum::<f64>() / over;
        let squares: f64 = pairs.iter().map(|(a, b)| (a - value * b).powi(2)).sum();
        Estimate { value, standard_error: (pairs.len() > 1).then(|| (n / (n - 1.0) * squares).sqrt() / over) }
    }

    /// A linear change of the figure: `(value - shift) * factor`.
    pub(crate) fn rescaled(self, shift: f64, factor: f64) -> Self {
        Estimate { value: (self.value - shift) * factor, standard_error: self.standard_error.map(|e| e * factor.abs()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(found: Estimate, value: f64, error: f64) {
        assert!((found.value - value).abs() < 1e-12, "{found:?}, not {value}");
        assert!((found.standard_error.unwrap() - error).abs() < 1e-12, "{found:?}, not {error}");
    }

    #[test]
    fn standard_errors_are_those_of_the_formulas() {
        // A share p of n: sqrt(p (1 - p) / (n - 1)).
        close(Estimate::of_mean(&[1.0, 0.0, 0.0, 1.0, 1.0]), 0.6, (0.6 * 0.4 / 4.0f64).sqrt());
        close(Estimate::of_mean(&[2.0, 4.0, 6.0]), 4.0, (4.0 / 3.0f64).sqrt());
        close(Estimate::of_mean(&[1.0, 1.0]), 1.0, 0.0);
        let parts = [(0.5, 0.3), (0.7, 0.4)].map(|(value, e)| Estimate { value, standard_error: Some(e) });
        close(Estimate::of_average(&parts), 0.6, 0.25);
        // Residuals 1 - 1.5 = -0.5 and 5 - 4.5 = 0.5 over 4 in all, times sqrt(2).
        close(Estimate::of_ratio(&[(1.0, 1.0), (5.0, 3.0)]), 1.5, 1.0 / 4.0);
        // Clusters of equal size: the standard error of a mean.
        let same = [(3.0, 1.0), (5.0, 1.0), (10.0, 1.0)];
        let mean = Estimate::of_mean(&[3.0, 5.0, 10.0]);
        close(Estimate::of_ratio(&same), mean.value, mean.standard_error.unwrap());
        close(parts[0].rescaled(0.25, 4.0 / 3.0), 1.0 / 3.0, 0.4);
    }

    #[test]
    fn one_row_tells_nothing_of_chance() {
        assert_eq!(Estimate::of_mean(&[1.0]), Estimate { value: 1.0, standard_error: None });
        assert_eq!(Estimate::of_ratio(&[(3.0, 2.0)]), Estimate { value: 1.5, standard_error: None });
        let known = Estimate { value: 0.0, standard_error: Some(0.1) };
        assert_eq!(Estimate::of_average(&[known, Estimate::of_mean(&[1.0])]).standard_error, None);
    }
}
