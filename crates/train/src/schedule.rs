//! The learning rate's course: linear warm-up, then half a cosine.

use crate::config::{Duration, Progress, ScheduleConfig};

/// Factor on the highest learning rate for the next step. The warm-up counts the step to be taken, so the first one
/// already moves; after it, with x the share of the rest that has passed,
/// `last + (1 - last) (1 + cos(pi x)) / 2` (LLM Foundry's cosine_with_warmup).
pub fn factor(schedule: &ScheduleConfig, whole: &Duration, now: &Progress, after: &Progress) -> f64 {
    let warm = schedule.warmup.fraction(after, whole);
    if warm < 1.0 {
        return warm;
    }
    let passed = whole.fraction(now, whole).min(1.0);
    // Where the warm-up ends, as a share of the whole run.
    let start = match (schedule.warmup.fraction(now, whole), passed) {
        (w, p) if w > 0.0 => (p / w).min(1.0),
        _ => 0.0,
    };
    let x = if start < 1.0 { ((passed - start) / (1.0 - start)).clamp(0.0, 1.0) } else { 1.0 };
    schedule.last + (1.0 - schedule.last) * (1.0 + (std::f64::consts::PI * x).cos()) / 2.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_rises_peaks_and_falls_to_the_last() {
        let whole = Duration::Batches(100);
        let at = |steps| Progress { steps, ..Progress::default() };
        for warmup in [Duration::Share(0.1), Duration::Batches(10)] {
            let schedule = ScheduleConfig { warmup, last: 0.1 };
            let f = |step: u64| factor(&schedule, &whole, &at(step), &at(step + 1));
            assert!((f(0) - 0.1).abs() < 1e-12);
            assert!((f(4) - 0.5).abs() < 1e-12);
            assert!((f(10) - 1.0).abs() < 1e-12);
            assert!((f(55) - 0.55).abs() < 1e-12);
            assert!(f(99) < 0.102 && f(99) > 0.1);
        }
        let none = ScheduleConfig { warmup: Duration::Batches(0), last: 0.0 };
        assert_eq!(factor(&none, &whole, &at(0), &at(1)), 1.0);
    }
}
