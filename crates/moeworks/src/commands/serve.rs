//! `serve`: the OpenAI-compatible server.

use crate::cli::Serve;
use crate::{device, exit};
use anyhow::{Context, Result};
use moeworks_serve::{Notice, ServeConfig};

/// The key of a server: from a file, or from the environment.
fn api_key(flags: &Serve) -> Result<Option<String>> {
    match &flags.api_key_file {
        Some(path) => {
            let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
            Ok(Some(text.trim().to_string()))
        }
        None => Ok(std::env::var("MOEWORKS_API_KEY").ok().filter(|key| !key.is_empty())),
    }
}

/// A folder's name as clients may write it.
fn public_name(folder: &str) -> String {
    let allowed = |c: char| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '-' };
    let name: String = folder.trim_start_matches('.').chars().map(allowed).take(96).collect();
    if name.is_empty() { "model".into() } else { name }
}

pub fn run(flags: &Serve, quiet: bool) -> Result<()> {
    let absolute = std::path::absolute(&flags.model)?;
    let folder = |p: &std::path::Path| p.file_name().map(|n| n.to_string_lossy().into_owned());
    // runs/NAME/model is called NAME.
    let own = match folder(&absolute) {
        Some(name) if name == "model" => absolute.parent().and_then(folder),
        other => other,
    };
    let name = flags.name.clone().unwrap_or_else(|| own.map_or("model".into(), |name| public_name(&name)));
    let config = ServeConfig {
        address: flags.address,
        api_key: api_key(flags)?,
        queue: flags.queue,
        fingerprint: format!(
            "moeworks-{}-{}",
            env!("CARGO_PKG_VERSION"),
            moeworks_eval::fingerprint_model(&flags.model).unwrap_or_default().chars().take(8).collect::<String>()
        ),
        ..ServeConfig::new(&name)
    };
    let engine = device::open(&flags.model, &flags.compute, device::answering(flags.slots, flags.context))?.engine()?;
    let limits = engine.limits();
    let kernels = engine.describe();
    let notify = move |notice: Notice| match notice {
        _ if quiet => {}
        Notice::Listening(address) => {
            eprintln!("{name}: {} sequences of {} tokens at once; {kernels}", limits.slots, limits.length);
            eprintln!("chat page: http://{address}/");
            eprintln!("API:       http://{address}/v1");
            eprintln!(
                "try:       curl http://{address}/v1/chat/completions -H 'content-type: application/json' \\\n             \
                 -d '{{\"model\": \"{name}\", \"messages\": [{{\"role\": \"user\", \"content\": \"Hello\"}}]}}'"
            );
        }
        Notice::Draining(time) => eprintln!("stopping; requests may finish for {} s", time.as_secs()),
        Notice::Panic(cause) => eprintln!("a step failed (its requests got an error, others go on): {cause}"),
    };
    match moeworks_serve::run(config, engine, notify) {
        Ok(()) => Ok(()),
        Err(e) => Err(e).map_err(|e| match e {
            moeworks_serve::ServeError::KeyNeeded { .. } => {
                exit::coded(exit::USAGE, format!("{e} (--api-key-file FILE or MOEWORKS_API_KEY)"))
            }
            moeworks_serve::ServeError::Listen { .. } => {
                exit::coded(exit::CANNOT_WRITE, format!("{e} (--address 127.0.0.1:PORT)"))
            }
            e => e.into(),
        }),
    }
}
