//! What is seen of a training: the bar, scores of held-out text, samples.

use crate::show::{self, Progress};
use anyhow::Result;
use moeworks_data::DataFolder;
use moeworks_eval::{Evaluator, TextOptions, TextResult};
use moeworks_infer::{Sampler, Sampling};
use moeworks_model::{Inference, Limits, Row, Training};
use moeworks_ops::Ops;
use moeworks_text::{TextStream, Tokenizer};
use moeworks_train::metrics::{Record, Start, Step};
use moeworks_train::report::load_strip;
use moeworks_train::{Progress as TrainProgress, TrainConfig, Watch};

/// Held-out documents, whole and in the order in which they are stored, up to so many bytes; the last one is cut.
pub fn held_out(folder: &DataFolder, bytes: usize) -> Result<Vec<String>> {
    let (mut texts, mut left) = (Vec::new(), bytes);
    for document in folder.held_out()? {
        let mut text = document?.text;
        text.truncate(text.floor_char_boundary(left));
        left -= text.len();
        if !text.is_empty() {
            texts.push(text);
        }
        if left == 0 {
            break;
        }
    }
    Ok(texts)
}

/// Scores texts with a model, every token from half a window of text before it where there is so much.
pub fn score(ops: &mut dyn Ops, model: &mut Inference, tokenizer: &Tokenizer, texts: &[String]) -> Result<TextResult> {
    let options = TextOptions { stride: Some(model.limits.length.div_ceil(2)), ..TextOptions::default() };
    let mut evaluator = Evaluator::new(model, ops, tokenizer)?;
    Ok(evaluator.bits_per_byte("held-out", texts.iter().map(Ok), options)?)
}

/// Continues a text.
pub fn complete(
    ops: &mut dyn Ops,
    model: &mut Inference,
    tokenizer: &Tokenizer,
    prompt: &str,
    sampling: &Sampling,
    seed: u64,
    tokens: usize,
) -> Result<String> {
    let mut ids = tokenizer.encode(prompt);
    if ids.is_empty() || tokenizer.add_bos() {
        ids.splice(0..0, tokenizer.bos().or(tokenizer.eos()));
    }
    ids.truncate(model.limits.length.saturating_sub(1));
    let mut sampler = Sampler::new(sampling, seed, 0, &ids);
    let mut stream = TextStream::continuing(tokenizer).without_special();
    let mut text = String::new();
    let row = |position: usize, id: u32| Row { id, slot: 0, position };
    let mut logits = Vec::new();
    let rows: Vec<Row> = ids.iter().enumerate().map(|(i, id)| row(i, *id)).collect();
    for part in rows.chunks(model.limits.rows) {
        logits = model.step(ops, part, &[part.len() - 1])?;
    }
    for position in rows.len()..(rows.len() + tokens).min(model.limits.length) {
        let id = sampler.sample(&logits)?;
        if tokenizer.stop_ids().contains(&id) {
            break;
        }
        text += &stream.push(id).unwrap_or_default();
        logits = model.step(ops, &[row(position, id)], &[0])?;
    }
    Ok(text + &stream.finish())
}

/// The eyes of a training on a terminal.
pub struct TrainWatch {
    tokenizer: Tokenizer,
    texts: Vec<String>,
    prompts: Vec<String>,
    sample_tokens: usize,
    seed: u64,
    length: usize,
    /// A view of the model in training, made when it is first needed.
    model: Option<Inference>,
    bar: Option<Progress>,
    quiet: bool,
    /// Loss and speed, smoothed for the eye.
    smooth: Option<(f64, f64)>,
    began: std::time::Instant,
    /// Share of the run that was done when this process began.
    share: Option<f64>,
}

/// The bar counts in this many parts of a run.
const PARTS: u64 = 10_000;

impl TrainWatch {
    /// Eyes for a run over samples of one length from data folders, of each of which as much is scored.
    pub fn new(
        config: &TrainConfig,
        data: &[DataFolder],
        length: usize,
        tokenizer: &Tokenizer,
        quiet: bool,
    ) -> Result<Self> {
        let mut texts = Vec::new();
        for folder in data {
            texts.extend(held_out(folder, config.evaluate.bytes / data.len())?);
        }
        Ok(TrainWatch {
            tokenizer: tokenizer.clone(),
            texts,
            prompts: config.evaluate.prompts.clone(),
            sample_tokens: config.evaluate.sample_tokens,
            seed: config.run.seed,
            length,
            model: None,
            bar: None,
            quiet,
            smooth: None,
            began: std::time::Instant::now(),
            share: None,
        })
    }

    fn line(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.line(text),
            None if !self.quiet => eprintln!("{text}"),
            None => {}
        }
    }

    fn model(&mut self, ops: &mut dyn Ops, training: &Training) -> Result<&mut Inference> {
        if self.model.is_none() {
            let limits = Limits { slots: 1, length: self.length, rows: 8 * self.length };
            self.model = Some(Inference::beside(ops, training, limits)?);
        }
        Ok(self.model.as_mut().expect("just made"))
    }

    /// Takes the bar away.
    pub fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish();
        }
    }
}

impl Watch for TrainWatch {
    fn start(&mut self, start: &Start, progress: &TrainProgress) {
        let m = &start.model;
        self.line(&format!(
            "{} with {} parameters, {} of them met by a token ({} of {} experts, {} blocks, width {}); {}; {}",
            m.architecture,
            show::count(m.total),
            show::count(m.active),
            m.top_k,
            m.experts,
            m.layers,
            m.d_model,
            start.device,
            start.precision,
        ));
        if progress.steps > 0 {
            self.line(&format!("going on after step {}", progress.steps));
        }
        let template = "{bar:30} {percent:>3}%  {msg}";
        self.bar = Some(Progress::new(PARTS, template, self.quiet));
        self.began = std::time::Instant::now();
    }

    fn step(&mut self, step: &Step, share: f64) {
        let (loss, speed) = match self.smooth {
            None => (step.loss, step.tokens_per_second),
            Some((l, s)) => (0.9 * l + 0.1 * step.loss, 0.9 * s + 0.1 * step.tokens_per_second),
        };
        self.smooth = Some((loss, speed));
        let first = *self.share.get_or_insert(share);
        let spent = self.began.elapsed().as_secs_f64();
        let eta = if share > first { (1.0 - share) * spent / (share - first) } else { f64::NAN };
        let eta = if eta.is_finite() { show::time(eta) } else { "…".into() };
        let load: Vec<f64> = step.load.last().map_or(Vec::new(), |l| l.iter().map(|s| f64::from(*s)).collect());
        let strip = if load.is_empty() { String::new() } else { format!("  experts {}", load_strip(&load)) };
        let words = format!(
            "step {}  loss {loss:.3}  {} tok/s  left {eta}{strip}",
            step.step,
            show::count(speed.round() as u64)
        );
        if let Some(bar) = &mut self.bar {
            bar.update((share * PARTS as f64) as u64, words);
        }
    }

    fn validate(&mut self, ops: &mut dyn Ops, training: &Training) -> Result<Option<(f64, f64)>, String> {
        if self.texts.is_empty() {
            return Ok(None);
        }
        let (texts, tokenizer) = (std::mem::take(&mut self.texts), self.tokenizer.clone());
        let result = self.model(ops, training).and_then(|m| score(ops, m, &tokenizer, &texts));
        self.texts = texts;
        let result = result.map_err(|e| format!("scoring held-out text: {e:#}"))?;
        Ok(Some((result.nats_per_token, result.bits_per_byte.value)))
    }

    fn samples(&mut self, ops: &mut dyn Ops, training: &Training) -> Result<Vec<(String, String)>, String> {
        let (tokenizer, seed, tokens) = (self.tokenizer.clone(), self.seed, self.sample_tokens);
        let prompts = self.prompts.clone();
        let model = self.model(ops, training).map_err(|e| format!("sampling: {e:#}"))?;
        prompts
            .into_iter()
            .map(|prompt| {
                let text = complete(ops, model, &tokenizer, &prompt, &Sampling::dbrx(), seed, tokens);
                text.map(|text| (prompt, text)).map_err(|e| format!("sampling: {e:#}"))
            })
            .collect()
    }

    fn record(&mut self, record: &Record) {
        match record {
            Record::Validation(v) => {
                self.line(&format!("step {}: {:.3} bits a byte on held-out text", v.step, v.bits_per_byte));
            }
            Record::Sample(s) => {
                let text = moeworks_infer::terminal::printable(&format!("{}{}", s.prompt, s.text));
                self.line(&format!("  | {}", text.trim_end().replace('\n', "\n  | ")));
            }
            Record::Event(e) if e.event != "checkpoint" => self.line(&format!("{}: {}", e.event, e.detail)),
            _ => {}
        }
    }
}
