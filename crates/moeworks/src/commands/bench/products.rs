//! Products by themselves: large dense ones, and experts of few rows and many. Gradients of weights are what a step of
//! one batch keeps, in the format of the weights.

use super::measure::{Bench, median};
use crate::show::table;
use moeworks_ops::cases::Stage;
use moeworks_ops::{Dispatch, MatrixKind};
use serde::Serialize;
use std::time::Instant;

/// A product and how fast it goes.
#[derive(Serialize)]
pub struct Product {
    /// What it is, with its sizes.
    product: String,
    /// Median seconds of one.
    seconds: f64,
    /// Operations a second, a multiply-add as two.
    flops: f64,
    /// Of the ceiling of its number format.
    share_of_peak: f64,
}

/// Sizes of square matrices.
const SQUARES: [usize; 3] = [1024, 2048, 4096];
/// Rows of each expert.
const ROWS: [usize; 3] = [64, 256, 1024];
/// Experts, those of a token, width and experts' width: DBRX's ratios.
const EXPERTS: usize = 16;
const TOP: usize = 4;
const D: usize = 1024;
const F: usize = 1792;

/// Measures all of them, each so many times after one that does not count.
pub fn measure(bench: &mut Bench, times: usize) -> Vec<Product> {
    let (peak, precision) = (bench.peak(), bench.precision);
    let mut all = Vec::new();
    let mut add = |product: String, flops: f64, run: &mut dyn FnMut()| {
        run();
        let seconds: Vec<f64> = (0..times)
            .map(|_| {
                let began = Instant::now();
                run();
                began.elapsed().as_secs_f64()
            })
            .collect();
        let seconds = median(&seconds);
        all.push(Product { product, seconds, flops: flops / seconds, share_of_peak: flops / seconds / peak });
    };
    let numbers = |n: usize| -> Vec<f64> { (0..n).map(|i| (i % 1013) as f64 / 1013.0 - 0.5).collect() };
    for n in SQUARES {
        let mut stage = Stage::new(&mut bench.cpu, precision);
        let values = numbers(n * n);
        let w = stage.matrix(MatrixKind::Plain, 1, n, n, &[&values]);
        let (x, y) = (stage.compute(&[n, n], &values), stage.compute_out(&[n, n]));
        let (dx, dw) = (stage.compute_out(&[n, n]), stage.compute_out(&[n, n]));
        let flops = 2.0 * (n as f64).powi(3);
        add(format!("linear {n} x {n} x {n}"), flops, &mut || stage.ops.linear(&x, &w, None, &y));
        add(format!("linear_backward {n} x {n} x {n}"), 2.0 * flops, &mut || {
            stage.ops.zero(&dw);
            stage.ops.linear_backward(&y, &x, &w, &dx, &dw);
        });
    }
    for rows in ROWS {
        let mut stage = Stage::new(&mut bench.cpu, precision);
        let (r, t) = (EXPERTS * rows, EXPERTS * rows / TOP);
        let (wide, narrow) = (numbers(EXPERTS * D * F), numbers(r * F.max(D)));
        let gate_up = stage.matrix(MatrixKind::GateUp, EXPERTS, F, D, &[&wide, &wide]);
        let down = stage.matrix(MatrixKind::Plain, EXPERTS, D, F, &[&wide]);
        let dispatch = even(&mut stage, rows, t);
        let (x, y) = (stage.compute(&[t, D], &narrow[..t * D]), stage.state(&[t, D], &narrow[..t * D]));
        let mut hidden = || stage.compute(&[r, F], &narrow[..r * F]);
        let (g, u, h) = (hidden(), hidden(), hidden());
        let (routed, dx) = (stage.compute_out(&[r, D]), stage.compute_out(&[t, D]));
        let dweights = stage.state_out(&[t, TOP]);
        let mut matrix = || stage.compute_out(&[EXPERTS, F, D]);
        let (dgate, dup, ddown) = (matrix(), matrix(), matrix());
        let flops = 2.0 * (r * D * F) as f64;
        let of = |op: &str| format!("{op}, {rows} rows an expert");
        add(of("gate_up"), 2.0 * flops, &mut || stage.ops.gate_up(&x, &gate_up, &dispatch, Some((&g, &u)), &h));
        add(of("down"), flops, &mut || stage.ops.down(&h, &down, &dispatch, &y, &routed, &y));
        add(of("down_backward"), 2.0 * flops, &mut || {
            stage.ops.zero(&ddown);
            stage.ops.down_backward(&y, &down, &dispatch, &g, &u, &h, &dweights, &ddown);
        });
        add(of("gate_up_backward"), 4.0 * flops, &mut || {
            [&dgate, &dup].into_iter().for_each(|d| stage.ops.zero(d));
            stage.ops.gate_up_backward(&g, &u, &x, &gate_up, &dispatch, &routed, &dx, &dgate, &dup);
        });
    }
    all
}

/// Every expert gets so many rows: token t goes to the four experts that leave the same remainder by 4.
fn even(stage: &mut Stage, rows: usize, tokens: usize) -> Dispatch {
    let offsets: Vec<i32> = (0..=EXPERTS).map(|e| (e * rows) as i32).collect();
    let token_of: Vec<i32> = (0..EXPERTS * rows).map(|r| (TOP * (r % rows) + r / rows % TOP) as i32).collect();
    let row_of: Vec<i32> =
        (0..tokens * TOP).map(|c| ((c / TOP % TOP + TOP * (c % TOP)) * rows + c / TOP / TOP) as i32).collect();
    Dispatch {
        offsets_e: stage.integers(&[EXPERTS + 1], &offsets),
        token_r: stage.integers(&[token_of.len()], &token_of),
        row_tk: stage.integers(&[tokens, TOP], &row_of),
        weights_tk: stage.state(&[tokens, TOP], &vec![0.25; tokens * TOP]),
    }
}

/// Products as a table.
pub fn product_table(products: &[Product]) -> String {
    let head = ["product", "ms", "GFLOP/s", "of ceiling"].map(String::from).to_vec();
    let cells = |p: &Product| {
        let (ms, rate) = (format!("{:.2}", 1e3 * p.seconds), format!("{:.0}", p.flops / 1e9));
        vec![p.product.clone(), ms, rate, format!("{:.0} %", 100.0 * p.share_of_peak)]
    };
    table(&std::iter::once(head).chain(products.iter().map(cells)).collect::<Vec<_>>())
}
