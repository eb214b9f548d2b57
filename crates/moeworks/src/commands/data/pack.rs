//! `data pack`: rows for fine-tuning as packed sequences.

use super::{print, watched};
use crate::cli::DataPack;
use crate::commands::tokenizer;
use crate::show;
use anyhow::Result;
use moeworks_data::finetune::{FineTuneOptions, FineTuneSummary, TargetPrompts, TargetResponses, pack_rows};

pub fn pack(flags: &DataPack, quiet: bool) -> Result<()> {
    let tokenizer = tokenizer::open(&flags.tokenizer)?;
    let options = FineTuneOptions {
        target_responses: if flags.all_responses { TargetResponses::All } else { TargetResponses::Last },
        target_prompts: if flags.prompts { TargetPrompts::All } else { TargetPrompts::None },
        ..FineTuneOptions::new(flags.sequence_length as usize)
    };
    let summary = watched(quiet, |progress| pack_rows(&flags.rows, &tokenizer, &options, &flags.out, progress))?;
    print(flags.json, &summary, || text(&summary))
}

fn text(s: &FineTuneSummary) -> String {
    let mut text = format!(
        "{} of {} rows in {} sequences of {} tokens, {:.2} % of them padding\n{} tokens, {} of them learnt; {} rows cut\n",
        s.examples,
        s.rows,
        s.sequences,
        s.sequence_length,
        100.0 * s.padding,
        show::count(s.tokens),
        show::count(s.learnt),
        s.cut
    );
    if !s.rejects.is_empty() {
        text += "rejected (see rejects.jsonl)\n";
        for (reason, n) in &s.rejects {
            text += &format!("  {n} {reason}\n");
        }
    }
    text
}
