//! The two questions put to every case: does a device agree with the reference, and is the reference's backward the
//! derivative of its forward?

use super::{Array, Case, Outcome, Stage};
use crate::dtype::Precision;
use crate::ops::Ops;
use crate::reference::Reference;
use std::fmt;

/// A case that did not hold.
#[derive(Clone, Debug)]
pub struct Failure {
    /// The case.
    pub case: String,
    /// The array that differs.
    pub array: &'static str,
    /// How.
    pub what: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}", self.case, self.array, self.what)
    }
}

/// `|a - b| / |b|` as vectors; NaN anywhere in `a` counts as infinitely wrong.
fn relative_error(a: &[f64], b: &[f64]) -> f64 {
    let norm = |x: &mut dyn Iterator<Item = f64>| x.map(|v| v * v).sum::<f64>().sqrt();
    let difference = norm(&mut a.iter().zip(b).map(|(a, b)| a - b));
    let error = difference / norm(&mut b.iter().copied()).max(1e-30);
    if difference == 0.0 {
        0.0
    } else if error.is_nan() {
        f64::INFINITY
    } else {
        error
    }
}

/// Runs a case on a device and on the reference, in one precision, and compares all outputs and gradients by their
/// relative error as vectors.
pub fn check_parity(case: &dyn Case, ops: &mut dyn Ops, precision: Precision, tolerance: f64) -> Vec<Failure> {
    let (inputs, cotangents) = (case.inputs(), case.cotangents());
    let expected = case.run(&mut Stage::new(&mut Reference::new(), precision), &inputs, &cotangents);
    let got = case.run(&mut Stage::new(ops, precision), &inputs, &cotangents);
    let all = |o: Outcome| -> Vec<Array> { o.outputs.into_iter().chain(o.gradients).collect() };
    let (expected, got) = (all(expected), all(got));
    assert_eq!(expected.len(), got.len());
    let failure = |e: &Array, g: &Array| {
        let error = relative_error(&g.values, &e.values);
        (error > tolerance).then(|| Failure {
            case: format!("{} in {:?}", case.name(), precision.compute),
            array: e.name,
            what: format!("relative error {error:.2e}, allowed {tolerance:.2e}"),
        })
    };
    expected.iter().zip(&got).filter_map(|(e, g)| failure(e, g)).collect()
}

/// Elements of each input that are moved; more would only repeat.
const PROBES: usize = 12;

/// Compares the reference's gradients in f64 with central differences.
pub fn check_gradients(case: &dyn Case) -> Vec<Failure> {
    let (inputs, cotangents) = (case.inputs(), case.cotangents());
    let run = |inputs: &[Array]| case.run(&mut Stage::new(&mut Reference::new(), Precision::F64), inputs, &cotangents);
    // Outputs are subtracted one by one before they are summed: the sum of many would drown the difference.
    let difference = |plus: &Outcome, minus: &Outcome| -> f64 {
        let of = |o: &Outcome, name| o.outputs.iter().find(|a| a.name == name).expect("named output").values.clone();
        let one = |c: &Array| -> f64 {
            let (p, m) = (of(plus, c.name), of(minus, c.name));
            assert_eq!(p.len(), c.values.len(), "{}: {}", case.name(), c.name);
            c.values.iter().zip(p.iter().zip(&m)).map(|(c, (p, m))| c * (p - m)).sum()
        };
        cotangents.iter().map(one).sum()
    };
    let mut failures = Vec::new();
    for gradient in run(&inputs).gradients {
        let which = inputs.iter().position(|i| i.name == gradient.name).expect("a gradient is of an input");
        let n = gradient.values.len();
        for probe in 0..PROBES.min(n) {
            let element = probe * n / PROBES.min(n);
            let step = 1e-5;
            let at = |sign: f64| {
                let mut moved = inputs.clone();
                moved[which].values[element] += sign * step;
                run(&moved)
            };
            let numeric = difference(&at(1.0), &at(-1.0)) / (2.0 * step);
            let analytic = gradient.values[element];
            let error = (numeric - analytic).abs() / (numeric.abs() + analytic.abs() + 1e-3);
            if error.is_nan() || error > 1e-6 {
                failures.push(Failure {
                    case: case.name(),
                    array: gradient.name,
                    what: format!("element {element}: backward says {analytic:.9}, differences say {numeric:.9}"),
                });
            }
        }
    }
    failures
}
