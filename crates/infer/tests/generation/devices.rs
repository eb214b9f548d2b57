//! On a real device, with every instruction set it can run: an answer is the same to the bit, whoever else is there.

use crate::support::{config, model_on, tokenizer};
use moeworks_cpu::{Cpu, Isa};
use moeworks_infer::{Completion, Engine, Request, Sampling};
use moeworks_model::Config;
use moeworks_ops::Precision;
use std::ops::ControlFlow;

/// Prompts from one token to more than two steps' worth, so that every kind of step occurs.
fn requests() -> Vec<Request> {
    let prompt = |length: u32, start: u32| (0..length).map(|i| (start + 7 * i * i) % 260).collect();
    let sizes = [(1, 5), (40, 9), (3, 200), (17, 77), (64, 31), (8, 8), (33, 1)];
    let with = |(i, (length, start)): (usize, (u32, u32))| Request {
        sampling: if i % 3 == 0 { Sampling::greedy() } else { Sampling::default() },
        seed: i as u64,
        choices: 1 + i % 2,
        max_tokens: Some(9 + i),
        stop_ids: Some(vec![]),
        logprobs: Some(3),
        prompt_logprobs: (i % 2 == 0).then_some(0),
        ..Request::new(prompt(length, start))
    };
    sizes.into_iter().enumerate().map(with).collect()
}

fn answers(
    config: &Config,
    isa: Isa,
    threads: usize,
    precision: Precision,
    slots: usize,
    rows: usize,
) -> Vec<Completion> {
    let mut device = Box::new(Cpu::new(threads, isa));
    let model = model_on(&mut *device, config, precision, slots, rows, |_, _| {});
    let mut engine = Engine::new(device, model, tokenizer()).unwrap();
    engine.generate(requests(), |_| ControlFlow::Continue(())).unwrap()
}

#[test]
fn an_answer_does_not_depend_on_its_neighbours_threads_or_steps() {
    let narrow = config(&tokenizer());
    let wide =
        Config { d_model: 96, n_heads: 6, n_kv_heads: 2, head_dim: 16, ffn_hidden: 80, n_experts: 5, ..narrow.clone() };
    for (name, isa) in Isa::all() {
        for (config, precision) in [(&narrow, Precision::F32), (&wide, Precision::F32), (&wide, Precision::BF16)] {
            let alone = answers(config, isa, 1, precision, 1, 23);
            for (threads, slots, rows) in [(2, 4, 4), (2, 7, 64)] {
                let crowded = answers(config, isa, threads, precision, slots, rows);
                for (i, (alone, crowded)) in alone.iter().zip(&crowded).enumerate() {
                    assert_eq!(alone, crowded, "answer {i}, {name}, {precision:?}, {slots} slots, {rows} rows");
                }
            }
        }
    }
}
