//! `logits` and `gradients`: numbers to hold against any other implementation.

use crate::cli::Compare;
use crate::device::device;
use crate::exit;
use anyhow::{Context, Result};
use moeworks_model::huggingface::names::{pieces_of, transpose_each};
use moeworks_model::{Batch, Checkpoint, Layout, LossScale, Training, parameters};
use moeworks_ops::{Ops, Precision, transfer};
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView, serialize_to_file};
use std::path::Path;

/// The rows of `input_ids`.
fn read_ids(path: &Path) -> Result<Vec<Vec<i32>>> {
    let bad = |reason: String| exit::coded(exit::BAD_DATA, format!("{}: {reason}", path.display()));
    let bytes = std::fs::read(path).with_context(|| path.display().to_string())?;
    let file = SafeTensors::deserialize(&bytes).map_err(|e| bad(format!("not a safetensors file: {e}")))?;
    let ids = file.tensor("input_ids").map_err(|_| bad("has no tensor input_ids".into()))?;
    let &[rows, length] = ids.shape() else {
        return Err(bad(format!("input_ids has shape {:?}, must be [B, T]", ids.shape())));
    };
    if ids.dtype() != Dtype::I64 || rows == 0 || length == 0 {
        return Err(bad(format!("input_ids is {} [{rows}, {length}], must be I64 and not empty", ids.dtype())));
    }
    let mut all = Vec::with_capacity(rows * length);
    for (i, bytes) in ids.data().chunks_exact(8).enumerate() {
        let id = i64::from_le_bytes(bytes.try_into().expect("eight bytes"));
        let small = i32::try_from(id).ok().filter(|id| *id >= 0);
        let (row, position) = (i / length, i % length);
        all.push(small.ok_or_else(|| bad(format!("id {id} at row {row}, position {position} is no token")))?);
    }
    Ok(all.chunks(length).map(<[i32]>::to_vec).collect())
}

struct Loaded {
    device: moeworks_infer::Device,
    training: Training,
    batch: Batch,
    rows: usize,
}

fn load(flags: &Compare) -> Result<Loaded> {
    let ids = read_ids(&flags.ids)?;
    let checkpoint = Checkpoint::open(&flags.model)?;
    let precision = flags.compute.precision.or(Precision::F32);
    let sequences: Vec<&[i32]> = ids.iter().map(Vec::as_slice).collect();
    let batch = Batch::next_token(&checkpoint.config, &sequences, None)?;
    let mut device = device(flags.compute.threads)?;
    let (config, length) = (&checkpoint.config, ids[0].len());
    let source = |p| checkpoint.parameter(p);
    let training = Training::load(&mut *device, config, precision, Layout::of(batch.rows(), length), source)?;
    Ok(Loaded { device, training, batch, rows: ids.len() })
}

/// A named float32 tensor.
type Named = (String, Vec<usize>, Vec<f32>);

fn write(path: &Path, tensors: &[Named]) -> Result<()> {
    let bytes: Vec<Vec<u8>> = tensors.iter().map(|t| t.2.iter().flat_map(|v| v.to_le_bytes()).collect()).collect();
    let views = tensors.iter().zip(&bytes).map(|((name, shape, _), bytes)| {
        let view = TensorView::new(Dtype::F32, shape.clone(), bytes).expect("as many bytes as the shape says");
        (name.clone(), view)
    });
    serialize_to_file(views, None, path).map_err(|e| match e {
        safetensors::SafeTensorError::IoError(e) => anyhow::Error::from(e).context(path.display().to_string()),
        other => exit::coded(exit::IO, format!("{}: {other}", path.display())),
    })
}

fn narrow(values: Vec<f64>) -> Vec<f32> {
    values.into_iter().map(|v| v as f32).collect()
}

pub fn logits(flags: &Compare) -> Result<()> {
    let Loaded { mut device, training, batch, rows } = load(flags)?;
    let logits = narrow(training.logits(&mut *device, &batch));
    let shape = vec![rows, batch.rows() / rows, training.config.vocab_size];
    write(&flags.out, &[("logits".into(), shape, logits)])
}

pub fn gradients(flags: &Compare) -> Result<()> {
    let Loaded { mut device, training, batch, .. } = load(flags)?;
    let ops: &mut dyn Ops = &mut *device;
    let aux = training.config.aux_coefficient;
    let scale = LossScale { targets: batch.counted().max(1), share: 1.0, aux, z: 0.0 };
    let losses = training.step(ops, &batch, scale, true);
    let loss = losses.nll / scale.targets as f64 + aux * losses.aux;
    let mut tensors = vec![("loss".to_string(), vec![], vec![loss as f32])];
    for (parameter, shape) in parameters(&training.config) {
        let all = narrow(transfer::read_floats(ops, &training.gradients.get(parameter)));
        for piece in pieces_of(&training.config, parameter, &shape) {
            let part = &all[piece.offset..piece.offset + piece.len()];
            let values = match shape.as_slice() {
                &[.., outputs, inputs] if piece.transposed => transpose_each(part, outputs, inputs),
                _ => part.to_vec(),
            };
            tensors.push((piece.name, piece.shape, values));
        }
    }
    write(&flags.out, &tensors)
}
