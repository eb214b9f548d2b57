//! `config show`: every value and where it came from.

use super::train::load_config;
use crate::cli::ConfigCommand;
use crate::show;
use anyhow::Result;
use moeworks_train::TrainConfig;
use moeworks_train::config::resolve;

pub fn run(command: &ConfigCommand) -> Result<()> {
    let ConfigCommand::Show { config, settings, json } = command;
    // The first word may be a setting where no file is given.
    let (file, words) = match config {
        Some(path) if !path.to_string_lossy().contains('=') => (Some(path.clone()), settings.clone()),
        Some(word) => (None, [vec![word.to_string_lossy().into_owned()], settings.clone()].concat()),
        None => (None, settings.clone()),
    };
    let settings = match file {
        Some(path) => load_config(&path, &words)?.1,
        None => resolve::<TrainConfig>(None, &words)?.1,
    };
    if *json {
        show::result(&serde_json::to_string_pretty(&settings)?)?;
        return Ok(());
    }
    let width = |f: fn(&moeworks_train::config::Setting) -> &str| {
        settings.iter().map(|s| f(s).chars().count()).max().unwrap_or(0)
    };
    let (keys, values) = (width(|s| &s.key), width(|s| &s.value).min(40));
    for s in &settings {
        show::result(&format!("{:keys$}  {:values$}  {}", s.key, s.value, s.origin))?;
    }
    Ok(())
}
