//! `bench train`: whole training steps, forward to optimizer, of a shape.

use super::measure::{Bench, OpTime, median, peak_memory};
use crate::cli::BenchTrain;
use crate::show::{self, table};
use anyhow::Result;
use moeworks_model::parameters::count;
use moeworks_model::preset;
use serde::Serialize;

#[derive(Serialize)]
struct Answer {
    shape: String,
    total: u64,
    multiplied: u64,
    batch: usize,
    seq: usize,
    dtype: &'static str,
    device: String,
    peak_tflops: f64,
    steps_s: Vec<f64>,
    step_s: f64,
    tokens_s: f64,
    tflops: f64,
    share_of_peak: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    peak_rss_mb: Option<f64>,
    ops: Vec<OpTime>,
}

pub fn run(flags: &BenchTrain, quiet: bool) -> Result<()> {
    let mut model = preset(&flags.shape)?;
    model.max_seq_len = model.max_seq_len.max(flags.seq);
    let mut bench = Bench::new(&flags.compute)?;
    if !quiet {
        eprintln!("{}", bench.describe());
    }
    let steps = bench.steps(&model, flags.batch, flags.seq, flags.recompute.into(), flags.warmup, flags.steps)?;
    let (tokens, step_s) = ((flags.batch * flags.seq) as f64, median(&steps.seconds));
    let counted = count(&model);
    let answer = Answer {
        shape: flags.shape.clone(),
        total: counted.total,
        multiplied: counted.multiplied,
        batch: flags.batch,
        seq: flags.seq,
        dtype: bench.dtype(),
        device: bench.describe(),
        peak_tflops: bench.peak() / 1e12,
        step_s,
        tokens_s: tokens / step_s,
        tflops: steps.flops / step_s / 1e12,
        share_of_peak: steps.flops / step_s / bench.peak(),
        peak_rss_mb: peak_memory().map(|b| b as f64 / 1e6),
        steps_s: steps.seconds,
        ops: steps.ops,
    };
    if flags.json {
        return show::result(&serde_json::to_string_pretty(&answer)?);
    }
    let slowest = answer.steps_s.iter().copied().fold(0.0, f64::max);
    let fastest = answer.steps_s.iter().copied().fold(f64::INFINITY, f64::min);
    show::result(&format!(
        "{}, {} x {} tokens, {}: {:.0} tokens/s ({:.0} to {:.0}), {:.3} TFLOP/s, {:.0} % of the ceiling{}\n",
        answer.shape,
        answer.batch,
        answer.seq,
        answer.dtype,
        answer.tokens_s,
        tokens / slowest,
        tokens / fastest,
        answer.tflops,
        100.0 * answer.share_of_peak,
        answer.peak_rss_mb.map_or(String::new(), |mb| format!(", {mb:.0} MB at most")),
    ))?;
    show::result(&op_table(&answer.ops))
}

/// Ops as a table.
pub fn op_table(ops: &[OpTime]) -> String {
    let head = ["op", "calls", "ms a step", "share", "GFLOP/s", "GB/s", "of ceiling"].map(String::from).to_vec();
    let cells = |o: &OpTime| {
        let rate = |r: Option<f64>| r.map_or(String::new(), |r| format!("{:.0}", r / 1e9));
        let of_ceiling = o.share_of_peak.map_or(String::new(), |s| format!("{:.0} %", 100.0 * s));
        let calls = if o.calls == 0 { String::new() } else { o.calls.to_string() };
        vec![
            o.op.into(),
            calls,
            format!("{:.2}", 1e3 * o.seconds),
            format!("{:.1} %", 100.0 * o.share),
            rate(o.flops),
            rate(o.bytes_s),
            of_ceiling,
        ]
    };
    table(&std::iter::once(head).chain(ops.iter().map(cells)).collect::<Vec<_>>())
}
