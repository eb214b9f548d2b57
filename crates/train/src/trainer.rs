//! The loop: batches in, steps, looks, checkpoints; and back again from the newest checkpoint.

use crate::checkpoint::{self, State};
use crate::config::{DecayChoice, Documents, OptimizerChoice, OptimizerConfig, PrecisionChoice, Progress, TrainConfig};
use crate::error::TrainError;
use crate::metrics::{Event, Metrics, ModelFacts, Record, Sample, Start, Step, Validation};
use crate::run::Run;
use crate::schedule::factor;
use moeworks_data::{DataError, Loader, LoaderOptions, SUMMARY_NAME, ShardFolder};
use moeworks_model::parameters::count;
use moeworks_model::{
    Batch, Checkpoint, Config, Decay, Layout, LossScale, Losses, Moments, SaveFormat, Sequence, Training, clip_factor,
    preset,
};
use moeworks_ops::{AdamW, DType, Lion, Ops, Precision, Update};
use moeworks_text::Tokenizer;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

/// What the caller does at a run's moments. Scoring and sampling need parts of the house that training does not know.
pub trait Watch {
    /// The run starts or goes on.
    fn start(&mut self, _start: &Start, _progress: &Progress) {}
    /// A step was taken; `share` of the run is done.
    fn step(&mut self, _step: &Step, _share: f64) {}
    /// Scores held-out text: nats a token and bits a byte.
    fn validate(&mut self, _ops: &mut dyn Ops, _training: &Training) -> Result<Option<(f64, f64)>, String> {
        Ok(None)
    }
    /// Writes continuations: (prompt, text).
    fn samples(&mut self, _ops: &mut dyn Ops, _training: &Training) -> Result<Vec<(String, String)>, String> {
        Ok(Vec::new())
    }
    /// A validation, sample or event was recorded.
    fn record(&mut self, _record: &Record) {}
}

/// Somebody who only wants the result.
impl Watch for () {}

/// How a run ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// It has trained to its end; the model is in the folder.
    Finished {
        /// The Hugging Face directory.
        model: PathBuf,
        /// Where it came to.
        progress: Progress,
    },
    /// It was asked to stop; the same command goes on from the checkpoint.
    Interrupted {
        /// The checkpoint.
        checkpoint: PathBuf,
        /// Where it stands.
        progress: Progress,
    },
}

/// The model a configuration asks for, fitted to its tokenizer and sequence length.
pub fn model_config(config: &TrainConfig, tokenizer: &Tokenizer, length: usize) -> Result<Config, TrainError> {
    let mut model = if config.model.from.is_empty() {
        preset(&config.model.preset)?
    } else {
        Checkpoint::open(Path::new(&config.model.from))?.config
    };
    if config.model.from.is_empty() {
        model.vocab_size = match config.model.vocab_size {
            0 => tokenizer.vocab_size().next_multiple_of(16),
            n => n,
        };
        model.max_seq_len = match config.model.max_seq_len {
            0 => model.max_seq_len.max(length),
            n => n,
        };
        model.bos_token_id = tokenizer.bos();
        model.eos_token_ids = tokenizer.stop_ids().to_vec();
    }
    if model.vocab_size < tokenizer.vocab_size() {
        return Err(TrainError::Vocabulary { model: model.vocab_size, tokenizer: tokenizer.vocab_size() });
    }
    model.validate("model")?;
    Ok(model)
}

/// Samples of a batch that goes through the model at once.
fn micro_batch(config: &TrainConfig) -> usize {
    if config.train.micro_batch == 0 { config.train.batch } else { config.train.micro_batch }
}

/// The room that a run's batches need, of samples so long.
pub fn layout(config: &TrainConfig, length: usize) -> Layout {
    let micro = micro_batch(config);
    let (micro_batches, recompute) = (config.train.batch.div_ceil(micro), config.train.recompute.into());
    Layout { rows: micro * length, length, micro_batches, recompute }
}

/// Number formats of a run on a device.
pub fn precision(choice: PrecisionChoice, ops: &dyn Ops) -> Precision {
    match choice {
        PrecisionChoice::Auto => ops.preferred_precision(),
        PrecisionChoice::Bf16 => Precision::BF16,
        PrecisionChoice::F32 => Precision::F32,
    }
}

/// Trains, or goes on, until the run's end or until `stop` is set.
pub fn train(
    ops: &mut dyn Ops,
    config: &TrainConfig,
    run: &Run,
    watch: &mut dyn Watch,
    stop: &AtomicBool,
) -> Result<Outcome, TrainError> {
    let mut trainer = Trainer::prepare(ops, config, run)?;
    trainer.start(ops, watch)?;
    while trainer.config.train.duration.fraction(&trainer.progress, &trainer.config.train.duration) < 1.0 {
        if stop.load(Ordering::Relaxed) {
            let checkpoint = trainer.save(ops)?;
            trainer.event(watch, "interrupted", "asked to stop")?;
            return Ok(Outcome::Interrupted { checkpoint, progress: trainer.progress });
        }
        let before = trainer.progress;
        trainer.step(ops, watch)?;
        let (now, whole) = (trainer.progress, &config.train.duration);
        let ended = whole.fraction(&now, whole) >= 1.0;
        if ended || config.evaluate.every.passed(&before, &now, whole) {
            trainer.look(ops, watch)?;
        }
        if ended || config.checkpoint.every.passed(&before, &now, whole) {
            let path = trainer.save(ops)?;
            trainer.event(watch, "checkpoint", &path.display().to_string())?;
        }
    }
    let model = trainer.export(ops)?;
    trainer.event(watch, "finished", &model.display().to_string())?;
    Ok(Outcome::Finished { model, progress: trainer.progress })
}

struct Trainer<'a> {
    config: &'a TrainConfig,
    run: &'a Run,
    tokenizer: Tokenizer,
    training: Training,
    moments: Moments,
    loader: Loader,
    progress: Progress,
    metrics: Metrics,
    /// Time of training before this process.
    earlier: f64,
    clock: Instant,
    resumed: Option<String>,
}

impl<'a> Trainer<'a> {
    fn prepare(ops: &mut dyn Ops, config: &'a TrainConfig, run: &'a Run) -> Result<Self, TrainError> {
        let path = config.data.tokenizer_folder();
        let tokenizer = Tokenizer::from_dir(&path)?;
        let mut length = 0;
        for folder in config.data.folders() {
            let (expected, samples_of) = stated(&folder)?;
            let found = tokenizer.fingerprint();
            if found != expected {
                return Err(TrainError::Tokenizer { tokenizer: path, data: folder, found, expected });
            }
            length = samples_of; // the loader checks that it is the same for all
        }
        let model = model_config(config, &tokenizer, length)?;
        let precision = precision(config.train.precision, ops);
        let options = LoaderOptions {
            seed: config.run.seed,
            shuffle: config.data.shuffle,
            block_bytes: config.data.block_bytes,
            ..LoaderOptions::new(config.train.batch, model.vocab_size)
        };
        let schedule = config.data.schedule(config.train.batch, length, &config.train.duration);
        let mut loader = Loader::open_schedule(&schedule, options)?;

        let layout = layout(config, length);
        let mut progress = Progress::default();
        let mut resumed = None;
        let checkpoint = checkpoint::newest(&run.checkpoints())?;
        let training = match &checkpoint {
            Some((dir, broken)) => {
                let state = checkpoint::read_state(dir)?;
                must_agree(dir, &state.config, config)?;
                if state.tokenizer != tokenizer.fingerprint() {
                    let reason = "was trained with another tokenizer".to_string();
                    return Err(TrainError::Checkpoint { path: dir.clone(), reason });
                }
                loader.restore(&state.loader)?;
                progress = state.progress;
                let saved = checkpoint::open_model(dir)?;
                let skipped = broken.iter().map(|b| format!("; passed over:{b}")).collect::<String>();
                resumed = Some(format!("{}{skipped}", dir.display()));
                Training::load(ops, &saved.config, precision, layout, |p| saved.parameter(p))?
            }
            None if config.model.from.is_empty() => Training::new(ops, &model, precision, layout, config.run.seed)?,
            None => {
                let start = Checkpoint::open(Path::new(&config.model.from))?;
                Training::load(ops, &model, precision, layout, |p| start.parameter(p))?
            }
        };
        let second = config.optimizer.name == OptimizerChoice::AdamW;
        let moments = Moments::new(ops, &training.config, precision, second)?;
        if let Some((dir, _)) = &checkpoint {
            checkpoint::restore_moments(ops, dir, &training, &moments)?;
        }
        run.write_config(config)?;
        let metrics = Metrics::open(&run.metrics(), progress.steps)?;
        Ok(Trainer {
            config,
            run,
            tokenizer,
            training,
            moments,
            loader,
            progress,
            metrics,
            earlier: progress.seconds,
            clock: Instant::now(),
            resumed,
        })
    }

    fn start(&mut self, ops: &mut dyn Ops, watch: &mut dyn Watch) -> Result<(), TrainError> {
        let model = &self.training.config;
        let counted = count(model);
        let tokens = (self.config.train.batch * self.loader.sequence_length()) as u64;
        let steps = match self.config.train.duration {
            crate::config::Duration::Batches(n) => Some(n),
            crate::config::Duration::Tokens(n) => Some(n.div_ceil(tokens)),
            crate::config::Duration::Epochs(n) => {
                Some((n * self.loader.samples_per_epoch() as f64 / self.config.train.batch as f64).ceil() as u64)
            }
            _ => None,
        };
        let start = Start {
            time: crate::run::now(),
            run: self.run.name(),
            model: ModelFacts {
                architecture: model.architecture.class().into(),
                total: counted.total,
                active: counted.active,
                layers: model.n_layers,
                experts: model.n_experts,
                top_k: model.top_k,
                d_model: model.d_model,
                vocab_size: model.vocab_size,
            },
            device: ops.describe(),
            precision: if self.training.precision.compute == DType::Bf16 { "bf16" } else { "f32" }.into(),
            tokens_per_step: tokens,
            steps,
            version: env!("CARGO_PKG_VERSION").into(),
        };
        watch.start(&start, &self.progress);
        self.metrics.write(&Record::Start(Box::new(start)))?;
        if let Some(from) = self.resumed.take() {
            self.event(watch, "resumed", &from)?;
        }
        self.clock = Instant::now();
        Ok(())
    }

    /// Progress after one more step, as far as it is known before it is taken.
    fn after(&self) -> Progress {
        let samples = self.config.train.batch as f64;
        let tokens = (self.config.train.batch * self.loader.sequence_length()) as u64;
        Progress {
            steps: self.progress.steps + 1,
            tokens: self.progress.tokens + tokens,
            epochs: self.progress.epochs + samples / self.loader.samples_per_epoch() as f64,
            seconds: self.earlier + self.clock.elapsed().as_secs_f64(),
        }
    }

    fn step(&mut self, ops: &mut dyn Ops, watch: &mut dyn Watch) -> Result<(), TrainError> {
        let began = Instant::now();
        let config = self.config;
        let batch = self.loader.next_batch()?;
        let separator = match config.data.documents {
            Documents::Apart => self.tokenizer.eos(),
            Documents::Joined => None,
        };
        let length = self.loader.sequence_length();
        let sequence = |(row, ids): (usize, _)| Sequence {
            ids,
            loss: batch.loss.as_ref().map(|loss| &loss[row * length..(row + 1) * length]),
            examples: batch.lengths.as_ref().map_or(&[], |lengths| lengths[row].as_slice()),
        };
        let sequences: Vec<Sequence> = batch.tokens.chunks(length).enumerate().map(sequence).collect();
        let micro = micro_batch(config);
        let model = &self.training.config;
        let micros: Vec<Batch> =
            sequences.chunks(micro).map(|s| Batch::of(model, s, separator)).collect::<Result<_, _>>()?;
        let scale = LossScale {
            targets: micros.iter().map(Batch::counted).sum::<usize>().max(1),
            share: 1.0 / micros.len() as f64,
            aux: if config.loss.aux < 0.0 { model.aux_coefficient } else { config.loss.aux },
            z: config.loss.z,
        };
        let step = |(i, micro)| self.training.step(ops, micro, scale, i == 0);
        let losses: Vec<Losses> = micros.iter().enumerate().map(step).collect();

        let mut after = self.after();
        let whole = &config.train.duration;
        let rate = config.optimizer.learning_rate * factor(&config.schedule, whole, &self.progress, &after);
        let norm = Moments::gradient_norm(ops, &self.training);
        let nll: f64 = losses.iter().map(|l| l.nll).sum();
        let loss = nll / scale.targets as f64;
        if !(loss.is_finite() && norm.is_finite()) {
            let last = checkpoint::list(&self.run.checkpoints())?;
            return Err(TrainError::Diverged {
                step: after.steps,
                loss,
                norm,
                last: last.first().map_or("none".into(), |(_, p)| p.display().to_string()),
                learning_rate: config.optimizer.learning_rate,
            });
        }
        let o = &config.optimizer;
        let OptimizerConfig { beta1, beta2, eps, weight_decay: decay, .. } = *o;
        let gradient_scale = if o.clip > 0.0 { clip_factor(norm, o.clip) } else { 1.0 };
        let update = match o.name {
            OptimizerChoice::AdamW => {
                Update::AdamW(AdamW { lr: rate, beta1, beta2, eps, decay, step: after.steps, gradient_scale })
            }
            OptimizerChoice::Lion => {
                Update::Lion(Lion { lr: rate, beta1, beta2, decay, step: after.steps, gradient_scale })
            }
        };
        let decay = if o.decay == DecayChoice::All { Decay::All } else { Decay::Matrices };
        self.moments.step(ops, &self.training, &update, decay);

        after.seconds = self.earlier + self.clock.elapsed().as_secs_f64();
        let tokens = after.tokens - self.progress.tokens;
        self.progress = after;
        let mean = |f: fn(&Losses) -> f64| losses.iter().map(f).sum::<f64>() / losses.len() as f64;
        let record = Step {
            step: after.steps,
            tokens: after.tokens,
            seconds: after.seconds,
            loss,
            aux: mean(|l| l.aux),
            z: mean(|l| l.z),
            lr: rate,
            grad_norm: norm,
            tokens_per_second: tokens as f64 / began.elapsed().as_secs_f64(),
            load: shares(&losses),
            streams: streams(&self.loader),
        };
        self.metrics.write(&Record::Step(record.clone()))?;
        watch.step(&record, whole.fraction(&after, whole).min(1.0));
        Ok(())
    }

    /// Scores held-out text and writes samples. Their time does not count as training.
    fn look(&mut self, ops: &mut dyn Ops, watch: &mut dyn Watch) -> Result<(), TrainError> {
        let began = Instant::now();
        let Progress { steps: step, tokens, seconds, .. } = self.progress;
        if let Some((loss, bits_per_byte)) = watch.validate(ops, &self.training).map_err(TrainError::Watch)? {
            let record = Record::Validation(Validation { step, tokens, seconds, loss, bits_per_byte });
            self.metrics.write(&record)?;
            watch.record(&record);
        }
        for (prompt, text) in watch.samples(ops, &self.training).map_err(TrainError::Watch)? {
            let record = Record::Sample(Sample { step, prompt, text });
            self.metrics.write(&record)?;
            watch.record(&record);
        }
        self.clock += began.elapsed();
        Ok(())
    }

    fn save(&mut self, ops: &mut dyn Ops) -> Result<PathBuf, TrainError> {
        let began = Instant::now();
        let state = State {
            schema: 1,
            progress: self.progress,
            loader: self.loader.state(),
            tokenizer: self.tokenizer.fingerprint(),
            config: self.config.clone(),
        };
        let keep = self.config.checkpoint.keep;
        let path = checkpoint::save(ops, &self.run.checkpoints(), &self.training, &self.moments, &state, keep)?;
        self.clock += began.elapsed();
        Ok(path)
    }

    /// The model for everyone else: a Hugging Face directory with its tokenizer.
    fn export(&self, ops: &mut dyn Ops) -> Result<PathBuf, TrainError> {
        let (partial, whole) = (self.run.path().join("model.partial"), self.run.model());
        for old in [&partial, &whole] {
            if old.exists() {
                std::fs::remove_dir_all(old).map_err(TrainError::io(old))?;
            }
        }
        std::fs::create_dir_all(&partial).map_err(TrainError::io(&partial))?;
        let bf16 = self.training.precision.compute == DType::Bf16;
        let format = if bf16 { SaveFormat::Bf16 } else { SaveFormat::F32 };
        self.training.save(ops, &partial, format)?;
        self.tokenizer.save(&partial)?;
        std::fs::rename(&partial, &whole).map_err(TrainError::io(&whole))?;
        Ok(whole)
    }

    fn event(&mut self, watch: &mut dyn Watch, event: &str, detail: &str) -> Result<(), TrainError> {
        let record = Record::Event(Event { step: self.progress.steps, event: event.into(), detail: detail.into() });
        self.metrics.write(&record)?;
        watch.record(&record);
        Ok(())
    }
}

/// Share of the rows that each expert of each block got, over all micro-batches.
fn shares(losses: &[Losses]) -> Vec<Vec<f32>> {
    let blocks = losses[0].load.len();
    (0..blocks)
        .map(|l| {
            let experts = losses[0].load[l].len();
            let rows: Vec<f64> = (0..experts).map(|e| losses.iter().map(|x| x.load[l][e]).sum()).collect();
            let all: f64 = rows.iter().sum();
            rows.into_iter().map(|r| (r / all) as f32).collect()
        })
        .collect()
}

/// What a data set's account says: fingerprint of its tokenizer, and tokens of a sample.
pub fn stated(folder: &Path) -> Result<(String, usize), TrainError> {
    let fix = "a training needs a folder that `moeworks data build` or `moeworks data pack` made".to_string();
    let missing = || DataError::Missing { path: folder.join(SUMMARY_NAME), fix };
    Ok(ShardFolder::open(folder)?.stated.ok_or_else(missing)?)
}

/// Tokens seen of each stream; nothing where there is only one.
fn streams(loader: &Loader) -> BTreeMap<String, u64> {
    let streams = loader.tokens_by_stream();
    let several = streams.len() > 1;
    streams.into_iter().filter(|_| several).map(|(name, tokens)| (name.to_string(), tokens)).collect()
}

/// What may not differ between a checkpoint and the configuration that goes on from it: model, data order, batch. The
/// rest may (a longer duration, another learning rate); the new values are in the run's configuration.
fn must_agree(dir: &Path, then: &TrainConfig, now: &TrainConfig) -> Result<(), TrainError> {
    let fixed = |c: &TrainConfig| {
        [
            ("run.seed", c.run.seed.to_string()),
            ("model.preset", c.model.preset.clone()),
            ("model.from", c.model.from.clone()),
            ("model.vocab_size", c.model.vocab_size.to_string()),
            ("data.documents", format!("{:?}", c.data.documents)),
            ("data.shuffle", c.data.shuffle.to_string()),
            ("train.batch", c.train.batch.to_string()),
            ("train.precision", format!("{:?}", c.train.precision)),
        ]
    };
    let differences: Vec<String> = fixed(then)
        .into_iter()
        .zip(fixed(now))
        .filter(|(a, b)| a != b)
        .map(|((key, a), (_, b))| format!("{key} was {a:?}, is {b:?}"))
        .collect();
    if differences.is_empty() {
        return Ok(());
    }
    Err(TrainError::Changed { path: dir.to_path_buf(), differences: differences.join("; ") })
}
