//! Checkpoints: a folder exists wholly or not at all, and its manifest, which is written last, holds the hash of
//! everything else.
//!
//! `step-000100/` has the model in f32 as a Hugging Face directory, `moments.safetensors` as the run keeps them, `state.json` (counters, data
//! position, configuration), and `manifest.json` (size and SHA-256 of every file).

use crate::config::{Progress, TrainConfig};
use crate::error::TrainError;
use bytemuck::allocation::pod_collect_to_vec;
use half::bf16;
use moeworks_data::LoaderState;
use moeworks_model::{Checkpoint, ModelError, Moments, SaveFormat, Store, Training, parameters};
use moeworks_ops::{DType, Ops, transfer};
use safetensors::tensor::{Dtype, SafeTensors, View, serialize_to_file};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// Everything of a run but its numbers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// Version of this form.
    pub schema: u32,
    /// How far it has come.
    pub progress: Progress,
    /// Where the loader stands.
    pub loader: LoaderState,
    /// Fingerprint of the tokenizer.
    pub tokenizer: String,
    /// The configuration.
    pub config: TrainConfig,
}

#[derive(Serialize, Deserialize)]
struct Manifest {
    schema: u32,
    files: BTreeMap<String, Entry>,
}

#[derive(Serialize, Deserialize, PartialEq)]
struct Entry {
    bytes: u64,
    sha256: String,
}

const MANIFEST: &str = "manifest.json";
const MOMENTS: &str = "moments.safetensors";
const STATE: &str = "state.json";

/// The folder of a step.
pub fn folder(root: &Path, step: u64) -> PathBuf {
    root.join(format!("step-{step:06}"))
}

/// All checkpoint folders, newest first.
pub fn list(root: &Path) -> Result<Vec<(u64, PathBuf)>, TrainError> {
    if !root.exists() {
        return Ok(Vec::new());
    }
    let mut all = Vec::new();
    for entry in std::fs::read_dir(root).map_err(TrainError::io(root))? {
        let path = entry.map_err(TrainError::io(root))?.path();
        let name = path.file_name().and_then(|n| n.to_str()).unwrap_or_default();
        if let Some(step) = name.strip_prefix("step-").and_then(|n| n.parse::<u64>().ok()) {
            all.push((step, path));
        }
    }
    all.sort_by_key(|(step, _)| std::cmp::Reverse(*step));
    Ok(all)
}

/// Writes a checkpoint, reads it back, and only then deletes those beyond the newest `keep`.
pub fn save(
    ops: &mut dyn Ops,
    root: &Path,
    training: &Training,
    moments: &Moments,
    state: &State,
    keep: usize,
) -> Result<PathBuf, TrainError> {
    let step = state.progress.steps;
    let partial = root.join(format!("step-{step:06}.partial"));
    let whole = folder(root, step);
    for old in [&partial, &whole] {
        if old.exists() {
            std::fs::remove_dir_all(old).map_err(TrainError::io(old))?;
        }
    }
    std::fs::create_dir_all(&partial).map_err(TrainError::io(&partial))?;
    training.save(ops, &partial, SaveFormat::F32)?;
    save_moments(ops, &partial.join(MOMENTS), training, moments)?;
    write_json(&partial.join(STATE), state)?;
    let mut files = BTreeMap::new();
    for entry in std::fs::read_dir(&partial).map_err(TrainError::io(&partial))? {
        let path = entry.map_err(TrainError::io(&partial))?.path();
        let name = path.file_name().and_then(|n| n.to_str()).unwrap_or_default().to_string();
        files.insert(name, entry_of(&path)?);
    }
    write_json(&partial.join(MANIFEST), &Manifest { schema: 1, files })?;
    sync(&partial)?;
    std::fs::rename(&partial, &whole).map_err(TrainError::io(&whole))?;
    sync(root)?;
    verify(&whole)?;
    for (_, old) in list(root)?.into_iter().skip(keep) {
        std::fs::remove_dir_all(&old).map_err(TrainError::io(&old))?;
    }
    Ok(whole)
}

/// The newest checkpoint that is whole, with a line for every newer one that is not. None if there are no checkpoints.
pub fn newest(root: &Path) -> Result<Option<(PathBuf, Vec<String>)>, TrainError> {
    let all = list(root)?;
    let mut reasons = Vec::new();
    for (_, path) in &all {
        match verify(path) {
            Ok(()) => return Ok(Some((path.clone(), reasons))),
            Err(e) => reasons.push(format!("  {e}")),
        }
    }
    if all.is_empty() {
        return Ok(None);
    }
    Err(TrainError::NoWholeCheckpoint { path: root.to_path_buf(), reasons: reasons.join("\n") })
}

/// Checks every file of a checkpoint against its manifest.
pub fn verify(dir: &Path) -> Result<(), TrainError> {
    let path = dir.join(MANIFEST);
    let manifest: Manifest = read_json(&path)?;
    for (name, wanted) in &manifest.files {
        let path = dir.join(name);
        let found = entry_of(&path)?;
        if found != *wanted {
            let reason = format!(
                "is damaged: {} bytes with SHA-256 {}, the manifest says {} bytes with {}",
                found.bytes, found.sha256, wanted.bytes, wanted.sha256
            );
            return Err(TrainError::Checkpoint { path, reason });
        }
    }
    Ok(())
}

/// Reads the state of a verified checkpoint.
pub fn read_state(dir: &Path) -> Result<State, TrainError> {
    read_json(&dir.join(STATE))
}

/// Reads the model of a verified checkpoint.
pub fn open_model(dir: &Path) -> Result<Checkpoint, ModelError> {
    Checkpoint::open(dir)
}

/// Reads the moments of a verified checkpoint into place.
pub fn restore_moments(
    ops: &mut dyn Ops,
    dir: &Path,
    training: &Training,
    moments: &Moments,
) -> Result<(), TrainError> {
    let path = dir.join(MOMENTS);
    let damaged = |reason: String| TrainError::Checkpoint { path: path.clone(), reason };
    let bytes = std::fs::read(&path).map_err(TrainError::io(&path))?;
    let file = SafeTensors::deserialize(&bytes).map_err(|e| damaged(e.to_string()))?;
    for (name, tensor, shape) in named(training, moments) {
        let view = file.tensor(&name).map_err(|e| damaged(format!("tensor {name}: {e}")))?;
        if view.shape() != shape {
            return Err(damaged(format!("tensor {name} has {:?}, expected {shape:?}", view.shape())));
        }
        // Another device may have kept them in another format.
        let numbers: Vec<f64> = match view.dtype() {
            Dtype::F32 => pod_collect_to_vec::<u8, f32>(view.data()).into_iter().map(f64::from).collect(),
            Dtype::BF16 => pod_collect_to_vec::<u8, bf16>(view.data()).into_iter().map(f64::from).collect(),
            other => return Err(damaged(format!("tensor {name} is {other:?}, expected F32 or BF16"))),
        };
        transfer::write_floats(ops, &tensor, &numbers);
    }
    Ok(())
}

/// Every moment with its name in the file and its shape.
fn named(training: &Training, moments: &Moments) -> Vec<(String, moeworks_ops::Tensor, Vec<usize>)> {
    let of = |prefix: &str, store: &Store| -> Vec<_> {
        parameters(&training.config)
            .into_iter()
            .map(|(p, shape)| (format!("{prefix}.{p:?}"), store.get(p), shape))
            .collect()
    };
    [of("m", &moments.m), moments.v.as_ref().map_or(Vec::new(), |v| of("v", v))].concat()
}

struct Moment<'s, 'a> {
    tensor: moeworks_ops::Tensor,
    shape: Vec<usize>,
    ops: &'s RefCell<&'a mut dyn Ops>,
}

impl View for Moment<'_, '_> {
    fn dtype(&self) -> Dtype {
        if self.tensor.dtype == DType::Bf16 { Dtype::BF16 } else { Dtype::F32 }
    }
    fn shape(&self) -> &[usize] {
        &self.shape
    }
    fn data_len(&self) -> usize {
        self.tensor.bytes()
    }
    fn data(&self) -> Cow<'_, [u8]> {
        let mut bytes = vec![0; self.tensor.bytes()];
        self.ops.borrow_mut().download(&self.tensor, &mut bytes);
        Cow::Owned(bytes)
    }
}

fn save_moments(ops: &mut dyn Ops, path: &Path, training: &Training, moments: &Moments) -> Result<(), TrainError> {
    let ops = RefCell::new(ops);
    let moment = |(name, tensor, shape)| (name, Moment { tensor, shape, ops: &ops });
    let all: Vec<(String, Moment)> = named(training, moments).into_iter().map(moment).collect();
    serialize_to_file(all, None, path).map_err(|e| match e {
        safetensors::SafeTensorError::IoError(source) => TrainError::Io { path: path.to_path_buf(), source },
        other => TrainError::Checkpoint { path: path.to_path_buf(), reason: other.to_string() },
    })?;
    let file = File::open(path).map_err(TrainError::io(path))?;
    file.sync_all().map_err(TrainError::io(path))
}

fn entry_of(path: &Path) -> Result<Entry, TrainError> {
    let mut file = File::open(path).map_err(TrainError::io(path))?;
    let (mut hasher, mut bytes, mut buffer) = (Sha256::new(), 0, vec![0; 1 << 20]);
    loop {
        let n = file.read(&mut buffer).map_err(TrainError::io(path))?;
        if n == 0 {
            break;
        }
        hasher.update(&buffer[..n]);
        bytes += n as u64;
    }
    let sha256 = hasher.finalize().iter().map(|b| format!("{b:02x}")).collect();
    Ok(Entry { bytes, sha256 })
}

fn write_json(path: &Path, value: &impl Serialize) -> Result<(), TrainError> {
    let text = serde_json::to_string_pretty(value).expect("plain JSON") + "\n";
    std::fs::write(path, text).map_err(TrainError::io(path))?;
    let file = File::open(path).map_err(TrainError::io(path))?;
    file.sync_all().map_err(TrainError::io(path))
}

fn read_json<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T, TrainError> {
    let text = std::fs::read_to_string(path).map_err(TrainError::io(path))?;
    serde_json::from_str(&text).map_err(|e| TrainError::Checkpoint {
        path: path.to_path_buf(),
        reason: format!("is not what this version writes: {e}"),
    })
}

/// Makes a folder's entries durable.
fn sync(dir: &Path) -> Result<(), TrainError> {
    #[cfg(unix)]
    File::open(dir).and_then(|d| d.sync_all()).map_err(TrainError::io(dir))?;
    #[cfg(not(unix))]
    let _ = dir;
    Ok(())
}
