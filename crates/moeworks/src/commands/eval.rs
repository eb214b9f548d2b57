//! `eval`: bits per byte and few-shot tasks.

use crate::cli::Eval;
use crate::device::{self, Opened};
use crate::show::{self, Progress};
use crate::{exit, interrupt};
use anyhow::Result;
use moeworks_eval::{Evaluator, Event, Origin, Report, Suite, Task, TextOptions, documents, fingerprint_model};
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::atomic::Ordering;

pub fn run(flags: &Eval, quiet: bool) -> Result<()> {
    if flags.suite.is_none() && flags.task.is_empty() && flags.text.is_empty() {
        let suites: Vec<&str> = Suite::names().collect();
        let message = format!(
            "nothing to score: give --text FILE, --task FILE, or --suite NAME --data DIR (built in: {})",
            suites.join(", ")
        );
        return Err(exit::coded(exit::USAGE, message));
    }
    let stop = interrupt::catch();
    let Opened { mut device, mut model, tokenizer } =
        device::open(&flags.model, &flags.compute, device::scoring(flags.context))?;
    let origin = Origin {
        model: flags.model.display().to_string(),
        fingerprint: fingerprint_model(&flags.model)?,
        machine: device.describe(),
        version: env!("CARGO_PKG_VERSION").into(),
        command: std::env::args().collect::<Vec<_>>().join(" "),
    };
    let mut bar = Progress::new(1, "{bar:30} {percent:>3}%  {msg}", quiet);
    let mut evaluator = Evaluator::new(&mut model, &mut *device, &tokenizer)?.watched(|event| {
        if let Event::Progress { name, done, total } = event {
            bar.set_length(total.unwrap_or(done + 1) as u64);
            bar.update(done as u64, name);
        }
        if stop.load(Ordering::Relaxed) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    let mut report = Report::new(evaluator.conditions(origin));
    let options = TextOptions { stride: flags.stride, ..TextOptions::default() };
    for path in &flags.text {
        let texts = documents(std::slice::from_ref(path), "text");
        report.texts.push(evaluator.bits_per_byte(&path.display().to_string(), texts, options)?);
    }
    for path in &flags.task {
        let task = Task { shots: flags.shots, ..Task::guess(path)? };
        report.tasks.push(evaluator.task(&task, path, flags.limit)?);
    }
    if let Some(name) = &flags.suite {
        let suite = Suite::open(name)?;
        let data = flags.data.as_deref().unwrap_or(Path::new("."));
        report.suites.push(evaluator.suite(&suite, data, flags.limit)?);
    }
    drop(evaluator);
    bar.finish();
    show::result(&if flags.json { report.to_json() } else { report.to_text() })?;
    Ok(())
}
