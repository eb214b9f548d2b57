//! `generate`: continues a text.

use crate::cli::{Generate, SamplingFlags};
use crate::{device, exit, interrupt, show};
use anyhow::Result;
use moeworks_infer::terminal::printable;
use moeworks_infer::{EventKind, FinishReason, Request, Sampling};
use serde_json::json;
use std::io::{IsTerminal, Read, Write};
use std::ops::ControlFlow;
use std::sync::atomic::Ordering;

/// The flags as options of the sampler.
pub fn sampling(flags: &SamplingFlags) -> Sampling {
    Sampling {
        temperature: flags.temperature,
        top_k: flags.top_k,
        top_p: flags.top_p,
        repetition_penalty: flags.repetition_penalty,
        ..Sampling::default()
    }
}

pub fn run(flags: &Generate) -> Result<()> {
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
        sampling: sampling(&flags.sampling),
        seed: flags.sampling.seed,
        max_tokens: Some(flags.sampling.max_tokens),
        stop: flags.stop.clone(),
        ..Request::new(ids)
    };
    let stream = !flags.json;
    // What a model says must not steer a terminal; a file gets it as it is.
    let terminal = std::io::stdout().is_terminal();
    let write = |text: &str| {
        let mut out = std::io::stdout().lock();
        let shown = if terminal { printable(text) } else { text.to_string() };
        let _ = out.write_all(shown.as_bytes()).and_then(|()| out.flush());
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
        if stop.load(Ordering::Relaxed) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })?;
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
