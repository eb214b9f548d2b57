//! Training steps on made-up tokens, with the time of each op.

use crate::cli::BenchCompute;
use crate::commands::doctor::{available_memory, kernel_says};
use crate::device::cpu;
use crate::exit::{BAD_CONFIGURATION, coded};
use crate::probe::made_up;
use crate::show;
use anyhow::Result;
use moeworks_cpu::{Ceilings, Cpu};
use moeworks_model::parameters::training_flops;
use moeworks_model::{Config, Decay, Layout, LossScale, Moments, Recompute, Training, clip_factor};
use moeworks_ops::{AdamW, DType, Ops, Precision, Profiled, Spent, Update};
use serde::Serialize;
use std::collections::BTreeMap;
use std::time::Instant;

/// Where a measurement runs.
pub struct Bench {
    /// The device.
    pub cpu: Cpu,
    /// Formats.
    pub precision: Precision,
    /// What the hardware can do.
    pub ceilings: Ceilings,
}

/// An op in a step.
#[derive(Clone, Debug, Serialize)]
pub struct OpTime {
    /// As the trait names it.
    pub op: &'static str,
    /// Calls a step.
    pub calls: u64,
    /// Seconds a step.
    pub seconds: f64,
    /// Of the step's time.
    pub share: f64,
    /// Rate of its products, operations a second; none for ops that move memory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flops: Option<f64>,
    /// Bytes a second that an op without products moves.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes_s: Option<f64>,
    /// Of the ceiling of its number format, or of reading memory: over 1 where caches help.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub share_of_peak: Option<f64>,
}

/// Steps of one model.
pub struct Steps {
    /// Seconds of each measured step.
    pub seconds: Vec<f64>,
    /// Operations of a step's products, as they are usually counted.
    pub flops: f64,
    /// By op, the most expensive first.
    pub ops: Vec<OpTime>,
}

impl Bench {
    /// The device of this process, its ceilings measured.
    pub fn new(compute: &BenchCompute) -> Result<Self> {
        let mut cpu = cpu(compute.threads)?;
        let precision = compute.dtype.or(cpu.preferred_precision());
        let ceilings = cpu.ceilings();
        // Their measurement reads more memory than a small model takes: the most held counts from here, where Linux lets it.
        let _ = std::fs::write("/proc/self/clear_refs", "5");
        Ok(Bench { cpu, precision, ceilings })
    }

    /// The machine in words.
    pub fn describe(&self) -> String {
        let c = &self.ceilings;
        let bf16 = c.bf16_flops.map_or(String::new(), |f| format!(", bf16 {:.0} GFLOP/s", f / 1e9));
        format!(
            "{}; at most f32 {:.0} GFLOP/s{bf16}, reads {:.1} GB/s",
            self.cpu.describe(),
            c.f32_flops / 1e9,
            c.read_bytes / 1e9
        )
    }

    /// `bf16` or `f32`.
    pub fn dtype(&self) -> &'static str {
        if self.precision.compute == DType::Bf16 { "bf16" } else { "f32" }
    }

    /// The ceiling that products of this precision are held to.
    pub fn peak(&self) -> f64 {
        let bf16 = self.ceilings.bf16_flops.filter(|_| self.precision.compute == DType::Bf16);
        bf16.unwrap_or(self.ceilings.f32_flops)
    }

    /// Trains a model for a few steps; the first `warmup` do not count.
    pub fn steps(
        &mut self,
        model: &Config,
        batch: usize,
        length: usize,
        recompute: Recompute,
        warmup: usize,
        steps: usize,
    ) -> Result<Steps> {
        // The system promises memory that it does not have, and ends the process when it is written.
        let layout = Layout { recompute, ..Layout::of(batch * length, length) };
        let parts = Training::memory(&self.cpu, model, self.precision, layout, 2);
        let wanted = parts.iter().map(|(_, bytes)| *bytes as u64).sum::<u64>();
        if let Some(free) = available_memory().filter(|free| *free < wanted) {
            let (wanted, free) = (show::bytes(wanted), show::bytes(free));
            let less = "a smaller --shape, --batch or --seq, or --recompute blocks, takes less";
            return Err(coded(BAD_CONFIGURATION, format!("a step takes {wanted}, {free} are free; {less}")));
        }
        let training = Training::new(&mut self.cpu, model, self.precision, layout, 1)?;
        let moments = Moments::new(&mut self.cpu, model, self.precision, true)?;
        let tokens = made_up(model, batch, length)?;
        let scale = LossScale { targets: tokens.counted(), share: 1.0, aux: model.aux_coefficient.max(0.01), z: 0.001 };
        let (mut seconds, mut spent) = (Vec::new(), BTreeMap::new());
        for step in 0..warmup + steps {
            let mut device = Profiled::new(&mut self.cpu);
            let began = Instant::now();
            training.step(&mut device, &tokens, scale, true);
            let norm = Moments::gradient_norm(&mut device, &training);
            let adamw = Update::AdamW(AdamW {
                lr: 3e-4,
                beta1: 0.9,
                beta2: 0.95,
                eps: 1e-8,
                decay: 0.1,
                step: step as u64 + 1,
                gradient_scale: clip_factor(norm, 1.0),
            });
            moments.step(&mut device, &training, &adamw, Decay::Matrices);
            if step >= warmup {
                seconds.push(began.elapsed().as_secs_f64());
                for (op, one) in device.spent {
                    let all: &mut Spent = spent.entry(op).or_default();
                    all.calls += one.calls;
                    all.seconds += one.seconds;
                    all.flops += one.flops;
                    all.bytes += one.bytes;
                }
            }
        }
        training.release(&mut self.cpu);
        moments.release(&mut self.cpu);
        let whole: f64 = seconds.iter().sum();
        let n = seconds.len() as f64;
        let (peak, read) = (self.peak(), self.ceilings.read_bytes);
        let time = |(op, s): (&'static str, Spent)| {
            let flops = (s.flops > 0.0).then(|| s.flops / s.seconds);
            let bytes_s = (s.bytes > 0.0).then(|| s.bytes / s.seconds);
            OpTime {
                op,
                calls: s.calls / seconds.len() as u64,
                seconds: s.seconds / n,
                share: s.seconds / whole,
                flops,
                bytes_s,
                share_of_peak: flops.map(|f| f / peak).or(bytes_s.map(|b| b / read)),
            }
        };
        let mut ops: Vec<OpTime> = spent.into_iter().map(time).collect();
        let told: f64 = ops.iter().map(|o| o.seconds).sum();
        let rest = whole / n - told;
        let between = OpTime {
            op: "between ops",
            calls: 0,
            seconds: rest,
            share: rest * n / whole,
            flops: None,
            bytes_s: None,
            share_of_peak: None,
        };
        ops.push(between);
        ops.sort_by(|a, b| b.seconds.total_cmp(&a.seconds));
        Ok(Steps { seconds, flops: training_flops(model, length) * (batch * length) as f64, ops })
    }
}

/// The middle of some numbers.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    match sorted.len() {
        0 => f64::NAN,
        n if n % 2 == 1 => sorted[n / 2],
        n => 0.5 * (sorted[n / 2 - 1] + sorted[n / 2]),
    }
}

/// Most memory that this process has held since its ceilings were measured, where the system tells.
pub fn peak_memory() -> Option<u64> {
    kernel_says("/proc/self/status", "VmHWM")
}
