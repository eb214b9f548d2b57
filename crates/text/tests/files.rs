//! Saving, loading, and files that are damaged.

mod support;

use std::path::Path;

use moeworks_text::{ChatOptions, ChatTemplate, Message, TextError, Tokenizer};
use serde_json::{Value, json};
use support::{json_file, saved_json, trained};

#[test]
fn one_tokenizer_serves_all_threads() {
    fn shared<T: Send + Sync + Clone + 'static>(_: &T) {}
    shared(&trained(300));
}

#[test]
fn what_is_saved_is_what_is_loaded() {
    for tokenizer in [Tokenizer::cl100k(), trained(1000)] {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().join("new/folder");
        tokenizer.save(&dir).unwrap();
        let loaded = Tokenizer::from_dir(&dir).unwrap();
        assert!(loaded.is_fast());
        assert_eq!(loaded.fingerprint(), tokenizer.fingerprint());
        assert_eq!(loaded.vocab_size(), tokenizer.vocab_size());
        assert_eq!((loaded.bos(), loaded.eos(), loaded.pad()), (tokenizer.bos(), tokenizer.eos(), tokenizer.pad()));
        assert_eq!(loaded.stop_ids(), tokenizer.stop_ids());
        assert_eq!(loaded.add_bos(), tokenizer.add_bos());
        assert!(loaded.special_tokens().eq(tokenizer.special_tokens()));
        for document in support::documents() {
            assert_eq!(loaded.encode(document), tokenizer.encode(document));
        }
        let messages = [Message::system("s"), Message::user("u")];
        let encode = |tokenizer: &Tokenizer| {
            tokenizer.chat_template().encode_chat(tokenizer, &messages, &ChatOptions::generation()).unwrap()
        };
        assert_eq!(encode(&loaded), encode(&tokenizer));

        // And once more from what was loaded, over the same files.
        let files = || {
            ["tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"]
                .map(|name| std::fs::read(dir.join(name)).unwrap())
        };
        let before = files();
        loaded.save(&dir).unwrap();
        assert!(before == files());
        assert_eq!(std::fs::read_dir(&dir).unwrap().count(), 3, "no temporary files are left");
        // A bare tokenizer.json says nearly everything.
        assert_eq!(Tokenizer::from_file(&dir.join("tokenizer.json")).unwrap().stop_ids(), tokenizer.stop_ids());
    }
}

#[cfg(unix)]
#[test]
fn saved_files_have_the_mode_of_other_files() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("other"), "").unwrap();
    trained(300).save(dir.path()).unwrap();
    let mode = |name: &str| std::fs::metadata(dir.path().join(name)).unwrap().permissions().mode();
    assert_eq!(mode("tokenizer.json"), mode("other"));
}

#[test]
fn fingerprints_tell_tokenizers_apart() {
    let base = saved_json(&trained(600));
    let print = |json: &Value| Tokenizer::from_file(&json_file(json).1).unwrap().fingerprint();
    let mut prints = vec![print(&base), Tokenizer::cl100k().fingerprint(), trained(601).fingerprint()];
    assert_eq!(prints[0], trained(600).fingerprint());
    assert!(prints[0].len() == 64 && prints[0].bytes().all(|b| b.is_ascii_hexdigit()));
    let changed = |change: &dyn Fn(&mut Value)| {
        let mut json = base.clone();
        change(&mut json);
        print(&json)
    };
    prints.push(changed(&|json| json["pre_tokenizer"] = json!({"type": "ByteLevel", "add_prefix_space": false})));
    prints.push(changed(&|json| json["added_tokens"][6]["content"] = "<|another|>".into()));
    prints.push(changed(&|json| json["added_tokens"][6]["rstrip"] = true.into()));
    prints.push(changed(&|json| {
        let vocabulary = json["model"]["vocab"].as_object_mut().unwrap();
        let (a, b) = (vocabulary["a"].clone(), vocabulary["b"].clone());
        vocabulary["a"] = b;
        vocabulary["b"] = a;
    }));
    prints.push(changed(&|json| json["normalizer"] = json!({"type": "NFC"})));
    let count = prints.len();
    prints.sort();
    prints.dedup();
    assert_eq!(prints.len(), count);
}

#[test]
fn a_folder_says_what_its_tokens_are_for() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, json: Value| std::fs::write(dir.path().join(name), json.to_string()).unwrap();
    write("tokenizer.json", saved_json(&trained(300)));
    write(
        "tokenizer_config.json",
        json!({
            "bos_token": {"__type": "AddedToken", "content": "<|fim_prefix|>"}, "eos_token": null, "add_bos_token": true,
            "model_max_length": 1000, "chat_template": [{"name": "default", "template": "A"}, {"name": "tool_use", "template": "B"}],
        }),
    );
    write("special_tokens_map.json", json!({"eos_token": "<|im_end|>", "bos_token": "<|pad|>"}));
    write("generation_config.json", json!({"eos_token_id": [299, 3]}));
    let tokenizer = Tokenizer::from_dir(dir.path()).unwrap();
    assert_eq!(tokenizer.bos(), tokenizer.special("<|fim_prefix|>"));
    assert_eq!(tokenizer.eos(), Some(299));
    assert_eq!(tokenizer.pad(), None);
    assert!(tokenizer.add_bos());
    assert_eq!(tokenizer.stop_ids(), [299, 3]);
    assert_eq!(tokenizer.chat_template().sources().len(), 2);

    // Other keys of the configuration survive, and both templates are saved.
    let copy = tempfile::tempdir().unwrap();
    tokenizer.save(copy.path()).unwrap();
    let config: Value =
        serde_json::from_slice(&std::fs::read(copy.path().join("tokenizer_config.json")).unwrap()).unwrap();
    assert_eq!(config["model_max_length"], 1000);
    let copied = Tokenizer::from_dir(copy.path()).unwrap();
    assert_eq!(copied.chat_template().sources(), tokenizer.chat_template().sources());
    assert_eq!(copied.bos(), tokenizer.bos());

    // A template file of its own comes first.
    std::fs::write(dir.path().join("chat_template.jinja"), "C").unwrap();
    let tokenizer = Tokenizer::from_dir(dir.path()).unwrap();
    let text = tokenizer.chat_template().render(&tokenizer, &[], &ChatOptions::default()).unwrap().text();
    assert_eq!(text, "C");
}

#[test]
fn bos_may_come_from_the_post_processor() {
    let mut json = saved_json(&trained(300));
    json["post_processor"] = json!({"type": "Sequence", "processors": [
        {"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": false, "use_regex": true},
        {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "<|endoftext|>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
         "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 0}}],
         "special_tokens": {"<|endoftext|>": {"id": "<|endoftext|>", "ids": [292], "tokens": ["<|endoftext|>"]}}}]});
    assert!(Tokenizer::from_file(&json_file(&json).1).unwrap().add_bos());
}

/// Puts `value` at a JSON pointer, whose last part may be new.
fn put(json: &mut Value, place: &str, value: Value) {
    let (parent, key) = place.rsplit_once('/').unwrap();
    match json.pointer_mut(parent).unwrap() {
        Value::Array(list) => list[key.parse::<usize>().unwrap()] = value,
        other => other[key] = value,
    }
}

#[test]
fn damaged_tokenizer_json_is_named() {
    let base = saved_json(&trained(300));
    let cases: [(&str, Value, &str); 17] = [
        ("/model", Value::Null, "`model` must be an object"),
        ("/model/type", "BPF".into(), "`model.type` is \"BPF\"; known are BPE, Unigram, WordPiece, WordLevel"),
        ("/model/vocab", 7.into(), "`model.vocab` must map pieces to ids"),
        ("/model/vocab/a", "1".into(), "`model.vocab[\"a\"]` is \"1\""),
        ("/model/vocab/a", (-1).into(), "`model.vocab[\"a\"]` is -1"),
        ("/model/vocab/a", 5_000_000_000_u64.into(), "`model.vocab[\"a\"]` is 5000000000"),
        ("/model/vocab/a", 10.into(), "gives the id 10 to both"),
        ("/model/vocab/a", 1000.into(), "leaves a gap: no token has the id 64"),
        ("/model/merges", "none".into(), "`model.merges` must be a list"),
        ("/model/merges/3", json!(["a"]), "`model.merges[3]` must be a pair"),
        ("/model/merges/3", json!(["a", "nonsense"]), "`model.merges[3]` names the token \"nonsense\""),
        ("/model/merges/3", json!(["q", "q"]), "`model.merges[3]` names the token \"qq\""),
        ("/added_tokens", json!({}), "`added_tokens` must be a list"),
        ("/added_tokens/2/id", 290.into(), "gives the id 290 to both"),
        ("/added_tokens/7/id", 400.into(), "leaves a gap: no token has the id 299"),
        ("/added_tokens/2/content", "".into(), "`added_tokens[2].content`"),
        ("/added_tokens/2/special", "yes".into(), "`added_tokens[2].special` is \"yes\""),
    ];
    for (place, value, expected) in cases {
        let mut json = base.clone();
        put(&mut json, place, value);
        refused(&json, expected);
    }
    let mut repeated = base.clone();
    repeated["added_tokens"][2]["content"] = "<|endoftext|>".into();
    refused(&repeated, "`added_tokens[2].content` repeats \"<|endoftext|>\"");
    let mut unsorted = base.clone();
    unsorted["added_tokens"].as_array_mut().unwrap().swap(1, 2);
    refused(&unsorted, "sort the list by id");
    let mut elsewhere = base.clone();
    elsewhere["added_tokens"][2]["content"] = "a".into();
    refused(&elsewhere, "`added_tokens[2].id` is 294 for \"a\", but `model.vocab` gives it the id 64");
    let mut decoder = base;
    decoder["decoder"] = json!({"type": "CTC"});
    refused(&decoder, "`decoder` is a `CTC` decoder");
    let unigram = json!({"model": {"type": "Unigram", "unk_id": 0, "vocab": [["<unk>", 0], ["a"]]}});
    refused(&unigram, "`model.vocab[1]` must be a pair of piece and score");
    let unigram = json!({"model": {"type": "Unigram", "unk_id": 0, "vocab": [["a", 0], ["a", -1.0]]}});
    refused(&unigram, "`model.vocab[1]` repeats \"a\"");
    refused(&json!({"model": {"type": "WordPiece", "vocab": {"a": 0}}}), "is refused");
    refused(&json!([]), "`model` must be an object");
}

fn refused(json: &Value, expected: &str) {
    let (_dir, path) = json_file(json);
    let error = Tokenizer::from_file(&path).unwrap_err().to_string();
    assert!(error.contains(expected) && error.contains("tokenizer.json"), "expected {expected:?}: {error}");
}

#[test]
fn truncated_files_are_named() {
    let text = saved_json(&trained(300)).to_string();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("tokenizer.json");
    for end in [0, 1, text.len() / 3, text.len() - 1] {
        std::fs::write(&path, &text[..end]).unwrap();
        let error = Tokenizer::from_file(&path).unwrap_err();
        assert!(matches!(&error, TextError::Json { .. }), "{error}");
        assert!(error.to_string().contains("tokenizer.json is not valid JSON"), "{error}");
    }
    std::fs::write(&path, b"{\"a\": \"\xff\"}").unwrap();
    assert!(matches!(Tokenizer::from_file(&path), Err(TextError::Io { .. })));
    let missing = Tokenizer::from_dir(&dir.path().join("nowhere")).unwrap_err();
    assert!(matches!(&missing, TextError::Io { source, .. } if source.kind() == std::io::ErrorKind::NotFound));
    assert!(missing.to_string().contains("tokenizer.json") && missing.to_string().contains("save_pretrained"));
}

#[test]
fn damaged_configurations_are_named() {
    let dir = tempfile::tempdir().unwrap();
    trained(300).save(dir.path()).unwrap();
    let check = |name: &str, text: &str, expected: &str| {
        let path = dir.path().join(name);
        let before = std::fs::read(&path).ok();
        std::fs::write(&path, text).unwrap();
        let error = Tokenizer::from_dir(dir.path()).unwrap_err().to_string();
        assert!(error.contains(expected) && error.contains(name), "{name} {text}: {error}");
        match before {
            Some(before) => std::fs::write(&path, before).unwrap(),
            None => std::fs::remove_file(&path).unwrap(),
        }
    };
    let config = "tokenizer_config.json";
    for (name, text, expected) in [
        (config, "{\"bos_token\": ", "is not valid JSON"),
        (config, "[]", "must be a JSON object"),
        (config, r#"{"eos_token": 5}"#, "`eos_token` is 5; a token is a text"),
        (config, r#"{"eos_token": {"text": "a"}}"#, "`eos_token` is {\"text\":\"a\"}"),
        (config, r#"{"pad_token": "<pad>"}"#, "`pad_token` names the token \"<pad>\""),
        (config, r#"{"add_bos_token": "yes"}"#, "`add_bos_token` is \"yes\""),
        (config, r#"{"chat_template": 1}"#, "`chat_template` must be text"),
        (config, r#"{"chat_template": [{"name": "default"}]}"#, "`chat_template[0]`"),
        (
            config,
            r#"{"chat_template": "a\n{% if %}"}"#,
            "`chat_template` is no template: chat template `default`, line 2",
        ),
        (config, r#"{"additional_special_tokens": "a"}"#, "`additional_special_tokens` must be a list"),
        (config, r#"{"additional_special_tokens": [7]}"#, "`additional_special_tokens[0]` is 7"),
        (config, r#"{"added_tokens_decoder": []}"#, "`added_tokens_decoder` must map"),
        ("special_tokens_map.json", "", "is not valid JSON"),
        ("generation_config.json", r#"{"eos_token_id": "x"}"#, "`eos_token_id` is \"x\""),
        (
            "generation_config.json",
            r#"{"eos_token_id": [300]}"#,
            "names the id 300, but the tokenizer's highest id is 299",
        ),
        ("chat_template.jinja", "{{", "`chat_template` is no template"),
    ] {
        check(name, text, expected);
    }
    Tokenizer::from_dir(dir.path()).unwrap();
}

#[test]
fn saving_fails_whole() {
    let dir = tempfile::tempdir().unwrap();
    let blocked = dir.path().join("file");
    std::fs::write(&blocked, "").unwrap();
    let error = trained(300).save(&blocked).unwrap_err();
    assert!(matches!(&error, TextError::Io { action: "write", .. }), "{error}");
    assert!(Path::exists(&blocked));
}

#[test]
fn tokens_with_a_role_are_special_whatever_their_flags() {
    let mut json = saved_json(&trained(300));
    for token in json["added_tokens"].as_array_mut().unwrap() {
        token["special"] = false.into();
    }
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("tokenizer.json"), json.to_string()).unwrap();
    let config = json!({"eos_token": "<|im_end|>", "additional_special_tokens": ["<|im_start|>", "<|not_there|>"],
        "added_tokens_decoder": {"293": {"content": "<|fim_prefix|>", "special": true}}});
    std::fs::write(dir.path().join("tokenizer_config.json"), config.to_string()).unwrap();
    let tokenizer = Tokenizer::from_dir(dir.path()).unwrap();
    let special: Vec<&str> = tokenizer.special_tokens().map(|(_, content)| content).collect();
    assert_eq!(special, ["<|fim_prefix|>", "<|im_start|>", "<|im_end|>"]);
    for content in special {
        assert!(tokenizer.encode(content).len() > 1, "{content}");
    }
    // What the files call an ordinary word is one, as in every other implementation.
    assert_eq!(tokenizer.encode("<|pad|>"), [297]);
    assert_eq!(tokenizer.chat_template().sources(), ChatTemplate::chatml().sources());
}
