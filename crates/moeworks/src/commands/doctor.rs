//! `doctor`: what this machine has, which kernels run, and what to do about what is missing.

use crate::cli::Doctor;
use crate::device::device;
use crate::show;
use anyhow::Result;
use moeworks_cpu::Isa;
use moeworks_data::{CargoRegistry, Recipe, Source};
use moeworks_ops::cases::Stage;
use moeworks_ops::{MatrixKind, Ops, Precision};
use serde::Serialize;
use std::io::Write;
use std::time::Instant;

/// One finding.
#[derive(Serialize)]
struct Finding {
    what: &'static str,
    value: String,
    ok: bool,
    #[serde(skip_serializing_if = "String::is_empty")]
    advice: String,
}

fn finding(what: &'static str, value: impl Into<String>) -> Finding {
    Finding { what, value: value.into(), ok: true, advice: String::new() }
}

fn trouble(what: &'static str, value: impl Into<String>, advice: impl Into<String>) -> Finding {
    Finding { what, value: value.into(), ok: false, advice: advice.into() }
}

pub fn run(flags: &Doctor) -> Result<()> {
    let mut all = vec![finding("version", env!("CARGO_PKG_VERSION"))];
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    all.push(finding("processor", format!("{}, {threads} threads", processor())));
    all.extend(kernels());
    all.push(memory());
    all.push(disk());
    all.push(gpu());
    all.push(documents());
    all.push(port());
    if flags.json {
        show::result(&serde_json::to_string_pretty(&all)?)?;
        return Ok(());
    }
    for f in &all {
        show::result(&format!("{} {:<12} {}", if f.ok { "ok  " } else { "warn" }, f.what, f.value))?;
        if !f.advice.is_empty() {
            show::result(&format!("     {:<12} -> {}", "", f.advice))?;
        }
    }
    Ok(())
}

fn processor() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = info.lines().find_map(|l| l.strip_prefix("model name")?.split_once(':'));
    name.map_or(std::env::consts::ARCH.to_string(), |(_, n)| n.trim().to_string())
}

/// The chosen path, the others, which kernel each op takes on it, and how fast a matrix is multiplied.
fn kernels() -> Vec<Finding> {
    let isa = match Isa::from_environment() {
        Ok(isa) => isa,
        Err(e) => return vec![trouble("kernels", e.to_string(), "unset the variable, or choose another value")],
    };
    let others: Vec<&str> = Isa::all().iter().map(|(name, _)| *name).collect();
    let mut all = vec![
        finding("kernels", isa.to_string()),
        finding("paths", format!("{} (MOEWORKS_ISA forces one)", others.join(", "))),
    ];
    let vector = Isa::forced(others[others.len() - 1]).map_or(isa, |_| isa).vector();
    let bf16 = match isa {
        isa if isa.has_tiles() => "AMX tiles",
        isa if isa.multiplies_bf16() => "dot products of pairs",
        _ => "widened to f32 vectors",
    };
    all.push(finding(
        "ops",
        format!(
            "linear, qkv, experts, classifier{}: f32 on {vector:?}, bf16 on {bf16}; norms, {}router, optimizer: f32 on \
             {vector:?}",
            if isa.multiplies_bf16() { ", attention" } else { "" },
            if isa.multiplies_bf16() { "" } else { "attention, " },
        ),
    ));
    if let Ok(mut device) = device(None) {
        let formats = [("f32", Precision::F32), ("bf16", Precision::BF16)];
        let rates = formats.map(|(name, p)| format!("{name} {:.0} GFLOP/s", multiply_rate(&mut *device, p)));
        all.push(finding("speed", format!("matrices of 1024: {}", rates.join(", "))));
    }
    all
}

/// GFLOP/s of a product of 1024 x 1024 matrices, the best of a few.
fn multiply_rate(ops: &mut dyn Ops, precision: Precision) -> f64 {
    const N: usize = 1024;
    let values: Vec<f64> = (0..N * N).map(|i| (i % 7) as f64 / 7.0).collect();
    let mut stage = Stage::new(ops, precision);
    let w = stage.matrix(MatrixKind::Plain, 1, N, N, &[&values]);
    let (x, y) = (stage.compute(&[N, N], &values), stage.compute_out(&[N, N]));
    let best = (0..4).map(|_| {
        let began = Instant::now();
        stage.ops.linear(&x, &w, None, &y);
        began.elapsed().as_secs_f64()
    });
    2.0 * (N as f64).powi(3) / best.fold(f64::INFINITY, f64::min) / 1e9
}

/// What Linux says of an amount of memory, in bytes: the line `key:  N kB` of one of its files.
pub fn kernel_says(file: &str, key: &str) -> Option<u64> {
    let text = std::fs::read_to_string(file).ok()?;
    let line = text.lines().find_map(|l| l.strip_prefix(key)?.strip_prefix(':'))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
}

fn meminfo(key: &str) -> Option<u64> {
    kernel_says("/proc/meminfo", key)
}

/// Memory that can be had now, where the system tells.
pub fn available_memory() -> Option<u64> {
    meminfo("MemAvailable")
}

fn memory() -> Finding {
    let (Some(total), Some(free)) = (meminfo("MemTotal"), available_memory()) else {
        return finding("memory", "not known on this system");
    };
    let text = format!("{}, {} free", show::bytes(total), show::bytes(free));
    if free < 2 << 30 {
        return trouble("memory", text, "close something, or train with a smaller --size");
    }
    finding("memory", text)
}

fn disk() -> Finding {
    let began = Instant::now();
    let file = std::path::Path::new(".moeworks-doctor");
    let written = std::fs::File::create(file).and_then(|mut f| {
        f.write_all(&vec![0; 8 << 20])?;
        f.sync_all()
    });
    let seconds = began.elapsed().as_secs_f64();
    let _ = std::fs::remove_file(file);
    let free = rustix::fs::statvfs(".").map(|s| s.f_bavail * s.f_frsize).unwrap_or(0);
    match written {
        Err(e) => trouble("disk", format!("cannot write here: {e}"), "run in a folder that you may write"),
        Ok(()) if free < 2 << 30 => {
            trouble("disk", format!("{} free", show::bytes(free)), "checkpoints need 12 bytes a parameter: make room")
        }
        Ok(()) => finding("disk", format!("{} free, {:.0} MB/s to disk", show::bytes(free), 8.4 / seconds)),
    }
}

fn gpu() -> Finding {
    match std::fs::read_to_string("/proc/driver/nvidia/version") {
        Ok(text) => finding("GPU", format!("{} (this version computes on the CPU)", text.lines().next().unwrap_or(""))),
        Err(_) => finding("GPU", "none found; none needed"),
    }
}

/// What `quickstart` would train on.
fn documents() -> Finding {
    let recipe = Recipe { sources: vec![Source::CargoRegistry(CargoRegistry::default())], ..Recipe::default() };
    let counted = moeworks_data::Corpus::open(&recipe, &()).map(|corpus| {
        let documents = corpus.documents(moeworks_data::Side::Train).filter_map(Result::ok);
        documents.fold((0u64, 0u64), |(n, bytes), d| (n + 1, bytes + d.text.len() as u64))
    });
    let advice = "quickstart --documents DIR trains on your own";
    match counted {
        Ok((n, bytes)) if bytes > 5_000_000 => {
            finding("documents", format!("{} sources of cargo's, {}", show::count(n), show::bytes(bytes)))
        }
        Ok((_, bytes)) => trouble("documents", format!("only {} of cargo's sources", show::bytes(bytes)), advice),
        Err(e) => trouble("documents", e.to_string(), advice),
    }
}

fn port() -> Finding {
    match std::net::TcpListener::bind(("127.0.0.1", 8080)) {
        Ok(_) => finding("port 8080", "free"),
        Err(e) => trouble("port 8080", e.to_string(), "serve --address 127.0.0.1:8081"),
    }
}
