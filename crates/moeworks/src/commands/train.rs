//! `train`: a run from its configuration.

use crate::cli::Train;
use crate::device::device;
use crate::watch::TrainWatch;
use crate::{exit, interrupt, show};
use anyhow::Result;
use moeworks_data::{DataFolder, SUMMARY_NAME};
use moeworks_text::Tokenizer;
use moeworks_train::config::{ConfigError, Setting, resolve};
use moeworks_train::{Outcome, Run, TrainConfig, report, stated, train};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// A training's configuration from a file and `key=value` words; the run is named after the file if it names itself
/// nothing.
pub fn load_config(path: &Path, words: &[String]) -> Result<(TrainConfig, Vec<Setting>)> {
    let name = path.display().to_string();
    let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Read { path: name.clone(), source })?;
    let (mut config, settings): (TrainConfig, _) = resolve(Some((&name, &text)), words)?;
    if config.run.name.is_empty() {
        config.run.name = path.file_stem().map_or("run".into(), |s| s.to_string_lossy().into_owned());
    }
    config.validate(&name)?;
    Ok((config, settings))
}

/// Folders of a configuration that `data build` made: those with held-out documents and an account for the report.
fn built(config: &TrainConfig) -> Vec<PathBuf> {
    config.data.folders().into_iter().filter(|folder| folder.join(SUMMARY_NAME).exists()).collect()
}

/// Writes a run's report, without its data where they cannot be read any more. What the training made is there whatever
/// becomes of the report, so its errors are told and end nothing.
pub fn report(run: &Run, config: &TrainConfig) -> Option<PathBuf> {
    let told = |e: report::ReportError| eprintln!("report: {e}");
    let with_data = report::write(run.path(), &built(config)).map_err(told).ok();
    with_data.or_else(|| report::write(run.path(), &[]).ok())
}

pub fn run(flags: &Train, quiet: bool) -> Result<ExitCode> {
    let (config, _) = load_config(&flags.config, &flags.settings)?;
    let stop = interrupt::catch();
    let data = built(&config).iter().map(|path| DataFolder::open(path)).collect::<Result<Vec<_>, _>>()?;
    let length = stated(&config.data.folders()[0])?.1;
    let tokenizer = Tokenizer::from_dir(&config.data.tokenizer_folder())?;
    let mut device = device(flags.threads)?;
    let run = Run::open(&config, flags.fresh)?;
    let mut watch = TrainWatch::new(&config, &data, length, &tokenizer, quiet)?;
    let outcome = train(&mut *device, &config, &run, &mut watch, stop);
    watch.finish();
    let outcome = outcome?;
    let report = report(&run, &config);
    match outcome {
        Outcome::Finished { model, progress } => {
            if !quiet {
                eprintln!("{} steps, {} tokens", progress.steps, show::count(progress.tokens));
                report.iter().for_each(|path| eprintln!("report: {}", path.display()));
                eprintln!("next: {} generate {} \"…\"", show::program(), model.display());
            }
            show::result(&model.display().to_string())?;
            Ok(ExitCode::SUCCESS)
        }
        Outcome::Interrupted { checkpoint, progress } => {
            if !quiet {
                eprintln!("saved step {} in {}; the same command goes on", progress.steps, checkpoint.display());
            }
            Ok(ExitCode::from(exit::INTERRUPTED))
        }
    }
}
