//! `runs ls` and `runs show`: what was trained, and how it went.

use crate::cli::Runs;
use crate::exit;
use crate::show::{self, table};
use anyhow::Result;
use moeworks_infer::terminal::printable;
use moeworks_train::report::{METRICS_NAME, Metrics, load_strip, sparkline};
use moeworks_train::{Run, checkpoint};
use serde::Serialize;
use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

/// A run in a few numbers.
#[derive(Serialize)]
struct Overview {
    name: String,
    folder: PathBuf,
    started: String,
    model: String,
    total: u64,
    active: u64,
    device: String,
    step: u64,
    tokens: u64,
    seconds: f64,
    loss: Option<f64>,
    bits_per_byte: Option<f64>,
    state: String,
    #[serde(skip)]
    losses: Vec<f64>,
    #[serde(skip)]
    load: Vec<Vec<f32>>,
}

fn overview(folder: &Path) -> Option<Overview> {
    let metrics = Metrics::read(BufReader::new(File::open(folder.join(METRICS_NAME)).ok()?)).ok()?;
    let (start, last) = (metrics.starts.first()?, metrics.steps.last());
    let state = match metrics.events.last().map(|e| e.event.as_str()) {
        _ if Run::is_locked(folder) => "running",
        Some("finished") => "finished",
        Some("interrupted") => "interrupted",
        _ => "stopped",
    };
    Some(Overview {
        name: folder.file_name()?.to_string_lossy().into_owned(),
        folder: folder.to_path_buf(),
        started: start.time.clone().unwrap_or_default(),
        model: start.model.architecture.clone().unwrap_or_default(),
        total: start.model.total.unwrap_or(0),
        active: start.model.active.unwrap_or(0),
        device: start.device.clone().unwrap_or_default(),
        step: last.map_or(0, |s| s.step),
        tokens: metrics.tokens().unwrap_or(0),
        seconds: metrics.seconds().unwrap_or(0.0),
        loss: last.map(|s| s.loss),
        bits_per_byte: metrics.validations.last().and_then(|v| v.bits_per_byte),
        state: state.into(),
        losses: metrics.steps.iter().map(|s| s.loss).collect(),
        load: last.and_then(|s| s.load.clone()).unwrap_or_default(),
    })
}

pub fn run(command: &Runs) -> Result<()> {
    match command {
        Runs::Ls { folder, json } => list(folder, *json),
        Runs::Show { run, folder, json } => {
            let path =
                if Path::new(run).join("metrics.jsonl").exists() { PathBuf::from(run) } else { folder.join(run) };
            one(&path, *json)
        }
    }
}

fn list(folder: &Path, json: bool) -> Result<()> {
    let entries = std::fs::read_dir(folder).map_err(|e| exit::io_at(folder, e))?;
    let mut all: Vec<Overview> = entries.filter_map(|e| overview(&e.ok()?.path())).collect();
    all.sort_by(|a, b| b.started.cmp(&a.started).then(a.name.cmp(&b.name)));
    if json {
        show::result(&serde_json::to_string_pretty(&all)?)?;
        return Ok(());
    }
    if all.is_empty() {
        show::result(&format!("no runs in {}; `moeworks quickstart` makes one", folder.display()))?;
        return Ok(());
    }
    let head = ["run", "started", "parameters", "steps", "tokens", "loss", "bits/byte", "state"];
    let mut rows = vec![head.map(String::from).to_vec()];
    let number = |v: Option<f64>| v.map_or("-".into(), |v| format!("{v:.3}"));
    rows.extend(all.iter().map(|o| {
        let parameters = format!("{} / {}", show::count(o.total), show::count(o.active));
        let (loss, bits) = (number(o.loss), number(o.bits_per_byte));
        let cells =
            [o.name.clone(), o.started.clone(), parameters, o.step.to_string(), show::count(o.tokens), loss, bits];
        [cells.to_vec(), vec![o.state.clone()]].concat()
    }));
    show::result(&table(&rows))?;
    Ok(())
}

fn one(folder: &Path, json: bool) -> Result<()> {
    let Some(o) = overview(folder) else {
        let message =
            format!("{}: no run (no metrics.jsonl with a start); `moeworks runs ls` lists them", folder.display());
        return Err(exit::coded(exit::MISSING, message));
    };
    if json {
        show::result(&serde_json::to_string_pretty(&o)?)?;
        return Ok(());
    }
    let mut rows = vec![
        ("run", format!("{} ({})", o.folder.display(), o.state)),
        ("started", o.started.clone()),
        ("model", format!("{}, {} parameters, {} active", o.model, show::count(o.total), show::count(o.active))),
        ("device", o.device.clone()),
        ("trained", format!("{} steps, {} tokens, {}", o.step, show::count(o.tokens), show::time(o.seconds))),
        ("loss", format!("{}  {}", sparkline(&o.losses, 50), o.loss.map_or("-".into(), |l| format!("{l:.3}")))),
    ];
    if let Some(bits) = o.bits_per_byte {
        rows.push(("held out", format!("{bits:.3} bits a byte")));
    }
    for (l, load) in o.load.iter().enumerate() {
        let shares: Vec<f64> = load.iter().map(|s| f64::from(*s)).collect();
        rows.push((if l == 0 { "experts" } else { "" }, format!("block {l:<3} {}", load_strip(&shares))));
    }
    for (step, path) in checkpoint::list(&folder.join("checkpoints"))? {
        rows.push(("checkpoint", format!("step {step}  {}", path.display())));
    }
    for (name, file) in [("model", "model"), ("report", "report.html")] {
        let path = folder.join(file);
        if path.exists() {
            rows.push((name, path.display().to_string()));
        }
    }
    for (name, value) in rows {
        show::result(&format!("{name:<11} {}", printable(&value)))?;
    }
    Ok(())
}
