//! `quickstart`: the whole way on this machine, from documents to a model that answers.

mod finish;
mod prepare;
mod size;

use crate::cli::Quickstart;
use crate::device::device;
use crate::watch::TrainWatch;
use crate::{exit, interrupt, show};
use anyhow::Result;
use moeworks_data::DataFolder;
use moeworks_text::Tokenizer;
use moeworks_train::config::resolve;
use moeworks_train::{Duration, Outcome, Run, TrainConfig, checkpoint, train};
use std::path::Path;
use std::process::ExitCode;

/// Tokens of a sample.
const LENGTH: usize = 512;
/// Most sequences of a step.
const BATCH: usize = 8;
/// Beginnings that the finished model continues, for the sources of cargo.
const CODE_PROMPTS: [&str; 3] = ["/// Returns the", "impl fmt::Display for", "#[test]\nfn "];

pub fn run(flags: &Quickstart, quiet: bool) -> Result<ExitCode> {
    let stop = interrupt::catch();
    let began = std::time::Instant::now();
    let say = |text: String| {
        if !quiet {
            show::heading(&text);
        }
    };
    let mut device = device(flags.threads)?;
    let name = run_name(flags);
    let folder = flags.folder.join(&name);
    let going_on = unfinished(&folder);

    let data = folder.join("data");
    let documents =
        flags.documents.as_ref().map_or("the sources that cargo has here".into(), |p| p.display().to_string());
    say(format!("1/4  documents: {documents}"));
    prepare::data(flags, &data, quiet)?;
    let account = DataFolder::open(&data)?;
    if !quiet {
        let s = account.summary();
        eprintln!(
            "     {} documents to train on ({}, {} tokens), {} held out, {} repetitions dropped, {} licences",
            show::count(s.train.documents),
            show::bytes(s.train.bytes),
            show::count(s.train.tokens),
            s.held_out.documents,
            s.dropped_by("duplicate").documents + s.dropped_by("near-duplicate").documents,
            s.licences.len()
        );
    }

    let config = match going_on {
        true => read_config(&folder)?,
        false => {
            say("2/4  model".into());
            choose(flags, &folder, &account, &mut *device, quiet)?
        }
    };
    let tokenizer = Tokenizer::from_dir(&config.data.tokenizer_folder())?;
    say(format!("3/4  training {} for {}", config.model.preset, config.train.duration));
    let run = Run::open(&config, false)?;
    let mut watch =
        TrainWatch::new(&config, std::slice::from_ref(&account), account.summary().sequence_length, &tokenizer, quiet)?;
    let outcome = train(&mut *device, &config, &run, &mut watch, stop);
    watch.finish();
    match outcome? {
        Outcome::Interrupted { progress, .. } => {
            eprintln!("saved step {}; the same command goes on: {}", progress.steps, command(flags, &name));
            Ok(ExitCode::from(exit::INTERRUPTED))
        }
        Outcome::Finished { model, progress } => {
            say("4/4  held-out text and samples".into());
            let finish = finish::Finish {
                flags,
                config: &config,
                run: &run,
                account: &account,
                tokenizer: &tokenizer,
                model: &model,
                progress,
                command: command(flags, &name),
                seconds: began.elapsed().as_secs_f64(),
                quiet,
            };
            finish.run(&mut *device)?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// The run's name: as asked, or the first `quickstart`, `quickstart-2`, … that is free or unfinished.
fn run_name(flags: &Quickstart) -> String {
    if let Some(name) = &flags.name {
        return name.clone();
    }
    let name = |n: usize| if n == 1 { "quickstart".to_string() } else { format!("quickstart-{n}") };
    let open = |name: &String| {
        let folder = flags.folder.join(name);
        !folder.join("results.json").exists() && !Run::is_locked(&folder)
    };
    (1..).map(name).find(open).expect("one of all numbers is free")
}

/// Whether a run was interrupted after its training had begun.
fn unfinished(folder: &Path) -> bool {
    let begun = checkpoint::list(&folder.join("checkpoints")).is_ok_and(|all| !all.is_empty());
    begun && folder.join("config.toml").exists() && !folder.join("results.json").exists()
}

fn read_config(folder: &Path) -> Result<TrainConfig> {
    let path = folder.join("config.toml");
    let text = std::fs::read_to_string(&path).map_err(|e| exit::io_at(&path, e))?;
    Ok(resolve(Some((&path.display().to_string(), &text)), &[])?.0)
}

/// The training's configuration: everything that the flags leave open is decided here.
fn choose(
    flags: &Quickstart,
    folder: &Path,
    account: &DataFolder,
    device: &mut dyn moeworks_ops::Ops,
    quiet: bool,
) -> Result<TrainConfig> {
    let mut config = TrainConfig::default();
    let text = |p: &Path| p.display().to_string();
    config.run.folder = text(&flags.folder);
    config.run.name = folder.file_name().map_or(String::new(), |n| n.to_string_lossy().into_owned());
    config.run.seed = flags.seed;
    config.data.path = text(&folder.join("data"));
    config.train.duration = match flags.steps {
        Some(steps) => Duration::Batches(steps),
        None => Duration::Seconds(60.0 * flags.minutes),
    };
    config.schedule.last = 0.02;
    (config.optimizer.beta2, config.optimizer.weight_decay) = (0.98, 0.3);
    config.loss.aux = 0.01;
    config.loss.z = 0.001;
    config.checkpoint.every = Duration::Seconds(60.0);
    config.evaluate.every = Duration::Share(0.25);
    config.evaluate.prompts = prompts(flags, account)?;
    config.model.max_seq_len = LENGTH;
    let summary = account.summary();
    let chosen = size::choose(flags, summary.vocab_size, summary.train.tokens, device, quiet)?;
    (config.model.preset, config.train.batch) = (chosen.size, chosen.batch);
    config.optimizer.learning_rate = size::learning_rate(moeworks_model::preset(&config.model.preset)?.d_model);
    Ok(config)
}

/// Beginnings for samples: of code, or the first words of held-out documents.
fn prompts(flags: &Quickstart, account: &DataFolder) -> Result<Vec<String>> {
    if flags.documents.is_none() {
        return Ok(CODE_PROMPTS.map(String::from).to_vec());
    }
    let mut prompts = Vec::new();
    for document in account.held_out()? {
        let text = document?.text;
        let words: Vec<&str> = text.split_whitespace().take(4).collect();
        if words.len() == 4 {
            prompts.push(words.join(" "));
        }
        if prompts.len() == 3 {
            break;
        }
    }
    Ok(if prompts.is_empty() { vec!["The".into()] } else { prompts })
}

/// The command that does this again.
fn command(flags: &Quickstart, name: &str) -> String {
    let mut words = vec![format!("{} quickstart", show::program()), format!("--name {name}")];
    if let Some(path) = &flags.documents {
        words.push(format!("--documents {}", path.display()));
    }
    if let Some(size) = &flags.size {
        words.push(format!("--size {size}"));
    }
    match flags.steps {
        Some(steps) => words.push(format!("--steps {steps}")),
        None => words.push(format!("--minutes {}", flags.minutes)),
    }
    if flags.folder != *"runs" {
        words.push(format!("--folder {}", flags.folder.display()));
    }
    words.push(format!("--seed {}", flags.seed));
    words.join(" ")
}
