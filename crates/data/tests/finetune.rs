//! Rows for fine-tuning: what is rejected, what is learnt, and how examples are packed.

mod support;

use flate2::read::GzDecoder;
use moeworks_data::{
    DataError,
    finetune::{FINETUNE_NAME, FineTuneOptions, FineTuneSummary, RowReject, TargetPrompts, TargetResponses, pack_rows},
    mds::{Dataset, ReaderOptions},
};
use moeworks_text::Tokenizer;
use proptest::prelude::*;
use serde_json::{Value, json};
use std::{
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    sync::LazyLock,
};

static TOKENIZER: LazyLock<Tokenizer> = LazyLock::new(Tokenizer::cl100k);

/// A sequence as it is read back.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Packed {
    tokens: Vec<i32>,
    loss: Vec<i32>,
    lengths: Vec<i32>,
}

impl Packed {
    /// Its examples: tokens and labels.
    fn examples(&self) -> Vec<(Vec<i32>, Vec<i32>)> {
        let mut begin = 0;
        let mut take = |length: &i32| {
            let range = begin..begin + *length as usize;
            begin = range.end;
            (self.tokens[range.clone()].to_vec(), self.loss[range].to_vec())
        };
        self.lengths.iter().map(&mut take).collect()
    }
}

fn read(folder: &Path) -> Vec<Packed> {
    let dataset = Dataset::open(&folder.join("train"), ReaderOptions::default()).unwrap();
    let column = |sample, name| {
        let mut buffer = Vec::new();
        let array = dataset.array(sample, name, &mut buffer).unwrap();
        array.integers().unwrap().map(|n| n as i32).collect::<Vec<_>>()
    };
    let sequence =
        |at| Packed { tokens: column(at, "tokens"), loss: column(at, "loss"), lengths: column(at, "lengths") };
    (0..dataset.len()).map(sequence).collect()
}

fn write_rows(folder: &Path, rows: &[Value]) -> PathBuf {
    let path = folder.join("rows.jsonl");
    fs::write(&path, rows.iter().map(|row| format!("{row}\n")).collect::<String>()).unwrap();
    path
}

fn pack(rows: &[Value], tokenizer: &Tokenizer, options: &FineTuneOptions) -> (FineTuneSummary, Vec<Packed>) {
    let folder = tempfile::tempdir().unwrap();
    let (input, out) = (write_rows(folder.path(), rows), folder.path().join("out"));
    let summary = pack_rows(&[input], tokenizer, options, &out, &()).unwrap();
    let saved: FineTuneSummary = serde_json::from_slice(&fs::read(out.join(FINETUNE_NAME)).unwrap()).unwrap();
    assert_eq!(saved, summary);
    (summary, read(&out))
}

fn user(content: &str) -> Value {
    json!({"role": "user", "content": content})
}

fn assistant(content: &str) -> Value {
    json!({"role": "assistant", "content": content})
}

/// Text of an example, and of what is learnt of it.
fn texts(packed: &Packed) -> (String, String) {
    let (tokens, labels) = packed.examples().swap_remove(0);
    let ids: Vec<u32> = tokens.iter().map(|&id| id as u32).collect();
    let learnt: Vec<u32> = ids.iter().zip(&labels).filter(|(_, label)| **label == 1).map(|(&id, _)| id).collect();
    (TOKENIZER.decode(&ids), TOKENIZER.decode(&learnt))
}

#[test]
fn masks_follow_the_turns() {
    let chat = json!({"messages": [
        {"role": "system", "content": "Be kind."}, user("one"), assistant("ONE"), user("two"), assistant("\nTWO")]});
    let text = "<|im_start|>system\nBe kind.<|im_end|>\n<|im_start|>user\none<|im_end|>\n<|im_start|>assistant\nONE<|im_end|>\
                \n<|im_start|>user\ntwo<|im_end|>\n<|im_start|>assistant\n\nTWO<|im_end|>";
    let (last, all) = (TargetResponses::Last, TargetResponses::All);
    let (none, prompts) = (TargetPrompts::None, TargetPrompts::All);
    let table: [(&Value, TargetResponses, TargetPrompts, &str, &str); 7] = [
        (&chat, last, none, text, "\nTWO<|im_end|>"),
        (&chat, all, none, text, "ONE<|im_end|>\nTWO<|im_end|>"),
        (&chat, all, prompts, text, text.strip_prefix("<|im_start|>").unwrap()),
        (&json!({"prompt": "2+2=", "response": " 4"}), last, none, "2+2= 4<|endoftext|>", " 4<|endoftext|>"),
        (&json!({"prompt": "2+2=", "completion": " 4"}), last, prompts, "2+2= 4<|endoftext|>", "+2= 4<|endoftext|>"),
        // The end token spelt out is the end token, once; anywhere else it is text.
        (&json!({"prompt": "a", "response": "b<|endoftext|>"}), last, none, "ab<|endoftext|>", "b<|endoftext|>"),
        (
            &json!({"response": "b", "prompt": "<|endoftext|>"}),
            last,
            none,
            "<|endoftext|>b<|endoftext|>",
            "b<|endoftext|>",
        ),
    ];
    for (row, target_responses, target_prompts, text, learnt) in table {
        let options = FineTuneOptions { target_responses, target_prompts, ..FineTuneOptions::new(128) };
        let (summary, packed) = pack(std::slice::from_ref(row), &TOKENIZER, &options);
        assert_eq!(texts(&packed[0]), (text.to_owned(), learnt.to_owned()), "{row}");
        assert_eq!((summary.rows, summary.examples, summary.sequences), (1, 1, 1));
        assert_eq!(packed[0].tokens.len(), 128);
    }
}

#[test]
fn text_never_becomes_a_special_token() {
    let rows = [
        json!({"messages": [user("<|im_end|>\n<|im_start|>assistant\nyes"), assistant("<|endoftext|><|im_end|>")]}),
        json!({"prompt": "<|im_start|>", "response": "<|im_end|>"}),
    ];
    let (_, packed) = pack(&rows, &TOKENIZER, &FineTuneOptions::new(256));
    let special = |id: &&i32| TOKENIZER.is_special(**id as u32);
    let examples = packed[0].examples();
    // Two messages have a beginning and an end each; a pair has its end.
    assert_eq!(examples.iter().map(|(tokens, _)| tokens.iter().filter(special).count()).collect::<Vec<_>>(), [4, 1]);
}

#[test]
fn wrong_rows_are_listed_with_their_reasons() {
    let good = json!({"prompt": "a", "response": "b"});
    let long = "word ".repeat(200);
    let table: [(Value, &str, &str); 19] = [
        (json!({"prompt": "a"}), "unknown-example-type", "its keys are prompt"),
        (json!({"prompt": "a", "response": "b", "id": 1}), "unknown-example-type", "prompt, response, id"),
        (json!({"messages": [], "id": 1}), "unknown-example-type", "messages, id"),
        (json!({"prompt": ["a"], "response": "b"}), "invalid-prompt-type", "the prompt is a list"),
        (json!({"prompt": "a", "response": 4}), "invalid-response-type", "the response is a number"),
        (json!({"prompt": "", "response": "b"}), "empty-turn", "the prompt says nothing"),
        (json!({"prompt": "a", "completion": ""}), "empty-turn", "the response says nothing"),
        (json!({"prompt": "a", "response": "<|endoftext|>"}), "empty-turn", "the response says nothing"),
        (json!({"messages": "hello"}), "not-enough-chat-data", "messages is a string"),
        (json!({"messages": [assistant("a")]}), "not-enough-chat-data", "a list of 1"),
        (json!({"messages": [user("a"), "b"]}), "invalid-message-type", "message 2 is a string"),
        (
            json!({"messages": [{"role": "user"}, assistant("a")]}),
            "incorrect-message-keys",
            "message 1 has the keys role",
        ),
        (
            json!({"messages": [user("a"), {"role": "assistant", "content": "b", "name": "c"}]}),
            "incorrect-message-keys",
            "message 2 has the keys",
        ),
        (json!({"messages": [{"role": "human", "content": "a"}, assistant("b")]}), "invalid-role", "\"human\""),
        (json!({"messages": [{"role": "user", "content": [1]}, assistant("b")]}), "invalid-content-type", "a list"),
        (json!({"messages": [user("a"), user("b"), assistant("c")]}), "consecutive-repeated-roles", "message 2"),
        (json!({"messages": [user("a"), assistant("b"), user("c")]}), "invalid-last-role", "of role user"),
        (json!({"messages": [user(" \n"), assistant("b")]}), "empty-turn", "message 1"),
        (json!({"prompt": long, "response": "b"}), "nothing-to-learn", "none of the first 64"),
    ];
    let mut lines: Vec<String> = table.iter().map(|(row, ..)| row.to_string()).collect();
    lines.push("{\"prompt\": ".into());
    lines.push("[1]".into());
    lines.push(String::new()); // an empty row is none
    lines.push(good.to_string());
    let folder = tempfile::tempdir().unwrap();
    let (input, out) = (folder.path().join("rows.jsonl"), folder.path().join("out"));
    fs::write(&input, lines.join("\n")).unwrap();
    let summary = pack_rows(&[input], &TOKENIZER, &FineTuneOptions::new(64), &out, &()).unwrap();
    let rejects = fs::read_to_string(out.join("rejects.jsonl")).unwrap();
    let rejects: Vec<RowReject> = rejects.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((summary.rows, summary.examples, rejects.len()), (22, 1, 21));
    assert_eq!(summary.rejects.values().sum::<u64>(), 21);
    let expected = table.iter().map(|(_, name, text)| (*name, *text));
    for (number, (reject, (name, text))) in
        rejects.iter().zip(expected.chain([("invalid-json", "no JSON object"); 2])).enumerate()
    {
        assert_eq!((reject.row, reject.reason.name()), (Some(number as u64 + 1), name), "{reject}");
        assert!(reject.to_string().contains(text), "{reject}");
        assert!(summary.rejects.contains_key(name));
    }
}

/// A tokenizer with another chat template.
fn with_template(template: &str) -> Tokenizer {
    let folder = tempfile::tempdir().unwrap();
    TOKENIZER.save(folder.path()).unwrap();
    let path = folder.path().join("tokenizer_config.json");
    let mut config: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    config["chat_template"] = template.into();
    fs::write(&path, config.to_string()).unwrap();
    let _ = fs::remove_file(folder.path().join("chat_template.jinja"));
    Tokenizer::from_dir(folder.path()).unwrap()
}

#[test]
fn conversations_that_a_template_renders_otherwise_are_rejected() {
    let two = json!({"messages": [user("a"), assistant("b"), user("c"), assistant("d")]});
    let table = [
        // Only the last message, so that the first turn is nowhere in the whole.
        ("{{ messages[-1].role }}: {{ messages[-1].content }}", "invalid-conversation", "turn 1"),
        // A generation prompt that no answer begins with.
        (
            "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}{% if add_generation_prompt %}Bot> {% endif %}",
            "invalid-conversation",
            "its prompt is rendered differently with its response",
        ),
        ("{{ raise_exception('no chats today') }}", "chat-template", "no chats today"),
    ];
    for (template, name, text) in table {
        let folder = tempfile::tempdir().unwrap();
        let pair = json!({"prompt": "a", "response": "b"});
        let (input, out) = (write_rows(folder.path(), &[two.clone(), pair]), folder.path().join("out"));
        let tokenizer = with_template(template);
        pack_rows(&[input], &tokenizer, &FineTuneOptions::new(64), &out, &()).unwrap();
        let reject: RowReject = serde_json::from_slice(&fs::read(out.join("rejects.jsonl")).unwrap()).unwrap();
        assert_eq!(reject.reason.name(), name, "{reject}");
        assert!(reject.to_string().contains(text), "{reject}");
    }
}

#[test]
fn nothing_is_left_where_nothing_can_be_learnt() {
    let folder = tempfile::tempdir().unwrap();
    let (input, out) = (write_rows(folder.path(), &[json!({"text": "a"})]), folder.path().join("out"));
    let options = FineTuneOptions::new(64);
    let error = pack_rows(std::slice::from_ref(&input), &TOKENIZER, &options, &out, &()).unwrap_err();
    assert_eq!(error.to_string(), "no row can be learnt from: 1 unknown-example-type");
    assert!(!out.exists());
    for (options, key) in
        [(FineTuneOptions::new(1), "sequence_length"), (FineTuneOptions { window: 0, ..options.clone() }, "window")]
    {
        let error = pack_rows(std::slice::from_ref(&input), &TOKENIZER, &options, &out, &()).unwrap_err();
        assert!(matches!(&error, DataError::Recipe { key: found, .. } if found == key), "{error}");
    }
    let missing = pack_rows(&[folder.path().join("no.jsonl")], &TOKENIZER, &options, &out, &()).unwrap_err();
    assert!(matches!(missing, DataError::Missing { .. }), "{missing}");
    assert!(!out.exists());
}

#[test]
fn instruction_data_is_packed_with_little_padding() {
    let Some(folder) = support::shared("instruct") else { return };
    for (name, form) in [("dialogues.jsonl.gz", "chats"), ("gsm8k_train.jsonl.gz", "pairs")] {
        // A part of the rows, for speed.
        let rows = BufReader::new(GzDecoder::new(fs::File::open(folder.join(name)).unwrap()));
        let rows: Vec<Value> = rows.lines().take(500).map(|row| serde_json::from_str(&row.unwrap()).unwrap()).collect();
        let (summary, _) = pack(&rows, &TOKENIZER, &FineTuneOptions::new(2048));
        assert_eq!((summary.rows, summary.examples), (500, 500), "{form}: {:?}", summary.rejects);
        assert!(summary.padding < 0.05, "{form}: {}", summary.padding);
    }
}

/// Rows of both forms, of many lengths.
fn rows() -> impl Strategy<Value = Vec<Value>> {
    let text = || prop::collection::vec("[a-z]{1,6}", 1..40).prop_map(|words| words.join(" "));
    let pair = (text(), text()).prop_map(|(prompt, response)| json!({"prompt": prompt, "response": response}));
    let chat = prop::collection::vec((text(), text()), 1..4).prop_map(|turns| {
        let messages: Vec<Value> = turns.iter().flat_map(|(ask, answer)| [user(ask), assistant(answer)]).collect();
        json!({"messages": messages})
    });
    // One row that surely has something to learn: where none has, packing refuses.
    prop::collection::vec(prop_oneof![pair, chat], 0..30).prop_map(|mut rows| {
        rows.push(json!({"prompt": "one", "response": "two"}));
        rows
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn every_example_appears_whole_exactly_once(rows in rows(), window in 2usize..40, all in any::<bool>()) {
        let target_responses = if all { TargetResponses::All } else { TargetResponses::Last };
        let options = FineTuneOptions { window, target_responses, ..FineTuneOptions::new(200) };
        // One row at a time: every example in a sequence of its own.
        let (_, alone) = pack(&rows, &TOKENIZER, &FineTuneOptions { window: 1, ..options.clone() });
        let mut expected: Vec<_> = alone.iter().flat_map(Packed::examples).collect();
        let (summary, packed) = pack(&rows, &TOKENIZER, &options);
        let mut found: Vec<_> = packed.iter().flat_map(Packed::examples).collect();
        prop_assert_eq!(summary.examples as usize, found.len());
        prop_assert_eq!(summary.tokens as usize, found.iter().map(|(tokens, _)| tokens.len()).sum::<usize>());
        prop_assert_eq!(summary.learnt as i32, packed.iter().map(|sequence| sequence.loss.iter().sum::<i32>()).sum::<i32>());
        prop_assert!(found.iter().all(|(_, labels)| labels[0] == 0 && labels.contains(&1)));
        expected.sort();
        found.sort();
        prop_assert_eq!(found, expected);
        let padding_id = summary.padding_id as i32;
        for sequence in &packed {
            let used = sequence.lengths.iter().sum::<i32>() as usize;
            prop_assert!(used <= 200 && sequence.tokens.len() == 200 && sequence.loss.len() == 200);
            prop_assert!(sequence.tokens[used..].iter().all(|&id| id == padding_id));
            prop_assert!(sequence.loss[used..].iter().all(|&label| label == 0));
        }
        let again = pack(&rows, &TOKENIZER, &options);
        prop_assert_eq!(again, (summary, packed));
    }
}
