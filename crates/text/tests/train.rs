//! Training.

mod support;

use moeworks_text::{TextError, TrainOptions, TrainProgress, train};
use support::{documents, trained};

#[test]
fn the_vocabulary_is_as_ordered() {
    let tokenizer = trained(500);
    assert!(tokenizer.is_fast());
    assert_eq!(tokenizer.vocab_size(), 500);
    let bytes: std::collections::HashSet<&[u8]> = (0..256).map(|id| tokenizer.token_bytes(id)).collect();
    assert!(bytes.len() == 256 && bytes.iter().all(|token| token.len() == 1));
    assert!((256..492).all(|id| tokenizer.token_bytes(id).len() > 1 && !tokenizer.is_special(id)));
    let special: Vec<(u32, &str)> = tokenizer.special_tokens().collect();
    assert_eq!(special[0], (492, "<|endoftext|>"));
    assert_eq!(special[7], (499, "<|im_end|>"));
    assert_eq!((tokenizer.bos(), tokenizer.eos(), tokenizer.pad()), (Some(492), Some(492), Some(497)));
    assert_eq!(tokenizer.stop_ids(), [492, 499]);
    let (mut ids, mut bytes) = (0, 0);
    for document in documents() {
        let encoded = tokenizer.encode(document);
        assert_eq!(tokenizer.decode(&encoded), document);
        (ids, bytes) = (ids + encoded.len(), bytes + document.len());
    }
    assert!(ids * 2 < bytes, "{ids} ids for {bytes} bytes that it was trained on");
}

#[test]
fn the_same_documents_give_the_same_tokenizer() {
    let first = trained(2000).fingerprint();
    let mut backwards = documents();
    backwards.reverse();
    let options = TrainOptions { vocab_size: 2000, min_frequency: 2 };
    for _ in 0..3 {
        assert_eq!(train(backwards.iter(), &options, |_| {}).unwrap().fingerprint(), first);
    }
}

#[test]
fn a_small_corpus_gives_a_small_vocabulary() {
    let train = |min_frequency| {
        train(["ababab ababab"].iter(), &TrainOptions { vocab_size: 1000, min_frequency }, |_| {}).unwrap()
    };
    // ab, abab, ababab and the last with its space.
    assert_eq!(train(1).vocab_size(), 256 + 4 + 8);
    assert_eq!(train(1000).vocab_size(), 256 + 8);
    assert_eq!(train(1000).encode("ab").len(), 2);
}

#[test]
fn progress_counts_documents_and_bytes() {
    let mut seen = Vec::new();
    train(["ab", "", "é"].iter(), &TrainOptions { vocab_size: 300, min_frequency: 1 }, |step| seen.push(step)).unwrap();
    assert_eq!(
        seen,
        [
            TrainProgress::Reading { documents: 1, bytes: 2 },
            TrainProgress::Reading { documents: 2, bytes: 2 },
            TrainProgress::Reading { documents: 3, bytes: 4 },
            TrainProgress::Merging,
        ]
    );
}

#[test]
fn what_cannot_be_trained_is_explained() {
    let train = |documents: &[&str], vocab_size| {
        train(documents.iter(), &TrainOptions { vocab_size, min_frequency: 2 }, |_| {}).unwrap_err()
    };
    let error = train(&["abc"], 263);
    assert!(matches!(error, TextError::Train(_)));
    assert!(
        error.to_string().contains("a vocabulary of 263 cannot hold") && error.to_string().contains("264 or more"),
        "{error}"
    );
    assert!(train(&[], 300).to_string().contains("none of the 0 documents has any text"));
    assert!(train(&["", ""], 300).to_string().contains("none of the 2 documents"));
}
