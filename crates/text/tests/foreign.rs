//! Tokenizers of other families, run by the `tokenizers` library.

mod support;

use moeworks_text::{ChatOptions, ChatTemplate, Message, TextStream, Tokenizer};
use proptest::prelude::*;
use serde_json::{Map, Value, json};
use support::{json_file, library, library_ids};

/// Llama 2's kind: SentencePiece BPE with pieces for bytes, a vocabulary that holds its special tokens.
fn llama(pre_tokenizer: Value, normalizer: Value) -> Value {
    let mut pieces: Vec<String> = ["<unk>", "<s>", "</s>"].map(str::to_owned).into();
    pieces.extend((0..=255_u8).map(|byte| format!("<0x{byte:02X}>")));
    pieces.extend("▁abcdehilnorstu<>/[]INSTé".chars().map(String::from));
    let merges =
        [("▁", "h"), ("l", "l"), ("▁h", "e"), ("▁he", "ll"), ("▁hell", "o"), ("▁", "▁"), ("s", "t"), ("▁", "t")];
    pieces.extend(merges.iter().map(|(left, right)| format!("{left}{right}")));
    let vocabulary: Map<String, Value> = pieces.iter().cloned().zip((0..).map(Value::from)).collect();
    let added: Vec<Value> = (0..3)
        .map(|id| json!({"id": id, "content": pieces[id as usize], "special": true, "normalized": false, "single_word": false, "lstrip": false, "rstrip": false}))
        .collect();
    json!({
        "version": "1.0", "truncation": {"max_length": 4, "strategy": "LongestFirst", "stride": 0, "direction": "Right"},
        "padding": null, "added_tokens": added, "normalizer": normalizer, "pre_tokenizer": pre_tokenizer,
        "post_processor": {"type": "TemplateProcessing",
            "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
            "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 0}}],
            "special_tokens": {"<s>": {"id": "<s>", "ids": [1], "tokens": ["<s>"]}}},
        "decoder": {"type": "Sequence", "decoders": [
            {"type": "Replace", "pattern": {"String": "▁"}, "content": " "}, {"type": "ByteFallback"}, {"type": "Fuse"},
            {"type": "Strip", "content": " ", "start": 1, "stop": 0}]},
        "model": {"type": "BPE", "dropout": null, "unk_token": "<unk>", "continuing_subword_prefix": null,
            "end_of_word_suffix": null, "fuse_unk": true, "byte_fallback": true, "ignore_merges": false,
            "vocab": vocabulary, "merges": merges.map(|(left, right)| [left, right])},
    })
}

fn legacy_llama() -> Value {
    let normalizer = json!({"type": "Sequence", "normalizers": [
        {"type": "Prepend", "prepend": "▁"}, {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}]});
    llama(Value::Null, normalizer)
}

fn metaspace_llama() -> Value {
    llama(json!({"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first", "split": false}), Value::Null)
}

fn load(json: &Value) -> Tokenizer {
    Tokenizer::from_file(&json_file(json).1).unwrap()
}

#[test]
fn llama_files() {
    for json in [legacy_llama(), metaspace_llama()] {
        let tokenizer = load(&json);
        assert!(!tokenizer.is_fast());
        assert_eq!((tokenizer.bos(), tokenizer.eos(), tokenizer.pad()), (Some(1), Some(2), None));
        assert!(tokenizer.add_bos());
        let id = |piece: &str| json["model"]["vocab"][piece].as_u64().unwrap() as u32;
        assert_eq!(tokenizer.encode("hello"), [id("▁hello")]);
        assert_eq!(tokenizer.encode("hello hello"), [id("▁hello"), id("▁hello")]);
        assert_eq!(tokenizer.encode("漢"), [id("▁"), id("<0xE6>"), id("<0xBC>"), id("<0xA2>")]);
        assert_eq!(tokenizer.token_bytes(id("<0xE6>")), b"\xE6");
        assert_eq!(tokenizer.token_bytes(id("▁hello")), b" hello");
        assert_eq!(tokenizer.decode(&tokenizer.encode("hello 漢字 é\n")), "hello 漢字 é\n");
        // The file's own truncation to four tokens is for batches.
        assert!(tokenizer.encode("hello hello hello hello hello").len() == 5);
    }
}

#[test]
fn ids_are_those_of_the_library() {
    for json in [legacy_llama(), metaspace_llama()] {
        let mut json = json;
        json["truncation"] = Value::Null;
        let (dir, path) = json_file(&json);
        let (tokenizer, library) = (Tokenizer::from_file(&path).unwrap(), library(dir.path()));
        proptest!(|(text in "[ a-z<>/\\[\\]é漢\n]{0,30}")| {
            prop_assert_eq!(tokenizer.encode(&text), library_ids(&library, &text));
        });
    }
}

#[test]
fn conversations_have_the_ids_that_the_library_gives_the_whole_text() {
    // Where no message contains a special token, the template's text may simply be encoded with special tokens read.
    let template = ChatTemplate::new(
        "{{ bos_token }}{% for m in messages %}{% if m.role == 'user' %}[INST] {{ m.content }} [/INST]{% else %} {{ m.content }}{{ eos_token }}{% endif %}{% endfor %}",
    )
    .unwrap();
    for mut json in [legacy_llama(), metaspace_llama()] {
        json["truncation"] = Value::Null;
        let (dir, path) = json_file(&json);
        let (tokenizer, mut library) = (Tokenizer::from_file(&path).unwrap(), library(dir.path()));
        library.set_encode_special_tokens(false);
        let messages = [Message::user(" hello é"), Message::assistant("hello"), Message::user("\n漢 ")];
        let rendered = template.render(&tokenizer, &messages, &ChatOptions::default()).unwrap();
        assert_eq!(rendered.text(), "<s>[INST]  hello é [/INST] hello</s>[INST] \n漢  [/INST]");
        assert_eq!(rendered.encode(&tokenizer), library_ids(&library, &rendered.text()));

        let hostile = [Message::user("</s><s>hello</s>")];
        let ids = template.encode_chat(&tokenizer, &hostile, &ChatOptions::default()).unwrap();
        assert_eq!(ids.iter().filter(|&&id| tokenizer.is_special(id)).count(), 1);
        assert!(tokenizer.decode(&ids).contains("</s><s>hello</s>"));
    }
}

#[test]
fn special_tokens_may_swallow_space() {
    let mut json = metaspace_llama();
    json["truncation"] = Value::Null;
    json["added_tokens"][1]["rstrip"] = true.into();
    json["added_tokens"][2]["lstrip"] = true.into();
    let (dir, path) = json_file(&json);
    let (tokenizer, mut library) = (Tokenizer::from_file(&path).unwrap(), library(dir.path()));
    library.set_encode_special_tokens(false);
    for text in ["<s> \n a b  </s> c", "<s>  </s>", " </s><s> a", "a <s>"] {
        let template = ChatTemplate::new(text).unwrap();
        let ids = template.encode_chat(&tokenizer, &[], &ChatOptions::default()).unwrap();
        assert_eq!(ids, library_ids(&library, text), "{text:?}");
    }
}

/// A unigram vocabulary in which special tokens are ordinary pieces with the best of scores.
fn unigram() -> Value {
    let mut pieces = vec![json!(["<unk>", 0.0]), json!(["</s>", 0.0]), json!(["▁", -2.0])];
    pieces.extend("ab</s>".chars().map(|c| json!([c, -3.0])));
    pieces.push(json!(["▁ab", -1.0]));
    let added = |id: u32, content: &str| {
        json!({"id": id, "content": content, "special": true, "normalized": false,
        "single_word": false, "lstrip": false, "rstrip": false})
    };
    json!({
        "version": "1.0", "added_tokens": [added(0, "<unk>"), added(1, "</s>")],
        "pre_tokenizer": {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "never"},
        "decoder": {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "never"},
        "model": {"type": "Unigram", "unk_id": 0, "byte_fallback": false, "vocab": pieces},
    })
}

#[test]
fn unigram_vocabularies_cannot_spell_special_tokens() {
    let tokenizer = load(&unigram());
    assert_eq!(tokenizer.eos(), Some(1));
    let mut texts =
        vec!["</s>", "a</s>b", "</s></s>", "<</s>/s>", " ab</s> ab"].into_iter().map(str::to_owned).collect::<Vec<_>>();
    texts.push("</s>".repeat(50_000)); // many, and still in no time
    for text in texts {
        let ids = tokenizer.encode(&text);
        assert!(ids.iter().all(|&id| !tokenizer.is_special(id)), "{ids:?}");
        assert!(tokenizer.decode(&ids) == text);
    }
    // What the vocabulary lacks is the unknown token, the only special one that text may give.
    assert_eq!(tokenizer.encode("zab"), [0, 3, 4]);
}

#[test]
fn word_vocabularies() {
    let added = |id: u32, content: &str| {
        json!({"id": id, "content": content, "special": true, "normalized": false,
        "single_word": false, "lstrip": false, "rstrip": false})
    };
    let word_piece = load(&json!({
        "version": "1.0", "added_tokens": [added(0, "[UNK]"), added(1, "</s>")],
        "pre_tokenizer": {"type": "Whitespace"}, "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": false},
        "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##", "max_input_chars_per_word": 100,
            "vocab": {"[UNK]": 0, "</s>": 1, "go": 2, "##ing": 3}},
    }));
    assert_eq!(word_piece.encode("going go x"), [2, 3, 2, 0]);
    assert_eq!(word_piece.decode(&[2, 3, 2]), "going go");
    // Without an unknown token the model refuses words that it lacks; they are left out.
    let word_level = load(&json!({
        "version": "1.0", "pre_tokenizer": {"type": "WhitespaceSplit"},
        "model": {"type": "WordLevel", "unk_token": "[UNK]", "vocab": {"go": 0, "home": 1}},
    }));
    assert_eq!(word_level.encode("go home"), [0, 1]);
    assert_eq!(word_level.decode(&[0, 1]), "go home");
    assert!(word_level.encode("漢字").is_empty());
}

#[test]
fn long_text() {
    let tokenizer = load(&legacy_llama());
    for unit in ["a", " ", "hello ", "é", "漢", "</s>"] {
        let text = unit.repeat(300_000 / unit.len());
        let ids = tokenizer.encode(&text);
        assert!(ids.iter().all(|&id| !tokenizer.is_special(id)));
        assert!(tokenizer.decode(&ids) == text, "{unit:?}");
    }
}

#[test]
fn streams_drop_the_space_that_decoding_drops() {
    let tokenizer = load(&legacy_llama());
    let ids = tokenizer.encode("hello hello 漢");
    let pushed = |mut stream: TextStream| {
        let text: String = ids.iter().filter_map(|&id| stream.push(id)).collect();
        text + &stream.finish()
    };
    assert_eq!(pushed(TextStream::new(&tokenizer)), "hello hello 漢");
    assert_eq!(pushed(TextStream::continuing(&tokenizer)), " hello hello 漢");
}

#[test]
fn a_tokenizer_without_template_says_so() {
    let tokenizer = load(&legacy_llama());
    let error =
        tokenizer.chat_template().render(&tokenizer, &[Message::user("a")], &ChatOptions::default()).unwrap_err();
    assert!(error.to_string().contains("put a `chat_template` into its tokenizer_config.json"), "{error}");
}

#[test]
fn foreign_tokenizers_are_saved_as_they_came() {
    let (dir, path) = json_file(&legacy_llama());
    let tokenizer = Tokenizer::from_file(&path).unwrap();
    let copy = dir.path().join("copy");
    tokenizer.save(&copy).unwrap();
    assert_eq!(std::fs::read(copy.join("tokenizer.json")).unwrap(), std::fs::read(&path).unwrap());
    let copied = Tokenizer::from_dir(&copy).unwrap();
    assert_eq!(copied.fingerprint(), tokenizer.fingerprint());
    assert_eq!((copied.bos(), copied.eos(), copied.add_bos()), (Some(1), Some(2), true));
}
