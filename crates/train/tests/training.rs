//! Whole runs: they learn, stop, go on to the same bits, and refuse what does not belong together.

use moeworks_cpu::{Cpu, Isa};
use moeworks_data::finetune::{FineTuneOptions, pack_rows};
use moeworks_data::{DataFolder, Recipe, Source, build, remove};
use moeworks_model::Checkpoint;
use moeworks_ops::Ops;
use moeworks_text::{Tokenizer, TrainOptions};
use moeworks_train::config::{OptimizerChoice, PrecisionChoice, RecomputeChoice, StageConfig, StreamConfig};
use moeworks_train::lineage::readings;
use moeworks_train::metrics::{Record, Step};
use moeworks_train::{Duration, Outcome, Run, TrainConfig, TrainError, Watch, checkpoint, train};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use tempfile::TempDir;

/// A folder with a little data set in it.
struct Fixture {
    dir: TempDir,
}

impl Fixture {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let texts: Vec<String> = (0..40)
            .map(|i| format!("fn number_{i}() -> u32 {{\n    let x = {i};\n    x + {}\n}}\n", i * 7 % 13).repeat(6))
            .collect();
        let documents = dir.path().join("documents");
        std::fs::create_dir(&documents).unwrap();
        for (i, text) in texts.iter().enumerate() {
            std::fs::write(documents.join(format!("{i}.rs")), text).unwrap();
        }
        let options = TrainOptions { vocab_size: 320, ..TrainOptions::default() };
        let tokenizer = moeworks_text::train(texts.iter(), &options, |_| {}).unwrap();
        let recipe = Recipe {
            sources: vec![Source::at(&documents).unwrap()],
            sequence_length: 32,
            held_out: 0.2,
            ..Recipe::default()
        };
        let data = dir.path().join("data");
        build(&recipe, &tokenizer, &data, &()).unwrap();
        tokenizer.save(&data.join("tokenizer")).unwrap();
        Fixture { dir }
    }

    /// A second data set with the same tokenizer, of other documents.
    fn other_data(&self, sequence_length: usize) -> PathBuf {
        let documents = self.path().join("other");
        std::fs::create_dir_all(&documents).unwrap();
        for i in 0..20 {
            std::fs::write(documents.join(format!("{i}.md")), format!("# Notes {i}\nlet {i} be {i}.\n").repeat(8))
                .unwrap();
        }
        let sources = vec![Source::at(&documents).unwrap()];
        let recipe = Recipe { sources, sequence_length, held_out: 0.2, ..Recipe::default() };
        let data = self.path().join(format!("notes-{sequence_length}"));
        if data.exists() {
            return data;
        }
        build(&recipe, &Tokenizer::from_dir(&self.path().join("data/tokenizer")).unwrap(), &data, &()).unwrap();
        data
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }

    fn config(&self, name: &str) -> TrainConfig {
        let mut config = TrainConfig::default();
        config.run.name = name.into();
        config.run.folder = self.path().join("runs").display().to_string();
        config.data.path = self.path().join("data").display().to_string();
        config.model.preset = "tiny".into();
        config.train.batch = 4;
        config.train.duration = Duration::Batches(8);
        config.optimizer.learning_rate = 3e-3;
        config.checkpoint.every = Duration::Batches(3);
        config.evaluate.every = Duration::Batches(4);
        config
    }
}

fn device() -> Box<dyn Ops> {
    Box::new(Cpu::new(2, Isa::best()))
}

fn run(config: &TrainConfig, watch: &mut dyn Watch, stop: &AtomicBool) -> Result<Outcome, TrainError> {
    let run = Run::open(config, false)?;
    train(device().as_mut(), config, &run, watch, stop)
}

fn finish(config: &TrainConfig) -> PathBuf {
    match run(config, &mut (), &AtomicBool::new(false)).unwrap() {
        Outcome::Finished { model, .. } => model,
        other => panic!("{other:?}"),
    }
}

fn steps(config: &TrainConfig) -> Vec<Step> {
    let path = Path::new(&config.run.folder).join(&config.run.name).join("metrics.jsonl");
    let text = std::fs::read_to_string(&path).unwrap();
    let records = text.lines().map(|line| serde_json::from_str(line).unwrap());
    records.filter_map(|r| if let Record::Step(s) = r { Some(s) } else { None }).collect()
}

/// Stops after so many steps of this process.
struct StopAfter<'a> {
    left: usize,
    stop: &'a AtomicBool,
}

impl Watch for StopAfter<'_> {
    fn step(&mut self, _: &Step, _: f64) {
        self.left -= 1;
        self.stop.store(self.left == 0, Ordering::Relaxed);
    }
}

#[test]
fn a_run_learns_and_leaves_a_model() {
    let fixture = Fixture::new();
    // With one batch a step and with several, gradients are kept in different formats and places.
    for (precision, micro_batch) in [(PrecisionChoice::F32, 0), (PrecisionChoice::Bf16, 0), (PrecisionChoice::Bf16, 2)]
    {
        let mut config = fixture.config(&format!("learns-{precision:?}-{micro_batch}"));
        (config.train.precision, config.train.micro_batch) = (precision, micro_batch);
        config.train.duration = Duration::Batches(40);
        let model = finish(&config);
        let steps = steps(&config);
        assert_eq!(steps.len(), 40);
        let (first, last) = (steps[0].loss, steps[39].loss);
        assert!(last < 0.6 * first, "{precision:?}, {micro_batch}: {first} to {last}");
        assert!(steps.iter().all(|s| s.load.iter().all(|l| (l.iter().sum::<f32>() - 1.0).abs() < 1e-4)));
        let opened = Checkpoint::open(&model).unwrap();
        assert_eq!(opened.config.n_experts, 16);
        Tokenizer::from_dir(&model).unwrap();
    }
}

#[test]
fn an_interrupted_run_goes_on_to_the_same_bits() {
    let fixture = Fixture::new();
    let kinds = [PrecisionChoice::F32, PrecisionChoice::Bf16]
        .into_iter()
        .flat_map(|p| [(OptimizerChoice::AdamW, 3e-3, p), (OptimizerChoice::Lion, 3e-4, p)]);
    for (optimizer, rate, precision) in kinds {
        let named = |name: &str| {
            let mut config = fixture.config(&format!("{name}-{optimizer:?}-{precision:?}"));
            (config.optimizer.name, config.optimizer.learning_rate) = (optimizer, rate);
            config.train.precision = precision;
            config
        };
        let whole = finish(&named("whole"));
        // What is computed again to save memory changes nothing either.
        let mut config = named("parts");
        config.train.recompute = RecomputeChoice::Blocks;
        for left in [2, 3] {
            let stop = AtomicBool::new(false);
            let outcome = run(&config, &mut StopAfter { left, stop: &stop }, &stop).unwrap();
            assert!(matches!(outcome, Outcome::Interrupted { .. }));
        }
        let parts = finish(&config);
        let bits = |config: &TrainConfig| -> Vec<u64> {
            steps(config).iter().map(|s| s.loss.to_bits() ^ s.grad_norm.to_bits()).collect()
        };
        assert_eq!(bits(&named("whole")), bits(&config), "{optimizer:?}, {precision:?}");
        let first = steps(&config)[0].loss;
        assert!(steps(&config).iter().all(|s| s.loss <= 1.01 * first), "{optimizer:?} learns in {precision:?}");
        let weights = |model: &Path| std::fs::read(model.join("model.safetensors")).unwrap();
        assert!(weights(&whole) == weights(&parts), "{optimizer:?}, {precision:?}");
    }
}

#[test]
fn a_damaged_checkpoint_is_passed_over() {
    let fixture = Fixture::new();
    let config = fixture.config("damaged");
    finish(&config);
    let root = Path::new(&config.run.folder).join("damaged/checkpoints");
    let all = checkpoint::list(&root).unwrap();
    assert_eq!(all.iter().map(|c| c.0).collect::<Vec<_>>(), [8, 6], "keep = 2");
    let file = all[0].1.join("moments.safetensors");
    let mut bytes = std::fs::read(&file).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    std::fs::write(&file, bytes).unwrap();
    let (newest, reasons) = checkpoint::newest(&root).unwrap().unwrap();
    assert_eq!(newest, all[1].1);
    assert!(reasons[0].contains("moments.safetensors") && reasons[0].contains("SHA-256"), "{reasons:?}");
    std::fs::remove_file(all[1].1.join("manifest.json")).unwrap();
    let error = checkpoint::newest(&root).unwrap_err().to_string();
    assert!(error.contains("none is whole") && error.contains("--fresh"), "{error}");
}

#[test]
fn accumulated_micro_batches_are_the_whole_batch() {
    let fixture = Fixture::new();
    let [plain, config] = [("at-once", 0), ("in-parts", 2)].map(|(name, rows)| {
        let mut config = fixture.config(name);
        config.train.micro_batch = rows;
        // Sums in another order: in bf16 a last bit would soon tip the choice of an expert.
        config.train.precision = PrecisionChoice::F32;
        config.loss.aux = 0.0; // the balance loss is of a micro-batch, by its definition
        finish(&config);
        config
    });
    for (a, b) in steps(&plain).iter().zip(steps(&config)) {
        assert!((a.loss - b.loss).abs() < 2e-4 * a.loss, "step {}: {} and {}", a.step, a.loss, b.loss);
        assert!((a.grad_norm - b.grad_norm).abs() < 1e-2 * a.grad_norm, "step {}", a.step);
    }
}

#[test]
fn a_longer_duration_goes_on_and_other_settings_are_refused() {
    let fixture = Fixture::new();
    let mut config = fixture.config("longer");
    finish(&config);
    config.train.duration = Duration::Batches(10);
    finish(&config);
    assert_eq!(steps(&config).last().unwrap().step, 10);
    config.train.batch = 8;
    config.model.preset = "4m".into();
    let error = run(&config, &mut (), &AtomicBool::new(false)).unwrap_err().to_string();
    for word in ["train.batch was \"4\", is \"8\"", "model.preset", "--fresh"] {
        assert!(error.contains(word), "{word}: {error}");
    }
}

#[test]
fn a_curriculum_is_stopped_continued_and_not_changed_behind_the_run() {
    let fixture = Fixture::new();
    let stream = |name: &str, path: PathBuf| StreamConfig {
        name: name.into(),
        path: path.display().to_string(),
        ..StreamConfig::default()
    };
    let stage = |duration: &str, mix: &[(&str, f64)]| StageConfig {
        duration: Some(duration.parse().unwrap()),
        mix: mix.iter().map(|(name, share)| (name.to_string(), *share)).collect(),
    };
    let named = |name: &str| {
        let mut config = fixture.config(name);
        config.data.path.clear();
        config.data.stream = vec![stream("code", fixture.path().join("data")), stream("notes", fixture.other_data(32))];
        config.data.stage = vec![stage("3ba", &[("code", 1.0)]), stage("5ba", &[("notes", 3.0), ("code", 1.0)])];
        config.validate("test").unwrap();
        config
    };
    let whole = named("whole");
    finish(&whole);
    let parts = named("parts");
    for left in [2, 2] {
        let stop = AtomicBool::new(false);
        run(&parts, &mut StopAfter { left, stop: &stop }, &stop).unwrap();
    }
    let mut changed = parts.clone();
    changed.data.stage[0].duration = Some("4ba".parse().unwrap());
    changed.data.stage[1].duration = Some("4ba".parse().unwrap());
    let error = run(&changed, &mut (), &AtomicBool::new(false)).unwrap_err().to_string();
    assert!(error.contains("the length of a stage that is over was 12 samples in stage 1"), "{error}");
    finish(&parts);
    let losses = |config: &TrainConfig| -> Vec<u64> { steps(config).iter().map(|s| s.loss.to_bits()).collect() };
    assert_eq!(losses(&whole), losses(&parts));
    // 4 samples of 32 tokens a step: only code in the first three.
    let seen: Vec<(u64, u64)> = steps(&whole).iter().map(|s| (s.streams["code"], s.streams["notes"])).collect();
    assert_eq!(seen[..3], [(128, 0), (256, 0), (384, 0)]);
    assert!(seen[7].0 + seen[7].1 == 8 * 128 && seen[7].1 > 2 * (seen[7].0 - 384), "{seen:?}");
    let mut other_length = named("other-length");
    other_length.data.stream[1] = stream("notes", fixture.other_data(16));
    let error = run(&other_length, &mut (), &AtomicBool::new(false)).unwrap_err().to_string();
    assert!(error.contains("stream notes: has 16 tokens a sample, stream code has 32"), "{error}");
}

#[test]
fn packed_rows_are_learnt_from() {
    let fixture = Fixture::new();
    let tokenizer = fixture.path().join("data/tokenizer");
    let rows = fixture.path().join("rows.jsonl");
    let row = |i: u32| format!("{{\"prompt\": \"number_{i} \", \"response\": \"let x = {i};\"}}\n");
    std::fs::write(&rows, (0..60).map(row).collect::<String>()).unwrap();
    let out = fixture.path().join("packed");
    let options = FineTuneOptions::new(32);
    let packed = pack_rows(&[rows], &Tokenizer::from_dir(&tokenizer).unwrap(), &options, &out, &()).unwrap();
    assert!(packed.learnt < packed.tokens && packed.examples == 60);
    let mut config = fixture.config("packed");
    config.data.path = out.display().to_string();
    config.data.tokenizer = tokenizer.display().to_string();
    config.train.duration = Duration::Batches(40);
    finish(&config);
    let steps = steps(&config);
    assert!(steps[39].loss < 0.6 * steps[0].loss, "{} to {}", steps[0].loss, steps[39].loss);
    let account = out.join("finetune.json");
    let text = std::fs::read_to_string(&account).unwrap().replace(&packed.train, "another");
    std::fs::write(&account, text).unwrap();
    config.run.name = "damaged".into();
    let error = run(&config, &mut (), &AtomicBool::new(false)).unwrap_err().to_string();
    assert!(error.contains("is of shards with fingerprint another"), "{error}");
}

#[test]
#[allow(clippy::single_range_in_vec_init)] // one range is meant, not its numbers
fn what_a_run_has_read_is_told_sample_by_sample_and_document_by_document() {
    let fixture = Fixture::new();
    let mut config = fixture.config("reads");
    finish(&config);
    config.run.name = "reads-more".into();
    config.train.duration = Duration::Batches(11);
    finish(&config);
    let (runs, data) = (fixture.path().join("runs"), DataFolder::open(&fixture.path().join("data")).unwrap());
    let (fingerprint, samples) = (data.train().fingerprint(), data.summary().samples);
    let times = |ranges: &[Range<u64>]| -> Vec<Option<u64>> {
        readings(&runs, fingerprint, ranges).unwrap().iter().map(|reading| reading.times).collect()
    };
    // Every sample once an epoch, and as many as steps of four take.
    let each: Vec<Vec<Option<u64>>> = (0..samples).map(|one| times(&[one..one + 1])).collect();
    for (run, read) in [(0, 32), (1, 44)] {
        let each: Vec<u64> = each.iter().map(|both| both[run].unwrap()).collect();
        assert_eq!(each.iter().sum::<u64>(), read);
        assert!(each.iter().all(|&times| times == read / samples || times == read / samples + 1), "{each:?}");
        // Ranges that meet in a sample count it once.
        let parts: u64 = [2, 3, 4, 9].iter().map(|&one: &usize| each[one]).sum();
        assert_eq!(times(&[2..4, 3..5, 6..6, 9..10])[run], Some(parts));
    }
    assert_eq!(times(&[0..samples]), [Some(32), Some(44)]);
    assert_eq!(times(&[samples..samples]), []);
    assert_eq!(readings(&runs, "of other data", &[0..samples]).unwrap(), []);
    assert_eq!(readings(&fixture.path().join("no runs"), fingerprint, &[0..samples]).unwrap(), []);

    // Once a document is taken out, the runs on the former samples are still known, but not how often they read them.
    let gone = data.documents().nth(3).unwrap().unwrap().id;
    remove(&fixture.path().join("data"), &[gone].into()).unwrap();
    let data = DataFolder::open(&fixture.path().join("data")).unwrap();
    assert_eq!(data.summary().former, [fingerprint]);
    assert_eq!(times(&[0..samples]), [None, None]);
    assert_eq!(readings(&runs, data.train().fingerprint(), &[0..samples]).unwrap(), []);
}

#[test]
fn what_does_not_belong_together_is_an_error() {
    let fixture = Fixture::new();
    let base = fixture.config("wrong");
    let error = |change: &dyn Fn(&mut TrainConfig)| {
        let mut config = base.clone();
        change(&mut config);
        run(&config, &mut (), &AtomicBool::new(false)).unwrap_err().to_string()
    };
    let other = fixture.path().join("other-tokenizer");
    let options = TrainOptions { vocab_size: 300, ..TrainOptions::default() };
    moeworks_text::train(["other words"].iter(), &options, |_| {}).unwrap().save(&other).unwrap();
    let message = error(&|c| c.data.tokenizer = other.display().to_string());
    assert!(message.contains("fingerprint") && message.contains("other-tokenizer"), "{message}");
    let message = error(&|c| c.model.vocab_size = 100);
    assert!(message.contains("100 token ids") && message.contains("model.vocab_size"), "{message}");
    let message = error(&|c| c.model.max_seq_len = 8);
    assert!(message.contains("8 positions"), "{message}");
    let message = error(&|c| c.data.path = fixture.path().join("nowhere").display().to_string());
    assert!(message.contains("nowhere"), "{message}");
    let message = error(&|c| c.model.preset = "enormous".into());
    assert!(message.contains("enormous") && message.contains("tiny"), "{message}");
    let message = error(&|c| {
        c.optimizer.learning_rate = 900.0;
        c.optimizer.clip = 0.0;
        c.train.duration = Duration::Batches(200);
        c.run.name = "diverges".into();
    });
    assert!(message.contains("diverged at step") && message.contains("learning_rate"), "{message}");
}
