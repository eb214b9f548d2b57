//! Cleaning, from a recipe to the account: what is dropped, what is changed, and what is not done twice.

mod support;

use moeworks_data::{Counts, DataFolder, Document, Drop, Recipe, Side, Stage, Target, build, remove};
use std::{fs, ops::ControlFlow, path::Path};
use support::{ByteEncoder, plant, recipe};

/// A text of words that no other number shares.
fn prose(number: usize) -> String {
    (0..120).map(|word| format!("word{}x{number} ", word * 7 % 113)).collect::<String>() + "\n"
}

fn plant_world(docs: &Path) {
    for number in 0..30 {
        plant(docs, &[(&format!("plain/{number:02}.txt"), prose(number).as_bytes())]);
    }
    // One word in 120 changed: a Jaccard of shingles of 0.92.
    plant(docs, &[("twins/03.txt", prose(3).replace("word7x3 ", "other ").as_bytes())]);
    plant(docs, &[("twins/04.txt", prose(4).replace("word7x4 ", "other ").as_bytes())]);
    plant(docs, &[("short.txt", b"far too short")]);
    plant(docs, &[("letter.txt", (prose(77) + "write to ada@lovelace.org, or to 8.8.4.4\n").as_bytes())]);
}

fn cleaned(docs: &Path, clean: &str) -> Recipe {
    Recipe { clean: toml::from_str(clean).unwrap(), held_out: 0.0, ..recipe(docs) }
}

fn dropped(out: &Path, step: &str) -> Vec<(String, String, String)> {
    let all = DataFolder::open(out).unwrap().dropped().unwrap().map(Result::unwrap);
    let step = all.filter(|drop: &Drop| drop.step == step);
    step.map(|drop| (drop.path, drop.reason, drop.detail)).collect()
}

#[test]
fn parts_of_evaluation_sets_are_reported_and_left_out() {
    let folder = tempfile::tempdir().unwrap();
    let (docs, out) = (folder.path().join("docs"), folder.path().join("out"));
    plant_world(&docs);
    let question: Vec<String> = prose(5).split_whitespace().take(20).map(String::from).collect();
    let row = |text: &str| format!("{{\"question\": \"{text}\", \"answer\": \"no one else says this\"}}\n");
    let rows = row(&question.join(" "))
        + &row("what is asked here stands in no document at all, or so one hopes for its sake");
    plant(&folder.path().join("sets"), &[("quiz.jsonl", rows.as_bytes())]);
    let sets = folder.path().join("sets").display().to_string();
    let recipe = cleaned(&docs, &format!("[decontaminate]\nevaluation_sets = ['{sets}']\n"));
    let summary = build(&recipe, &ByteEncoder, &out, &()).unwrap();
    assert_eq!(
        dropped(&out, "contamination"),
        [("plain/05.txt".into(), "parts of evaluation sets".into(), "quiz row 1".into())]
    );
    let report = summary.contamination.unwrap();
    let quiz = &report.benchmarks[0];
    assert_eq!((quiz.name.as_str(), quiz.rows, quiz.contaminated_rows, quiz.documents), ("quiz", 2, 1, 1));
    let card = fs::read_to_string(out.join("README.md")).unwrap();
    for line in [
        "| contamination | parts of evaluation sets | 1 |",
        "held 13 consecutive words of one of 1 evaluation sets, and were dropped; of 0 sets nothing was found.",
        "| quiz | 2 | 1 | 50.0 % | 1 |",
    ] {
        assert!(card.contains(line), "{line}: {card}");
    }
    let nothing = cleaned(&docs, "[decontaminate]\nevaluation_sets = []\n");
    assert!(
        build(&nothing, &ByteEncoder, &out, &()).unwrap_err().to_string().contains("evaluation_sets: names no file")
    );
}

const CLEAN: &str = "redact = ['email_address']\nnear_duplicates = {}\n[[filter]]\nsignal = 'num_words'\nmin = 50\n";

#[test]
fn a_recipe_cleans_and_accounts_for_it() {
    let folder = tempfile::tempdir().unwrap();
    let (docs, out) = (folder.path().join("docs"), folder.path().join("out"));
    plant_world(&docs);
    let recipe = cleaned(&docs, CLEAN);
    let summary = build(&recipe, &ByteEncoder, &out, &()).unwrap();
    assert_eq!(summary.train.documents, 31);
    assert_eq!(dropped(&out, "filter"), [("short.txt".into(), "num_words ≥ 50".into(), "num_words 3 < 50".into())]);
    let data = DataFolder::open(&out).unwrap();
    let id = |path: &str| data.documents().map(Result::unwrap).find(|document| document.path == path).unwrap().id;
    let near = |path: &str, kept: &str| (path.into(), "nearly the same text".into(), format!("as {}", id(kept)));
    assert_eq!(
        dropped(&out, "near-duplicate"),
        [near("twins/03.txt", "plain/03.txt"), near("twins/04.txt", "plain/04.txt")]
    );
    let documents: Vec<Document> = kept(&recipe, &out);
    let letter = documents.iter().find(|document| document.path == "letter.txt").unwrap();
    assert!(letter.text.ends_with("write to <EMAIL_ADDRESS>, or to 8.8.4.4\n"), "{}", letter.text);
}

/// The documents as they are tokenised.
fn kept(recipe: &Recipe, out: &Path) -> Vec<Document> {
    let prepared = moeworks_data::Prepared::new(recipe, &Target::from(out).steps, &()).unwrap();
    let corpus = moeworks_data::Corpus::of(recipe, &prepared, &()).unwrap();
    corpus.documents(Side::Train).map(Result::unwrap).collect()
}

#[test]
fn steps_are_done_again_only_where_their_inputs_changed() {
    let folder = tempfile::tempdir().unwrap();
    let (docs, out) = (folder.path().join("docs"), folder.path().join("out"));
    plant_world(&docs);
    let stages = |clean: &str| {
        let stages = std::sync::Mutex::new(Vec::new());
        let target = Target { replace: true, ..Target::from(&out) };
        build(&cleaned(&docs, clean), &ByteEncoder, target, &|counts: &Counts| {
            stages.lock().unwrap().push(counts.stage);
            ControlFlow::Continue(())
        })
        .unwrap();
        let mut stages = stages.into_inner().unwrap();
        stages.dedup();
        stages
    };
    use Stage::{Measure, NearDuplicates, Read, Tokenise};
    let filter = |least: u32| format!("[[filter]]\nsignal = 'num_words'\nmin = {least}\n");
    for (clean, expected) in [
        (filter(50), vec![Read, Measure, Tokenise]),
        (filter(50), vec![]),
        ("near_duplicates = {}\n".to_owned() + &filter(50), vec![NearDuplicates, Tokenise]),
        ("redact = ['secret']\n".to_owned() + &filter(50), vec![Tokenise]),
        (filter(2), vec![Measure, Tokenise]),
        (String::new(), vec![Tokenise]),
    ] {
        assert_eq!(stages(&clean), expected, "{clean}");
    }
    assert_eq!(DataFolder::open(&out).unwrap().summary().train.documents, 34);
}

#[test]
fn the_order_of_threads_and_the_kept_steps_do_not_show() {
    let folder = tempfile::tempdir().unwrap();
    let docs = folder.path().join("docs");
    plant_world(&docs);
    let recipe = cleaned(&docs, CLEAN);
    let account = |name: &str, threads: usize| {
        let out = folder.path().join(name);
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| build(&recipe, &ByteEncoder, &out, &())).unwrap();
        fs::read(out.join("data.json")).unwrap()
    };
    let one = account("one", 1);
    assert_eq!(one, account("three", 3));
    // A document that is removed comes back neither by itself nor by its twin.
    let out = folder.path().join("one");
    let twin =
        DataFolder::open(&out).unwrap().documents().map(Result::unwrap).find(|d| d.path == "plain/03.txt").unwrap();
    let recipe = remove(&out, &[twin.id].into()).unwrap().summary.unwrap().recipe;
    assert_eq!(recipe.exclude, [twin.id]);
}
