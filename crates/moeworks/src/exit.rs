//! Exit codes, those of sysexits.h where they fit, and how an error is told.

use moeworks_cpu::IsaError;
use moeworks_data::{DataError, Fault};
use moeworks_eval::EvalError;
use moeworks_model::ModelError;
use moeworks_ops::OutOfMemory;
use moeworks_serve::ServeError;
use moeworks_text::TextError;
use moeworks_train::TrainError;
use moeworks_train::config::ConfigError;
use std::io;
use std::process::ExitCode;

/// The words on the command line mean nothing.
pub const USAGE: u8 = 2;
/// A file's content is wrong.
pub const BAD_DATA: u8 = 65;
/// A file is missing.
pub const MISSING: u8 = 66;
/// Our fault.
pub const BUG: u8 = 70;
/// An output cannot be made.
pub const CANNOT_WRITE: u8 = 73;
/// Reading or writing failed.
pub const IO: u8 = 74;
/// Stopped on request; the same command goes on.
pub const INTERRUPTED: u8 = 75;
/// A configuration that cannot be.
pub const BAD_CONFIGURATION: u8 = 78;

/// An error with a code of its own, for what this crate finds by itself.
#[derive(Debug)]
pub struct Coded {
    /// The exit code.
    pub code: u8,
    /// What is wrong and what to do.
    pub message: String,
}

impl std::fmt::Display for Coded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Coded {}

/// An error with an exit code.
pub fn coded(code: u8, message: impl Into<String>) -> anyhow::Error {
    Coded { code, message: message.into() }.into()
}

/// An input or output error with its path.
pub fn io_at(path: &std::path::Path, error: io::Error) -> anyhow::Error {
    anyhow::Error::from(error).context(path.display().to_string())
}

/// Tells an error on stderr and gives its exit code.
pub fn report(error: &anyhow::Error) -> ExitCode {
    eprintln!("error: {}", message(error));
    ExitCode::from(code(error))
}

/// An error with its causes, without those that it repeats.
fn message(error: &anyhow::Error) -> String {
    error
        .chain()
        .skip(1)
        .map(ToString::to_string)
        .fold(error.to_string(), |told, cause| if told.contains(&cause) { told } else { format!("{told}: {cause}") })
}

/// From here on a panic says that it is our fault.
pub fn report_panics() {
    std::panic::set_hook(Box::new(|panic| {
        eprintln!("error: this is a bug of moeworks {}: {panic}", env!("CARGO_PKG_VERSION"));
        eprintln!("please report it with the command that you ran; no data of yours is in this message");
    }));
}

fn code(error: &anyhow::Error) -> u8 {
    error
        .chain()
        .find_map(|cause| {
            None.or_else(|| cause.downcast_ref::<Coded>().map(|e| e.code))
                .or_else(|| cause.downcast_ref().map(train))
                .or_else(|| cause.downcast_ref().map(data))
                .or_else(|| cause.downcast_ref().map(model))
                .or_else(|| cause.downcast_ref().map(text))
                .or_else(|| cause.downcast_ref().map(eval))
                .or_else(|| cause.downcast_ref().map(serve))
                .or_else(|| cause.downcast_ref().map(config))
                .or_else(|| cause.downcast_ref::<IsaError>().map(|_| BAD_CONFIGURATION))
                .or_else(|| cause.downcast_ref::<OutOfMemory>().map(|_| BAD_CONFIGURATION))
                .or_else(|| cause.downcast_ref().map(io))
        })
        .unwrap_or(BAD_DATA)
}

fn io(error: &io::Error) -> u8 {
    match error.kind() {
        io::ErrorKind::NotFound => MISSING,
        io::ErrorKind::PermissionDenied
        | io::ErrorKind::StorageFull
        | io::ErrorKind::QuotaExceeded
        | io::ErrorKind::FileTooLarge
        | io::ErrorKind::ReadOnlyFilesystem
        | io::ErrorKind::AlreadyExists => CANNOT_WRITE,
        io::ErrorKind::Interrupted => INTERRUPTED,
        _ => IO,
    }
}

fn config(error: &ConfigError) -> u8 {
    match error {
        ConfigError::Read { source, .. } => io(source),
        _ => BAD_CONFIGURATION,
    }
}

fn data(error: &DataError) -> u8 {
    match error.fault() {
        Fault::BadData => BAD_DATA,
        Fault::MissingInput => MISSING,
        Fault::CannotWrite => CANNOT_WRITE,
        Fault::Io => IO,
        Fault::Interrupted => INTERRUPTED,
        Fault::BadConfiguration => BAD_CONFIGURATION,
    }
}

fn model(error: &ModelError) -> u8 {
    match error {
        ModelError::Missing { .. } => MISSING,
        ModelError::Io { source, .. } => io(source),
        ModelError::Config { .. } | ModelError::Unsupported { .. } | ModelError::Architecture { .. } => {
            BAD_CONFIGURATION
        }
        ModelError::UnknownPreset { .. } | ModelError::TooLong { .. } | ModelError::OutOfMemory(_) => BAD_CONFIGURATION,
        _ => BAD_DATA,
    }
}

fn text(error: &TextError) -> u8 {
    match error {
        TextError::Io { source, .. } => io(source),
        _ => BAD_DATA,
    }
}

fn train(error: &TrainError) -> u8 {
    match error {
        TrainError::Config(e) => config(e),
        TrainError::Model(e) => model(e),
        TrainError::Data(e) => data(e),
        TrainError::Text(e) => text(e),
        TrainError::Io { source, .. } => io(source),
        TrainError::Memory(_)
        | TrainError::Changed { .. }
        | TrainError::Vocabulary { .. }
        | TrainError::Diverged { .. }
        | TrainError::Tokenizer { .. } => BAD_CONFIGURATION,
        TrainError::Locked { .. } => CANNOT_WRITE,
        _ => BAD_DATA,
    }
}

fn eval(error: &EvalError) -> u8 {
    match error {
        EvalError::Missing { .. } => MISSING,
        EvalError::Interrupted { .. } => INTERRUPTED,
        EvalError::UnknownSuite { .. } => USAGE,
        EvalError::Description { .. } => BAD_CONFIGURATION,
        EvalError::Read { source, .. } => io(source),
        _ => BAD_DATA,
    }
}

fn serve(error: &ServeError) -> u8 {
    match error {
        ServeError::Listen { .. } => CANNOT_WRITE,
        ServeError::Start(e) => io(e),
        _ => USAGE,
    }
}
