//! Writing a model directory that transformers opens.

use super::config;
use super::names::{Piece, pieces_of, transpose_each};
use crate::config::Config;
use crate::error::ModelError;
use crate::parameters::{Parameter, parameters};
use half::bf16;
use safetensors::tensor::{Dtype, SafeTensorError, View, serialize_to_file};
use serde_json::json;
use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::path::Path;

/// Number format of the weights on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SaveFormat {
    /// 4 bytes an element.
    F32,
    /// 2 bytes an element, rounded to nearest even.
    Bf16,
}

impl SaveFormat {
    fn dtype(self) -> Dtype {
        if self == SaveFormat::F32 { Dtype::F32 } else { Dtype::BF16 }
    }

    fn bytes(self) -> usize {
        if self == SaveFormat::F32 { 4 } else { 2 }
    }
}

/// A source of parameters: a range of the elements of one, row-major.
pub type Source<'a> = dyn FnMut(Parameter, Range<usize>) -> Vec<f32> + 'a;

/// A tensor that fetches its numbers when the file is written, so that no second copy of the model is held.
struct Lazy<'s, 'a> {
    piece: Piece,
    /// Outputs and inputs of the parameter's matrices.
    matrix: (usize, usize),
    format: SaveFormat,
    source: &'s RefCell<&'a mut Source<'a>>,
}

impl View for Lazy<'_, '_> {
    fn dtype(&self) -> Dtype {
        self.format.dtype()
    }
    fn shape(&self) -> &[usize] {
        &self.piece.shape
    }
    fn data_len(&self) -> usize {
        self.piece.len() * self.format.bytes()
    }
    fn data(&self) -> Cow<'_, [u8]> {
        let range = self.piece.offset..self.piece.offset + self.piece.len();
        let mut values = (self.source.borrow_mut())(self.piece.parameter, range);
        if self.piece.transposed {
            values = transpose_each(&values, self.matrix.0, self.matrix.1);
        }
        match self.format {
            SaveFormat::F32 => values.iter().flat_map(|v| v.to_le_bytes()).collect(),
            SaveFormat::Bf16 => values.iter().flat_map(|v| bf16::from_f32(*v).to_le_bytes()).collect(),
        }
    }
}

/// Writes config.json, generation_config.json and the weights into an existing folder; weights beyond `shard_bytes`
/// go to several files with an index. Every file appears whole or not at all.
pub fn save<'a>(
    dir: &Path,
    config: &Config,
    format: SaveFormat,
    shard_bytes: usize,
    source: &'a mut Source<'a>,
) -> Result<(), ModelError> {
    let dtype = if format == SaveFormat::F32 { "float32" } else { "bfloat16" };
    write_json(&dir.join("config.json"), &config::write(config, dtype))?;
    let generation = match config.eos_token_ids.as_slice() {
        [] => json!({"_from_model_config": true}),
        ids => json!({"_from_model_config": true, "bos_token_id": config.bos_token_id, "eos_token_id": ids}),
    };
    write_json(&dir.join("generation_config.json"), &generation)?;

    let source = RefCell::new(source);
    let mut shards: Vec<(usize, Vec<Lazy>)> = vec![(0, Vec::new())];
    for (parameter, shape) in parameters(config) {
        let matrix = match shape.as_slice() {
            [.., outputs, inputs] => (*outputs, *inputs),
            _ => (1, 1),
        };
        for piece in pieces_of(config, parameter, &shape) {
            let tensor = Lazy { piece, matrix, format, source: &source };
            let bytes = tensor.data_len();
            if shards.last().is_some_and(|(held, tensors)| !tensors.is_empty() && held + bytes > shard_bytes) {
                shards.push((0, Vec::new()));
            }
            let (held, tensors) = shards.last_mut().expect("starts with one");
            *held += bytes;
            tensors.push(tensor);
        }
    }
    let count = shards.len();
    let (mut total, mut weight_map) = (0, BTreeMap::new());
    for (i, (bytes, tensors)) in shards.into_iter().enumerate() {
        let file = match count {
            1 => "model.safetensors".to_string(),
            _ => format!("model-{:05}-of-{count:05}.safetensors", i + 1),
        };
        total += bytes;
        for tensor in &tensors {
            weight_map.insert(tensor.piece.name.clone(), file.clone());
        }
        let named: Vec<(String, Lazy)> = tensors.into_iter().map(|t| (t.piece.name.clone(), t)).collect();
        let path = dir.join(file);
        // transformers refuses files that do not say which framework's layout they have.
        let metadata = HashMap::from([("format".to_string(), "pt".to_string())]);
        serialize_to_file(named, Some(metadata), &path).map_err(|e| match e {
            SafeTensorError::IoError(e) => ModelError::io(&path, e),
            other => ModelError::Damaged { path: path.clone(), reason: other.to_string() },
        })?;
        make_readable(&path)?;
    }
    if count > 1 {
        let index = json!({"metadata": {"total_size": total}, "weight_map": weight_map});
        write_json(&dir.join("model.safetensors.index.json"), &index)?;
    }
    Ok(())
}

/// The writer's temporary files are private to the user; a model is not.
fn make_readable(path: &Path) -> Result<(), ModelError> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = std::fs::Permissions::from_mode(0o644);
        std::fs::set_permissions(path, mode).map_err(|e| ModelError::io(path, e))?;
    }
    let file = std::fs::File::open(path).map_err(|e| ModelError::io(path, e))?;
    file.sync_all().map_err(|e| ModelError::io(path, e))
}

fn write_json(path: &Path, value: &serde_json::Value) -> Result<(), ModelError> {
    let text = serde_json::to_string_pretty(value).expect("plain JSON") + "\n";
    let partial = path.with_extension("json.partial");
    std::fs::write(&partial, text).map_err(|e| ModelError::io(&partial, e))?;
    std::fs::rename(&partial, path).map_err(|e| ModelError::io(path, e))
}
