//! `generate`: continues a text.

use crate::cli::{Generate, SamplingFlags};
use crate::{device, exit, interrupt, show};
use anyhow::Result;
use moeworks_infer::terminal::printable;
use moeworks_infer::{EventKind, FinishReason, Request, Sampling};
use serde_json::json;
use std::cell::RefCell;
use std::io::{ErrorKind, IsTerminal, Read, Write};
use std::ops::ControlFlow;
use std::sync::atomic::Ordering;

/// The flags as options of the sampler, checked before a model is read for them.
pub fn sampling(flags: &SamplingFlags) -> Result<Sampling> {
    let sampling = Sampling {
        temperature: flags.temperature,
        top_k: flags.top_k,
        top_p: flags.top_p,
        repetition_penalty: flags.repetition_penalty,
        ..Sampling::default()
    };
    sampling.validate(usize::MAX).map_err(|e| exit::coded(exit::USAGE, e.to_string()))?;
    Ok(sampling)
}

pub fn run(flags: &Generate) -> Result<()> {
    let sampling = sampling(&flags.sampling)?;
    let mut prompt = flags.prompt.clone();
    if prompt == "-" {
        prompt.clear();
        std::io::stdin().read_to_string(&mut prompt)?;
    }
    let stop = interrupt::catch();
    let mut engine = device::open(&flags.model, &flags.compute, device::answering(1, None))?.engine()?;
    let tokenizer = engine.tokenizer();
    let mut ids = tokenizer.encode(&prompt);
    if ids.is_empty() || tokenizer.add_bos() {
        ids.splice(0..0, tokenizer.bos().or(tokenizer.eos()));
    }
    let request = Request {
        sampling,
        seed: flags.sampling.seed,
        max_tokens: Some(flags.sampling.max_tokens),
        stop: flags.stop.clone(),
        ..Request::new(ids)
    };
    let stream = !flags.json;
    // What a model says must not steer a terminal; a file gets it as it is.
    let terminal = std::io::stdout().is_terminal();
    let fault = RefCell::new(None);
    let write = |text: &str| {
        let mut out = std::io::stdout().lock();
        let shown = if terminal { printable(text) } else { text.to_string() };
        if let Err(e) = out.write_all(shown.as_bytes()).and_then(|()| out.flush()) {
            fault.replace(Some(e));
        }
    };
    if stream {
        write(&prompt);
    }
    let began = std::time::Instant::now();
    let completions = engine.generate(vec![request], |event| {
        let text = match &event.kind {
            EventKind::Token(t) => &t.text,
            EventKind::Finish(f) => &f.text,
            EventKind::Prompt(_) => return ControlFlow::Continue(()),
        };
        if stream {
            write(text);
        }
        let end = stop.load(Ordering::Relaxed) || fault.borrow().is_some();
        if end { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })?;
    match fault.take() {
        Some(e) if e.kind() == ErrorKind::BrokenPipe => return Ok(()), // the reader has enough
        Some(e) => return Err(anyhow::Error::from(e).context("writing to stdout")),
        None => {}
    }
    let completion = &completions[0];
    let finish = completion.finish.as_ref().expect("generate returns what has ended");
    if let FinishReason::Error(reason) = &finish.reason {
        return Err(exit::coded(exit::BAD_DATA, reason.clone()));
    }
    if stream {
        write("\n");
    } else {
        let reason = match finish.reason {
            FinishReason::Stop => "stop",
            FinishReason::Length => "length",
            _ => "cancelled",
        };
        let value = json!({
            "prompt": prompt,
            "text": completion.text,
            "finish_reason": reason,
            "prompt_tokens": finish.prompt_tokens,
            "completion_tokens": finish.completion_tokens,
            "seconds": began.elapsed().as_secs_f64(),
        });
        show::result(&serde_json::to_string_pretty(&value)?)?;
    }
    if finish.reason == FinishReason::Cancelled {
        return Err(exit::coded(exit::INTERRUPTED, "interrupted"));
    }
    Ok(())
}
