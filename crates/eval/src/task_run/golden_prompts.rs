//! Prompts of the Gauntlet's tasks against those of an independent program.

use super::*;
use crate::suite::{Suite, file_of, files_below};
use moeworks_text::{TrainOptions, train};
use xxhash_rust::xxh3::Xxh3;

/// The tasks of the suite, and three with delimiters that tell every rule apart.
fn tasks() -> Vec<Task> {
    let mut tasks: Vec<Task> = Suite::open("gauntlet-v0.3").unwrap().tasks().cloned().collect();
    tasks.retain(|task| task.kind.is_supported());
    let like = |name: &str| tasks.iter().find(|task| task.name == name).unwrap().clone();
    let odd = |name: &str, shots: usize, prompt: &str, base: Task| Task {
        name: name.into(),
        shots,
        prelimiter: "Q: ".into(),
        prompt_string: prompt.into(),
        ..base
    };
    let mc = Task { example_delimiter: "\n\n".into(), ..odd("odd_mc", 4, "Hi.", like("arc_easy")) };
    let schema = Task { continuation_delimiter: " -> ".into(), ..odd("odd_schema", 2, "Hi.", like("winograd")) };
    let bare = odd("odd_schema0", 0, "", like("winograd"));
    tasks.extend([mc, schema, bare]);
    tasks
}

/// XXH3-64 of all prompts of the first 20 rows (of each category): preamble and context, U+0001, continuation, U+0002.
/// Computed with CPython 3.11 by a program that follows LLM Foundry's loader and shares nothing with this crate; without
/// the limit the prompts of all rows were equal too.
#[test]
fn prompts_are_those_of_llm_foundry() {
    let folder = std::env::var_os("MOEWORKS_SHARED")
        .map(std::path::PathBuf::from)
        .unwrap_or_else(|| concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared").into())
        .join("eval-data/gauntlet");
    if !folder.exists() {
        eprintln!("SKIPPED: {} does not exist; set MOEWORKS_SHARED", folder.display());
        return;
    }
    // A tokenizer of bytes, so that tokens give back the text, without a token for " a".
    let options = TrainOptions { vocab_size: 264, min_frequency: 2 };
    let tokenizer = train(["text"].iter(), &options, |_| ()).unwrap();
    let encoder = Encoder::new(&tokenizer, 1 << 20);
    let files = files_below(&folder).unwrap();
    let mut found = Vec::new();
    for task in tasks() {
        let path = file_of(&task, &files).unwrap().unwrap();
        let (mut hash, mut prompts) = (Xxh3::new(), 0);
        for group in &read(&task, path, Some(20)).unwrap() {
            for encoded in group.encode_all(&task, encoder) {
                let request = encoded.unwrap().1;
                let (before, after) = request.tokens.split_at(request.tokens.len() - request.scored);
                let text = format!("{}\u{1}{}\u{2}", tokenizer.decode(before), tokenizer.decode(after));
                hash.update(text.as_bytes());
                prompts += 1;
            }
        }
        found.push((task.name, prompts, hash.digest()));
    }
    #[rustfmt::skip]
    let want = [
        ("jeopardy", 100, 0x9978_8729_4b81_09b1),
        ("bigbench_qa_wikidata", 20, 0x3bd6_30e3_2126_9389),
        ("arc_easy", 80, 0x3d5b_84c5_a5b1_5928),
        ("arc_challenge", 80, 0xeef8_dc82_87da_5618),
        ("mmlu", 4560, 0xf8e9_1319_3e08_4d31),
        ("copa", 40, 0x8aa5_8f41_795e_1d37),
        ("siqa", 40, 0xc67d_3f68_d855_a2ee),
        ("commonsense_qa", 80, 0x6e4a_06a7_31ba_d9a5),
        ("piqa", 40, 0x8b67_2536_8801_335b),
        ("openbook_qa", 80, 0x489d_71fe_75bf_c9fc),
        ("bigbench_strange_stories", 40, 0xf3d5_aeb0_21b5_ad57),
        ("bigbench_strategy_qa", 40, 0xd948_5f91_5408_62d0),
        ("lambada_openai", 20, 0xff75_00ed_27d4_4f81),
        ("hellaswag", 80, 0x6925_cac5_2242_7df0),
        ("winograd", 40, 0x18b1_af72_0853_79e5),
        ("winogrande", 40, 0x02c3_b40d_643d_b3c7),
        ("bigbench_elementary_math_qa", 80, 0xaa17_2c7f_f314_1b1d),
        ("bigbench_dyck_languages", 20, 0x10ac_c8d7_adb0_1c73),
        ("bigbench_operators", 20, 0xdbe6_a95b_81d9_96f4),
        ("simple_arithmetic_withspaces", 20, 0xcf60_77d2_b055_62af),
        ("simple_arithmetic_nospaces", 20, 0xe99f_0ee9_9192_8a9a),
        ("agi_eval_lsat_ar", 80, 0xc4d3_624b_ea83_59ab),
        ("squad", 20, 0x9e1e_78e2_044f_9c93),
        ("boolq", 40, 0x766f_2d80_8079_8682),
        ("coqa", 20, 0x630e_3995_daf8_9af0),
        ("agi_eval_lsat_rc", 80, 0x4a06_2c26_e7b0_3d70),
        ("agi_eval_lsat_lr", 80, 0xc5cc_a147_7a43_8d57),
        ("agi_eval_sat_en", 80, 0x0a31_f677_56ad_84c5),
        ("odd_mc", 80, 0x9315_ca8f_2f74_8bac),
        ("odd_schema", 40, 0xda85_1f71_9dbf_8c1c),
        ("odd_schema0", 40, 0x760c_109f_1c1f_1e50),
    ];
    let want: Vec<(String, i32, u64)> = want.map(|(name, prompts, hash)| (name.to_owned(), prompts, hash)).into();
    assert_eq!(found, want);
}
