//! The fast engine gives the ids of the `tokenizers` library, and takes over exactly where that is certain.

mod support;

use std::collections::{HashMap, HashSet};

use moeworks_text::Tokenizer;
use proptest::prelude::*;
use serde_json::{Value, json};
use support::{json_file, library, library_ids, saved_json, trained};

/// Checks that the file is run by the expected engine, with the library's ids on random text.
fn same_ids(json: &Value, fast: bool) {
    let (dir, path) = json_file(json);
    let ours = Tokenizer::from_file(&path).unwrap();
    assert_eq!(ours.is_fast(), fast);
    let library = library(dir.path());
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    runner
        .run(&support::text(), |text| {
            let ids = ours.encode(&text);
            prop_assert_eq!(&ids, &library_ids(&library, &text), "{:?}", text);
            prop_assert_eq!(ours.decode(&ids), text);
            Ok(())
        })
        .unwrap();
    for document in support::documents() {
        assert_eq!(ours.encode(document), library_ids(&library, document));
    }
}

#[test]
fn trained_vocabularies() {
    for size in [264, 300, 1000, 3000] {
        same_ids(&saved_json(&trained(size)), true);
    }
}

#[test]
fn cl100k() {
    same_ids(&saved_json(&Tokenizer::cl100k()), true);
}

#[test]
fn gpt2_split_pattern() {
    let mut json = saved_json(&trained(1000));
    json["pre_tokenizer"] = json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true});
    same_ids(&json, true);
}

#[test]
fn ids_in_another_order_than_ranks() {
    let mut json = saved_json(&trained(600));
    let last = json["model"]["vocab"].as_object().unwrap().len() - 1;
    for (_, id) in json["model"]["vocab"].as_object_mut().unwrap() {
        *id = (last - id.as_u64().unwrap() as usize).into();
    }
    same_ids(&json, true);
}

#[test]
fn older_spelling_of_merges() {
    let mut json = saved_json(&trained(600));
    for merge in json["model"]["merges"].as_array_mut().unwrap() {
        *merge = format!("{} {}", merge[0].as_str().unwrap(), merge[1].as_str().unwrap()).into();
    }
    json["model"]["merges"].as_array_mut().unwrap().insert(0, "#version: 0.2".into());
    same_ids(&json, true);
}

/// Lists every pair of tokens that makes a token, as converters from rank vocabularies do (Llama 3's file is one).
fn all_splits(json: &mut Value) {
    let vocabulary: HashMap<String, u64> =
        json["model"]["vocab"].as_object().unwrap().iter().map(|(t, id)| (t.clone(), id.as_u64().unwrap())).collect();
    let mut tokens: Vec<&String> = vocabulary.keys().collect();
    tokens.sort_by_key(|token| vocabulary[*token]);
    let mut merges = Vec::new();
    for token in tokens {
        let splits = token.char_indices().skip(1).map(|(at, _)| token.split_at(at));
        let mut splits: Vec<(&str, &str)> =
            splits.filter(|(left, right)| vocabulary.contains_key(*left) && vocabulary.contains_key(*right)).collect();
        splits.sort_by_key(|(left, right)| (vocabulary[*left], vocabulary[*right]));
        merges.extend(splits.into_iter().map(|(left, right)| json!([left, right])));
    }
    assert!(merges.len() > json["model"]["merges"].as_array().unwrap().len());
    json["model"]["merges"] = merges.into();
}

#[test]
fn every_split_listed() {
    for tokenizer in [trained(3000), Tokenizer::cl100k()] {
        let mut json = saved_json(&tokenizer);
        all_splits(&mut json);
        json["model"]["ignore_merges"] = true.into();
        same_ids(&json, true);
    }
}

#[test]
fn merges_that_are_no_ranks_are_left_to_the_library() {
    let mut json = saved_json(&trained(1000));
    // The first merge again, as another pair of a later token would be: now one token has two priorities.
    let merges = json["model"]["merges"].as_array_mut().unwrap();
    let made: HashSet<String> =
        merges.iter().map(|m| format!("{}{}", m[0].as_str().unwrap(), m[1].as_str().unwrap())).collect();
    let other = merges.iter().enumerate().find_map(|(i, merge)| {
        let token = format!("{}{}", merge[0].as_str().unwrap(), merge[1].as_str().unwrap());
        let own = merge[0].as_str().unwrap().to_owned();
        let mut splits = token.char_indices().skip(1).map(|(at, _)| token.split_at(at));
        let known = |text: &str| text.chars().count() == 1 || made.contains(text);
        let (left, right) = splits.find(|(left, right)| *left != own && known(left) && known(right))?;
        (i + 1 < merges.len()).then(|| json!([left, right]))
    });
    merges.push(other.expect("some token of a thousand has two splits"));
    same_ids(&json, false);
}

#[test]
fn what_the_fast_engine_does_not_know_is_left_to_the_library() {
    let base = saved_json(&trained(600));
    let changes: [(&str, Value); 6] = [
        ("/normalizer", json!({"type": "NFC"})),
        ("/pre_tokenizer/pretokenizers/0/pattern/Regex", "\\p{L}+|.".into()),
        ("/pre_tokenizer/pretokenizers/0/behavior", "MergedWithNext".into()),
        ("/pre_tokenizer/pretokenizers/1/add_prefix_space", true.into()),
        ("/model/end_of_word_suffix", "</w>".into()),
        ("/added_tokens/0/special", false.into()),
    ];
    for (place, value) in changes {
        let mut json = base.clone();
        *json.pointer_mut(place).unwrap() = value;
        let (_dir, path) = json_file(&json);
        assert!(!Tokenizer::from_file(&path).unwrap().is_fast(), "{place}");
    }
    // A token that no merge makes is reached when whole words are looked up.
    let mut json = base;
    json["added_tokens"] = json!([]);
    json["model"]["vocab"]["Ġunmade"] = 592.into();
    assert!(Tokenizer::from_file(&json_file(&json).1).unwrap().is_fast());
    json["model"]["ignore_merges"] = true.into();
    same_ids(&json, false);
}

#[test]
fn long_text_in_the_library() {
    // A split pattern with look-ahead that only the library's backtracking engine can run.
    let mut json = saved_json(&trained(600));
    json["pre_tokenizer"]["pretokenizers"][0]["pattern"]["Regex"] =
        "\\p{L}+|\\p{N}|[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+".into();
    let (_dir, path) = json_file(&json);
    let tokenizer = Tokenizer::from_file(&path).unwrap();
    assert!(!tokenizer.is_fast());
    for unit in ["a", " ", "1", "a ", " \n", "é", "<|im_end|>"] {
        let text = unit.repeat(500_000 / unit.len());
        assert!(tokenizer.decode(&tokenizer.encode(&text)) == text, "{unit:?}");
    }
}
