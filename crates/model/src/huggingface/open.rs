//! Reading a model directory: every file is checked before a number of it is believed.

use super::config;
use super::names::{Piece, pieces, pieces_of, transpose_each};
use crate::config::Config;
use crate::error::ModelError;
use crate::parameters::{Parameter, parameters};
use half::{bf16, f16};
use safetensors::Dtype;
use safetensors::tensor::Metadata;
use serde::Deserialize;
use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// No header of a real model comes near this; a larger one is an attack or damage.
const MAX_HEADER: u64 = 100 << 20;

/// A tensor of a file that has been checked.
#[derive(Clone, Debug)]
struct Located {
    path: PathBuf,
    dtype: Dtype,
    start: u64,
    bytes: u64,
}

/// A model directory whose configuration and files agree.
#[derive(Debug)]
pub struct Checkpoint {
    /// The configuration.
    pub config: Config,
    dir: PathBuf,
    tensors: HashMap<String, Located>,
}

impl Checkpoint {
    /// Opens a directory and checks that it holds every tensor of its configuration, in the right shape, in a number
    /// format that is read, and no tensor that has no place. Numbers are not read yet.
    pub fn open(dir: &Path) -> Result<Self, ModelError> {
        let config = config::read(dir)?;
        let mut tensors = HashMap::new();
        let expected: HashMap<String, Piece> = pieces(&config).into_iter().map(|p| (p.name.clone(), p)).collect();
        for path in files(dir)? {
            let (header, data) = read_header(&path)?;
            for name in header.offset_keys() {
                let info = header.info(&name).expect("a key of the header");
                let Some(piece) = expected.get(&name) else {
                    if is_inert(&name, &config) {
                        continue;
                    }
                    return Err(ModelError::UnexpectedTensor { path, name });
                };
                if info.shape != piece.shape {
                    let (found, expected) = (info.shape.clone(), piece.shape.clone());
                    return Err(ModelError::WrongShape { path, name, found, expected });
                }
                if !matches!(info.dtype, Dtype::F32 | Dtype::F16 | Dtype::BF16) {
                    return Err(ModelError::WrongFormat { path, name, found: info.dtype.to_string() });
                }
                let (from, to) = info.data_offsets;
                let located = Located {
                    path: path.clone(),
                    dtype: info.dtype,
                    start: data + from as u64,
                    bytes: (to - from) as u64,
                };
                if let Some(twice) = tensors.insert(name.clone(), located) {
                    let reason = format!("tensor {name} is in {} too", twice.path.display());
                    return Err(ModelError::Damaged { path, reason });
                }
            }
        }
        for piece in pieces(&config) {
            if !tensors.contains_key(&piece.name) {
                let place = dir.to_path_buf();
                return Err(ModelError::MissingTensor { place, name: piece.name, shape: piece.shape });
            }
        }
        Ok(Checkpoint { config, dir: dir.to_path_buf(), tensors })
    }

    /// The directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Whether every tensor is stored in f32.
    pub fn is_f32(&self) -> bool {
        self.tensors.values().all(|t| t.dtype == Dtype::F32)
    }

    /// Reads one parameter, widened to f32, and checks that every element is finite.
    pub fn parameter(&self, parameter: Parameter) -> Result<Vec<f32>, ModelError> {
        let all = parameters(&self.config);
        let (_, shape) = all.iter().find(|(p, _)| *p == parameter).expect("a parameter of this configuration");
        let mut values = Vec::with_capacity(shape.iter().product());
        for piece in pieces_of(&self.config, parameter, shape) {
            let numbers = self.numbers(&piece)?;
            if piece.transposed {
                let (outputs, inputs) = (shape[shape.len() - 2], shape[shape.len() - 1]);
                values.extend(transpose_each(&numbers, inputs, outputs));
            } else {
                values.extend(numbers);
            }
        }
        Ok(values)
    }

    fn numbers(&self, piece: &Piece) -> Result<Vec<f32>, ModelError> {
        let t = &self.tensors[&piece.name];
        let mut bytes = vec![0; t.bytes as usize];
        let read = |bytes: &mut [u8]| -> std::io::Result<()> {
            let mut file = File::open(&t.path)?;
            file.seek(SeekFrom::Start(t.start))?;
            file.read_exact(bytes)
        };
        read(&mut bytes).map_err(|e| ModelError::io(&t.path, e))?;
        let two = |c: &[u8]| [c[0], c[1]];
        let values: Vec<f32> = match t.dtype {
            Dtype::F32 => bytes.chunks_exact(4).map(|c| f32::from_le_bytes([c[0], c[1], c[2], c[3]])).collect(),
            Dtype::F16 => bytes.chunks_exact(2).map(|c| f16::from_le_bytes(two(c)).to_f32()).collect(),
            _ => bytes.chunks_exact(2).map(|c| bf16::from_le_bytes(two(c)).to_f32()).collect(),
        };
        match values.iter().position(|v| !v.is_finite()) {
            None => Ok(values),
            Some(element) => Err(ModelError::NotFinite {
                path: t.path.clone(),
                name: piece.name.clone(),
                element,
                value: values[element],
            }),
        }
    }
}

/// Tensors that some writers add and that mean nothing: stored rotary frequencies, and a copy of a tied head.
fn is_inert(name: &str, config: &Config) -> bool {
    name.ends_with("rotary_emb.inv_freq") || (config.tie_embeddings && name == "lm_head.weight")
}

/// The weight files of a directory: one file, or the shards that the index names.
fn files(dir: &Path) -> Result<Vec<PathBuf>, ModelError> {
    #[derive(Deserialize)]
    struct Index {
        weight_map: BTreeMap<String, String>,
    }
    let index = dir.join("model.safetensors.index.json");
    if !index.exists() {
        return Ok(vec![dir.join("model.safetensors")]);
    }
    let text = std::fs::read_to_string(&index).map_err(|e| ModelError::io(&index, e))?;
    let parsed: Index =
        serde_json::from_str(&text).map_err(|e| ModelError::Json { path: index.clone(), reason: e.to_string() })?;
    let mut names: Vec<String> = parsed.weight_map.into_values().collect();
    names.sort();
    names.dedup();
    // A shard is a file of this folder and nothing else: no path leads out of it.
    if let Some(name) = names.iter().find(|n| Path::new(n).file_name() != Some(n.as_ref())) {
        let reason = format!("weight_map names {name:?}, which is not a plain file name");
        return Err(ModelError::Json { path: index, reason });
    }
    Ok(names.into_iter().map(|n| dir.join(n)).collect())
}

/// The header of a safetensors file, and where its data starts.
fn read_header(path: &Path) -> Result<(Metadata, u64), ModelError> {
    let damaged = |reason: String| ModelError::Damaged { path: path.to_path_buf(), reason };
    let io = |e| ModelError::io(path, e);
    let mut file = File::open(path).map_err(io)?;
    let length = file.metadata().map_err(io)?.len();
    let mut eight = [0; 8];
    if length < 8 {
        return Err(damaged(format!("it has {length} bytes, less than a header")));
    }
    file.read_exact(&mut eight).map_err(io)?;
    let header = u64::from_le_bytes(eight);
    if header > MAX_HEADER || header > length - 8 {
        return Err(damaged(format!("its header claims {header} bytes, the file has {length}")));
    }
    let mut text = vec![0; header as usize];
    file.read_exact(&mut text).map_err(io)?;
    let metadata: Metadata = serde_json::from_slice(&text).map_err(|e| damaged(format!("header: {e}")))?;
    let (claimed, found) = (metadata.data_len() as u64, length - 8 - header);
    if claimed != found {
        return Err(damaged(format!("its header describes {claimed} bytes of tensors, the file has {found}")));
    }
    Ok((metadata, 8 + header))
}
