//! Model directories: what is saved is opened again, and every kind of damage is an error that names its place.

use moeworks_model::huggingface::save;
use moeworks_model::{Architecture, Checkpoint, Config, Layout, ModelError, SaveFormat, Training, parameters, preset};
use moeworks_ops::{Precision, Reference};
use std::path::Path;

/// One small model of every family.
fn families() -> Vec<Config> {
    let dbrx = Config { vocab_size: 50, n_layers: 1, n_experts: 3, top_k: 2, ..preset("tiny").unwrap() };
    let mixtral = Config { architecture: Architecture::Mixtral, clip_qkv: None, ..dbrx.clone() };
    let llama = Config {
        architecture: Architecture::Llama,
        n_experts: 1,
        top_k: 1,
        tie_embeddings: true,
        aux_coefficient: 0.0,
        ..mixtral.clone()
    };
    vec![dbrx, mixtral, llama]
}

fn saved(config: &Config, dir: &Path, format: SaveFormat, shard_bytes: usize) -> Vec<Vec<f32>> {
    let mut ops = Reference::new();
    let training = Training::new(&mut ops, config, Precision::F32, Layout::of(4, 4), 7).unwrap();
    let mut values = |p| -> Vec<f32> { training.parameter(&mut ops, p).into_iter().map(|v| v as f32).collect() };
    let all: Vec<Vec<f32>> = parameters(config).into_iter().map(|(p, _)| values(p)).collect();
    save(dir, config, format, shard_bytes, &mut |p, range| values(p)[range].to_vec()).unwrap();
    all
}

#[test]
fn every_family_is_opened_as_it_was_saved() {
    for config in families() {
        for (format, shard_bytes) in
            [(SaveFormat::F32, usize::MAX), (SaveFormat::F32, 20_000), (SaveFormat::Bf16, 20_000)]
        {
            let dir = tempfile::tempdir().unwrap();
            let values = saved(&config, dir.path(), format, shard_bytes);
            let index = dir.path().join("model.safetensors.index.json");
            assert_eq!(index.exists(), shard_bytes < usize::MAX);
            let checkpoint = Checkpoint::open(dir.path()).unwrap();
            assert_eq!(checkpoint.config, config);
            for ((parameter, _), want) in parameters(&config).into_iter().zip(&values) {
                let got = checkpoint.parameter(parameter).unwrap();
                let tolerance = if format == SaveFormat::F32 { 0.0 } else { 1.0 / 256.0 };
                let close = got.iter().zip(want).all(|(g, w)| (g - w).abs() <= tolerance * w.abs());
                assert!(close && got.len() == want.len(), "{parameter:?}");
            }
        }
    }
}

/// A way to spoil a model directory, and words its error must have.
type Damage = (&'static str, fn(&Path), &'static [&'static str]);

fn weights(dir: &Path, change: impl Fn(&mut Vec<u8>)) {
    let path = dir.join("model.safetensors");
    let mut bytes = std::fs::read(&path).unwrap();
    change(&mut bytes);
    std::fs::write(path, bytes).unwrap();
}

fn configuration(dir: &Path, from: &str, to: &str) {
    let path = dir.join("config.json");
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.contains(from), "{from} in {text}");
    std::fs::write(path, text.replacen(from, to, 1)).unwrap();
}

/// Replaces text in the header without changing its length.
fn header(dir: &Path, from: &str, to: &str) {
    assert_eq!(from.len(), to.len());
    weights(dir, |bytes| {
        let at = bytes.windows(from.len()).position(|w| w == from.as_bytes()).expect("text in the header");
        bytes[at..at + to.len()].copy_from_slice(to.as_bytes());
    });
}

const DAMAGES: &[Damage] = &[
    ("no config", |d| std::fs::remove_file(d.join("config.json")).unwrap(), &["config.json", "no such file"]),
    (
        "no weights",
        |d| std::fs::remove_file(d.join("model.safetensors")).unwrap(),
        &["model.safetensors", "no such file"],
    ),
    ("config cut", |d| std::fs::write(d.join("config.json"), "{\"d_mo").unwrap(), &["not valid JSON", "column"]),
    ("empty weights", |d| weights(d, Vec::clear), &["0 bytes"]),
    ("weights cut in the header", |d| weights(d, |b| b.truncate(100)), &["header claims", "has 100"]),
    ("weights cut in the data", |d| weights(d, |b| b.truncate(b.len() - 1)), &["describes", "bytes of tensors"]),
    ("weights too long", |d| weights(d, |b| b.push(0)), &["describes", "bytes of tensors"]),
    (
        "huge header",
        |d| weights(d, |b| b[..8].copy_from_slice(&u64::MAX.to_le_bytes())),
        &["claims 18446744073709551615"],
    ),
    ("garbage header", |d| weights(d, |b| b[8] = b'x'), &["header:"]),
    ("missing tensor", |d| configuration(d, "\"n_layers\": 1", "\"n_layers\": 2"), &["blocks.1", "missing"]),
    ("wrong vocabulary", |d| configuration(d, "\"vocab_size\": 50", "\"vocab_size\": 60"), &["[50, 64]", "[60, 64]"]),
    ("unknown tensor", |d| header(d, "norm_f.weight", "norm_g.weight"), &["norm_g", "no place"]),
    ("wrong format", |d| header(d, "\"dtype\":\"F32\"", "\"dtype\":\"I32\""), &["I32", "f32, f16 and bf16"]),
    ("overlapping offsets", |d| header(d, "\"data_offsets\":[0,", "\"data_offsets\":[4,"), &["header:"]),
    (
        "not a number",
        |d| {
            weights(d, |b| {
                let n = b.len();
                b[n - 4..].copy_from_slice(&f32::NAN.to_le_bytes())
            })
        },
        &["NaN", "at element"],
    ),
    (
        "a shard outside",
        |d| {
            let index = r#"{"weight_map": {"lm_head.weight": "../../etc/passwd"}}"#;
            std::fs::write(d.join("model.safetensors.index.json"), index).unwrap();
        },
        &["../../etc/passwd", "not a plain file name"],
    ),
];

#[test]
fn every_damage_is_an_error_that_names_its_place() {
    for (what, damage, words) in DAMAGES {
        let dir = tempfile::tempdir().unwrap();
        let config = families().remove(0);
        saved(&config, dir.path(), SaveFormat::F32, usize::MAX);
        damage(dir.path());
        let read = || -> Result<(), ModelError> {
            let checkpoint = Checkpoint::open(dir.path())?;
            parameters(&checkpoint.config).into_iter().try_for_each(|(p, _)| checkpoint.parameter(p).map(drop))
        };
        let message = read().expect_err(what).to_string();
        for word in *words {
            assert!(message.contains(word), "{what}: no {word:?} in: {message}");
        }
        assert!(message.contains(dir.path().to_str().unwrap()), "{what}: {message}");
    }
}
