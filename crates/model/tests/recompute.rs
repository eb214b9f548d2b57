//! Computing activations again changes no bit of losses and gradients, on every path, and saves memory.

use moeworks_cpu::{Cpu, Isa};
use moeworks_model::{Batch, Config, Layout, LossScale, Recompute, Training, preset};
use moeworks_ops::{Ops, Precision, transfer};

fn config(experts: usize) -> Config {
    let mut config = preset("100k").unwrap();
    (config.d_model, config.n_layers, config.ffn_hidden, config.vocab_size) = (32, 3, 24, 50);
    (config.n_heads, config.n_kv_heads, config.head_dim) = (4, 2, 8);
    if experts == 1 {
        (config.n_experts, config.top_k) = (1, 1);
    }
    config
}

const ROWS: usize = 48;
const LENGTH: usize = 24;

fn batch(config: &Config, start: i32) -> (Batch, LossScale) {
    let ids: Vec<i32> = (0..ROWS as i32).map(|t| (start + t * 5 + t * t % 7) % 50).collect();
    let sequences: Vec<&[i32]> = ids.chunks(LENGTH).collect();
    let batch = Batch::next_token(config, &sequences, Some(3)).unwrap();
    let scale = LossScale { targets: batch.counted(), share: 1.0, aux: 0.05, z: 0.001 };
    (batch, scale)
}

/// Losses of two batches, one after the other, and all gradients of both together or of the second.
fn gradients(
    ops: &mut dyn Ops,
    config: &Config,
    precision: Precision,
    recompute: Recompute,
    micro_batches: usize,
) -> Vec<f64> {
    let layout = Layout { micro_batches, recompute, ..Layout::of(ROWS, LENGTH) };
    let training = Training::new(ops, config, precision, layout, 3).unwrap();
    let mut all = Vec::new();
    for start in [0, 7] {
        let (batch, scale) = batch(config, start);
        let losses = training.step(ops, &batch, scale, micro_batches == 1 || start == 0);
        all.extend([losses.nll, losses.aux, losses.z]);
    }
    all.extend(training.gradients.iter().flat_map(|(_, t)| transfer::read_floats(ops, &t)));
    all
}

#[test]
fn gradients_are_the_same_to_the_bit() {
    for (name, isa) in Isa::all() {
        for precision in [Precision::F32, Precision::BF16] {
            for experts in [1, 16] {
                let config = config(experts);
                for micro_batches in [1, 2] {
                    let run = |r| gradients(&mut Cpu::new(2, isa), &config, precision, r, micro_batches);
                    let kept = run(Recompute::Nothing);
                    assert!(kept.iter().all(|v| v.is_finite()) && kept.iter().any(|v| *v != 0.0));
                    for recompute in [Recompute::Experts, Recompute::Blocks] {
                        assert!(run(recompute) == kept, "{name}, {precision:?}, {experts} experts, {recompute:?}");
                    }
                }
            }
        }
    }
}

#[test]
fn gradients_over_spent_activations_are_those_of_memory_of_their_own() {
    let config = config(16);
    for recompute in [Recompute::Nothing, Recompute::Experts, Recompute::Blocks] {
        // With room for several batches nothing is laid over anything; the second batch's gradients are added there.
        let of =
            |micro_batches| gradients(&mut Cpu::new(2, Isa::best()), &config, Precision::F32, recompute, micro_batches);
        let (alone, both) = (of(1), of(2));
        let mut cpu = Cpu::new(2, Isa::best());
        let layout = Layout { micro_batches: 2, recompute, ..Layout::of(ROWS, LENGTH) };
        let training = Training::new(&mut cpu, &config, Precision::F32, layout, 3).unwrap();
        let (batch, scale) = batch(&config, 7);
        training.step(&mut cpu, &batch, scale, true);
        let own: Vec<f64> = training.gradients.iter().flat_map(|(_, t)| transfer::read_floats(&mut cpu, &t)).collect();
        assert!(own == alone[alone.len() - own.len()..], "{recompute:?}");
        assert!(own != both[both.len() - own.len()..], "the first batch's gradients count too");
    }
}

#[test]
fn memory_shrinks() {
    let config = config(16);
    let cpu = Cpu::new(1, Isa::best());
    let activations = |recompute| {
        let layout = Layout { recompute, ..Layout::of(4096, 4096) };
        let parts = Training::memory(&cpu, &config, Precision::F32, layout, 2);
        parts.into_iter().find(|(name, _)| name == "activations").unwrap().1
    };
    let [nothing, experts, blocks] = [Recompute::Nothing, Recompute::Experts, Recompute::Blocks].map(activations);
    assert!(blocks < experts && experts < nothing, "{blocks} {experts} {nothing}");
}
