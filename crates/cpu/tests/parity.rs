//! Every op of the table agrees with the reference on every path of this machine, in f32 and in bf16, and gives the
//! same bits whatever the number of threads.

use moeworks_cpu::{Cpu, Isa, KeptLogits};
use moeworks_ops::Precision;
use moeworks_ops::cases::{Stage, check_parity, random, table};

/// Relative error of a whole result. bf16 keeps 8 bits, so one rounding is worth up to 2^-8 = 4e-3 an element.
const TOLERANCE: [(Precision, f64); 2] = [(Precision::F32, 5e-6), (Precision::BF16, 8e-3)];

/// Random shapes for each path and precision; `MOEWORKS_SHAPES` asks for more.
fn shapes() -> u64 {
    std::env::var("MOEWORKS_SHAPES").ok().map_or(40, |n| n.parse().expect("MOEWORKS_SHAPES is a number"))
}

fn parity(path: &str) {
    let Some((_, isa)) = Isa::all().into_iter().find(|(name, _)| *name == path) else {
        eprintln!("SKIPPED: this machine cannot run the path {path}");
        return;
    };
    let mut failures = Vec::new();
    for (precision, tolerance) in TOLERANCE {
        for case in table().into_iter().chain((0..shapes()).map(random)) {
            let mut cpu = Cpu::new(2, isa);
            failures.extend(check_parity(case.as_ref(), &mut cpu, precision, tolerance));
            if case.name().starts_with("classifier") {
                for (rows, most) in [(1, 0), (7, usize::MAX)] {
                    let mut cpu = Cpu::new(2, isa).keeping_logits(KeptLogits { bytes: 0, rows, most });
                    failures.extend(check_parity(case.as_ref(), &mut cpu, precision, tolerance));
                }
            }
        }
    }
    let lines: Vec<String> = failures.iter().map(|f| f.to_string()).collect();
    assert!(lines.is_empty(), "{isa}:\n{}", lines.join("\n"));
}

#[test]
fn portable() {
    parity("portable");
}

#[test]
fn avx2() {
    parity("avx2");
}

#[test]
fn avx512() {
    parity("avx512");
}

#[test]
fn avx512_dots() {
    parity("avx512-dots");
}

#[test]
fn avx512_bf16() {
    parity("avx512-bf16");
}

#[test]
fn amx() {
    parity(if Isa::forced("amx").is_ok() { "amx" } else { "amx-emulated" });
}

#[test]
fn threads_do_not_change_a_bit() {
    for (name, isa) in Isa::all() {
        for precision in [Precision::F32, Precision::BF16] {
            for case in table() {
                let (inputs, cotangents) = (case.inputs(), case.cotangents());
                let run = |threads| {
                    let mut cpu = Cpu::new(threads, isa);
                    let outcome = case.run(&mut Stage::new(&mut cpu, precision), &inputs, &cotangents);
                    (outcome.outputs, outcome.gradients)
                };
                let one = run(1);
                for threads in [2, 5] {
                    assert!(one == run(threads), "{name}: {} with {threads} threads", case.name());
                }
            }
        }
    }
}
