//! `chat`: a conversation in the terminal.

use super::generate::sampling;
use crate::cli::Chat;
use crate::{device, interrupt};
use anyhow::Result;
use moeworks_infer::terminal::converse;
use moeworks_infer::{ChatSession, ChatSettings};

pub fn run(flags: &Chat) -> Result<()> {
    let sampling = sampling(&flags.sampling)?;
    let interrupted = interrupt::catch_softly();
    let mut engine = device::open(&flags.model, &flags.compute, device::answering(1, None))?.engine()?;
    let settings = ChatSettings {
        system: flags.system.clone(),
        sampling,
        seed: flags.sampling.seed,
        max_tokens: Some(flags.sampling.max_tokens),
    };
    eprintln!("{}; {}", flags.model.display(), engine.describe());
    eprintln!("/help lists commands, /exit leaves, Ctrl-C stops an answer");
    let mut session = ChatSession::new(settings);
    let (mut input, mut output, mut notes) = (std::io::stdin().lock(), std::io::stdout().lock(), std::io::stderr());
    Ok(converse(&mut engine, &mut session, &mut input, &mut output, &mut notes, interrupted)?)
}
