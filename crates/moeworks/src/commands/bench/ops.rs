//! `bench ops`: products by themselves, and every op of a training step at a few widths and numbers of rows, in models of
//! one block.

use super::measure::{Bench, OpTime};
use super::products::{Product, measure, product_table};
use super::train::op_table;
use crate::cli::BenchOps;
use crate::show;
use anyhow::Result;
use moeworks_model::{Config, Recompute, preset};
use serde::Serialize;

/// What is measured: a name, the shape whose block it is, sequences and their length.
const SETTINGS: [(&str, &str, usize, usize); 5] = [
    ("width 512, experts of 512, 4096 rows", "s", 8, 512),
    ("width 512, experts of 512, 4096 rows in long sequences", "s", 2, 2048),
    ("width 1024, experts of 1792, 4096 rows", "m", 8, 512),
    ("width 1024, experts of 1792, 256 rows: 64 an expert", "m", 1, 256),
    ("width 64, experts of 64, 4096 rows", "tiny", 8, 512),
];

#[derive(Serialize)]
struct Setting {
    setting: &'static str,
    ops: Vec<OpTime>,
}

#[derive(Serialize)]
struct Answer {
    dtype: &'static str,
    products: Vec<Product>,
    settings: Vec<Setting>,
}

pub fn run(flags: &BenchOps, quiet: bool) -> Result<()> {
    let mut bench = Bench::new(&flags.compute)?;
    if !quiet {
        eprintln!("{}", bench.describe());
    }
    let products = measure(&mut bench, flags.steps);
    if !flags.json {
        show::result(&format!("products, {}\n{}", bench.dtype(), product_table(&products)))?;
        show::result("")?;
    }
    let mut settings = Vec::new();
    for (setting, shape, batch, length) in SETTINGS {
        let model = Config { n_layers: 1, vocab_size: 8192, ..preset(shape)? };
        let steps = bench.steps(&model, batch, length, Recompute::Nothing, 2, flags.steps)?;
        if !flags.json {
            show::result(&format!("{setting}, {}\n{}", bench.dtype(), op_table(&steps.ops)))?;
            show::result("")?;
        }
        settings.push(Setting { setting, ops: steps.ops });
    }
    if flags.json {
        show::result(&serde_json::to_string_pretty(&Answer { dtype: bench.dtype(), products, settings })?)?;
    }
    Ok(())
}
