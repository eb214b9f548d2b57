//! Tasks against scores made one prompt at a time.

use crate::fixture::{CONTEXT, Fixture, fixture};
use moeworks_eval::{Estimate, EvalError, Evaluator, Event, Kind, Shots, Suite, Task, TaskResult, TextOptions};
use moeworks_model::{Inference, parameters};
use moeworks_ops::Precision;
use std::collections::HashMap;
use std::fmt::Write;
use std::ops::ControlFlow;
use std::path::Path;

fn run(fixture: &mut Fixture, task: &Task, path: &Path, limit: Option<usize>) -> Result<TaskResult, EvalError> {
    let result = fixture.evaluator().task(task, path, limit)?;
    Ok(TaskResult { seconds: 0.0, ..result })
}

/// Rows with queries and choices of several lengths.
fn choices(rows: usize) -> Vec<(String, Vec<String>, usize)> {
    let row = |i: usize| {
        let choice = |c: usize| char::from(b'a' + ((i + 3 * c) % 26) as u8).to_string().repeat(1 + (i + c) % 3);
        let count = 2 + i % 3;
        (format!("q{i}{}", "?".repeat(i % 5)), (0..count).map(choice).collect(), i % count)
    };
    (0..rows).map(row).collect()
}

fn choice_lines(rows: &[(String, Vec<String>, usize)]) -> String {
    let line = |(query, choices, gold): &_| {
        serde_json::json!({"query": query, "choices": choices, "gold": gold}).to_string() + "\n"
    };
    rows.iter().map(line).collect()
}

/// Tokens of the prompt, cut as the rules say, and the tokens of its ending.
fn tokens(fixture: &Fixture, preamble: &str, context: &str, continuation: &str) -> (Vec<u32>, usize) {
    let encode = |text: &str| fixture.tokenizer.encode(text);
    let ending = encode(continuation);
    let mut all = [encode(preamble), encode(context), ending.clone()].concat();
    all.drain(..all.len().saturating_sub(CONTEXT));
    (all, ending.len())
}

fn share(right: &[bool]) -> Estimate {
    Estimate::of_mean(&right.iter().map(|right| f64::from(u8::from(*right))).collect::<Vec<_>>())
}

#[test]
fn multiple_choice_is_what_each_prompt_alone_says() {
    let rows = choices(12);
    let task = Task {
        shots: 2,
        prompt_string: "Choose.".into(),
        prelimiter: "Q: ".into(),
        continuation_delimiter: "\nA: ".into(),
        ..Task::new("mc", "mc.jsonl", Kind::MultipleChoice)
    };
    let mut fixture = fixture(3 * CONTEXT);
    let path = fixture.write("mc.jsonl", &choice_lines(&rows));
    let (mut right, mut prompts, mut cut) = (Vec::new(), 0, 0);
    for (i, examples) in Shots::new(rows.len(), 2).enumerate() {
        let mut preamble = "Choose.".to_owned();
        for example in examples {
            let (query, choices, gold) = &rows[example];
            write!(preamble, "\nQ: {query}\nA: {}", choices[*gold]).unwrap();
        }
        let (query, choices, gold) = &rows[i];
        let mut means = Vec::new();
        for choice in choices {
            let context = format!("\nQ: {query}\nA:");
            let (all, ending) = tokens(&fixture, &preamble, &context, choice);
            means.push(fixture.ending(&all, ending).0 / ending as f64);
            prompts += 1;
            cut += usize::from(preamble.len() + context.len() + choice.len() > CONTEXT);
        }
        let best = (0..means.len()).min_by(|a, b| means[*a].total_cmp(&means[*b])).unwrap();
        right.push(best == *gold);
    }
    assert!(right.contains(&true) && right.contains(&false), "{right:?} proves little");
    assert!(cut > 0 && cut < prompts, "{cut} of {prompts} cut proves little");
    let found = run(&mut fixture, &task, &path, None).unwrap();
    assert_eq!(found.accuracy, share(&right));
    assert_eq!((found.rows, found.rows_in_file, found.partial), (12, 12, false));
    assert_eq!((found.prompts, found.truncated_prompts), (prompts, cut));
    // Guessing: 2, 3 and 4 choices in turn.
    let guess = (1.0 / 2.0 + 1.0 / 3.0 + 1.0 / 4.0) / 3.0;
    assert!((found.baseline - guess).abs() < 1e-12);
    assert!((found.rescaled.value - (found.accuracy.value - guess) / (1.0 - guess)).abs() < 1e-12);
    let error = found.accuracy.standard_error.unwrap() / (1.0 - guess);
    assert!((found.rescaled.standard_error.unwrap() - error).abs() < 1e-12);
    assert_eq!(found.task, task);

    // The same to the bit however prompts are packed.
    for rows in [CONTEXT, 4096] {
        assert_eq!(run(&mut crate::fixture::fixture(rows), &task, &path, None).unwrap(), found, "{rows} rows a pass");
    }
    // A limit leaves prompts and examples as they are.
    let part = run(&mut fixture, &task, &path, Some(5)).unwrap();
    assert_eq!(part.accuracy, share(&right[..5]));
    assert_eq!((part.rows, part.rows_in_file, part.partial), (5, 12, true));
}

/// A letter that the model finds likeliest after the context, if there is one, else a wrong one.
fn answer(fixture: &mut Fixture, context: &str) -> String {
    let (all, _) = tokens(fixture, "", context, "?");
    let scores = fixture.alone(&all);
    let best = scores[all.len() - 2].best;
    match fixture.tokenizer.token_bytes(best) {
        [byte] if byte.is_ascii_graphic() => char::from(*byte).to_string(),
        _ => "~".to_owned(),
    }
}

#[test]
fn language_modelling_is_what_each_prompt_alone_says() {
    let mut fixture = fixture(2 * CONTEXT);
    let task = Task::new("lm", "lm.jsonl", Kind::LanguageModeling);
    let (mut lines, mut right) = (String::new(), Vec::new());
    for i in 0..24 {
        let context = format!("row {i}, context");
        let mut continuation = answer(&mut fixture, &context);
        if i % 2 == 1 {
            // A second token: only right if it is the likeliest as well.
            continuation += &answer(&mut fixture, &(context.clone() + &continuation));
        }
        if i % 5 == 4 {
            continuation += "#";
        }
        let (all, ending) = tokens(&fixture, "", &context, &continuation);
        right.push(fixture.ending(&all, ending).1);
        let row = serde_json::json!({"context": context + " ", "continuation": continuation});
        writeln!(lines, "{row}").unwrap();
    }
    assert!(right.contains(&true) && right.contains(&false), "{right:?} proves little");
    let path = fixture.write("lm.jsonl", &lines);
    let found = run(&mut fixture, &task, &path, None).unwrap();
    assert_eq!(found.accuracy, share(&right));
    assert_eq!((found.baseline, found.rescaled), (0.0, found.accuracy));
    assert_eq!((found.prompts, found.truncated_prompts), (24, 0));
}

#[test]
fn schema_is_what_each_prompt_alone_says() {
    let mut fixture = fixture(2 * CONTEXT);
    let rows: Vec<([String; 2], String, usize)> =
        (0..14).map(|i| ([format!("a{i}"), format!("{i} b")], format!("c{}", i * i), i % 2)).collect();
    let mut lines = String::new();
    for (contexts, continuation, gold) in &rows {
        let row = serde_json::json!({"context_options": contexts, "continuation": continuation, "gold": gold});
        writeln!(lines, "{row}").unwrap();
    }
    let path = fixture.write("schema.jsonl", &lines);
    for shots in [0, 2] {
        let task = Task { shots, ..Task::new("schema", "schema.jsonl", Kind::Schema) };
        let mut right = Vec::new();
        for (i, examples) in Shots::new(rows.len(), shots).enumerate() {
            let shown = examples.iter().map(|e| format!("{} {}", rows[*e].0[rows[*e].2], rows[*e].1));
            let preamble = shown.collect::<Vec<_>>().join("\n");
            let (contexts, continuation, gold) = &rows[i];
            let mut nll = Vec::new();
            for context in contexts {
                let context = if shots > 0 { format!("\n{context}") } else { context.clone() };
                let (all, ending) = tokens(&fixture, &preamble, &context, continuation);
                nll.push(fixture.ending(&all, ending).0);
            }
            right.push(usize::from(nll[1] < nll[0]) == *gold);
        }
        assert!(right.contains(&true) && right.contains(&false), "{right:?} proves little");
        let found = run(&mut fixture, &task, &path, None).unwrap();
        assert_eq!((found.accuracy, found.baseline), (share(&right), 0.5), "{shots} shots");
    }
}

#[test]
fn categories_count_alike_whatever_their_size() {
    let mut fixture = fixture(4 * CONTEXT);
    let rows = choices(9);
    // Two of "b", seven of "a", mixed; a file of each alone says what a category must be.
    let category = |i: usize| if i % 4 == 1 { "b" } else { "a" };
    let mut mixed = String::new();
    let mut apart = [String::new(), String::new()];
    for (i, line) in choice_lines(&rows).lines().enumerate() {
        let mut row: serde_json::Value = serde_json::from_str(line).unwrap();
        row["category"] = category(i).into();
        writeln!(mixed, "{row}").unwrap();
        writeln!(apart[usize::from(category(i) == "b")], "{line}").unwrap();
    }
    let task = Task { shots: 2, ..Task::new("mc", "mc.jsonl", Kind::MultipleChoice) };
    let [a, b] = apart.map(|lines| {
        let path = fixture.write("one.jsonl", &lines);
        run(&mut fixture, &task, &path, None).unwrap()
    });
    let path = fixture.write("mc.jsonl", &mixed);
    let with_categories = Task { has_categories: true, ..task.clone() };
    let found = run(&mut fixture, &with_categories, &path, None).unwrap();
    assert_eq!(found.accuracy, Estimate::of_average(&[a.accuracy, b.accuracy]));
    let scores: Vec<_> = found.categories.iter().map(|c| (c.name.as_str(), c.rows, c.accuracy)).collect();
    assert_eq!(scores, [("a", a.rows, a.accuracy), ("b", b.rows, b.accuracy)]);
    // The limit is by category.
    let part = run(&mut fixture, &with_categories, &path, Some(2)).unwrap();
    assert_eq!((part.rows, part.partial), (4, true));
    assert!(run(&mut fixture, &task, &path, None).unwrap().categories.is_empty());
}

#[test]
fn wrong_files_are_errors_that_name_their_place() {
    let mut fixture = fixture(2 * CONTEXT);
    let good = r#"{"query": "q", "choices": ["a", "b"], "gold": 0}"#;
    let long = serde_json::json!({"query": "q", "choices": ["a", "b".repeat(CONTEXT)], "gold": 0}).to_string();
    let mc = Kind::MultipleChoice;
    for (kind, second, words) in [
        (
            mc,
            r#"{"query": "q", "choices": ["a"], "gold": 1}"#,
            "row 3: `gold` is 1, must be a whole number from 0 to 0",
        ),
        (mc, r#"{"query": "q", "choices": [], "gold": 0}"#, "row 3: `choices` is an empty list"),
        (mc, r#"{"query": "q", "choices": ["a", 1], "gold": 0}"#, "row 3: `choices[1]` is a number"),
        (mc, r#"{"query": "q", "gold": 0}"#, "row 3: `choices` is missing; the row has query, gold"),
        (mc, r#"{"query": "q", "choices": "#, "row 3: not a JSON object"),
        (mc, &long, "row 3: the continuation has 48 tokens, but the model takes 48 at once"),
        (mc, r#"{"query": "q", "choices": ["", "b"], "gold": 0}"#, "row 3: the continuation \"\" is empty"),
        (Kind::Schema, good, "row 1: `context_options` is missing; the row has query, choices, gold"),
        (Kind::LanguageModeling, good, "row 1: `context` is missing"),
        (Kind::GenerationTaskWithAnswers, good, "task t: generation tasks are not supported yet"),
    ] {
        let path = fixture.write("t.jsonl", &format!("{good}\n\n{second}\n"));
        let message = run(&mut fixture, &Task::new("t", "t.jsonl", kind), &path, None).unwrap_err().to_string();
        assert!(message.contains(words), "{message}\nlacks {words}");
    }
    let path = fixture.write("t.jsonl", good);
    let task = Task::new("t", "t.jsonl", mc);
    for (task, path, limit, words) in [
        (Task { has_categories: true, ..task.clone() }, path.clone(), None, "row 1: `category` is missing"),
        (Task { random_baseline: Some(1.0), ..task.clone() }, path.clone(), None, "random_baseline: is 1"),
        (task.clone(), fixture.write("empty.jsonl", "\n"), None, "empty.jsonl: has no rows"),
        (task.clone(), path.with_extension("none"), None, "t.none: no such file"),
        (task.clone(), path.clone(), Some(0), "limit: is 0"),
    ] {
        let message = run(&mut fixture, &task, &path, limit).unwrap_err().to_string();
        assert!(message.contains(words), "{message}\nlacks {words}");
    }
}

#[test]
fn a_tokenizer_of_another_model_is_an_error() {
    let mut fixture = fixture(64);
    let large = moeworks_text::Tokenizer::cl100k();
    let error = Evaluator::new(&mut fixture.model, &mut fixture.ops, &large).map(|_| ()).unwrap_err();
    let words = "the tokenizer has ids up to 100279, but the model has 272 embedding rows";
    assert!(error.to_string().contains(words), "{error}");
    let error = Evaluator::new(&mut crate::fixture::fixture(1).model, &mut fixture.ops, &fixture.tokenizer).map(|_| ());
    assert!(error.unwrap_err().to_string().contains("1 rows of 48 positions"));
}

#[test]
fn a_model_that_gives_no_number_is_an_error() {
    let mut fixture = fixture(64);
    let (config, limits) = (fixture.model.config.clone(), fixture.model.limits);
    let sizes: HashMap<_, usize> =
        parameters(&config).into_iter().map(|(p, shape)| (p, shape.iter().product())).collect();
    let broken = |p| Ok(vec![f32::NAN; sizes[&p]]);
    fixture.model = Inference::load(&mut fixture.ops, &config, Precision::F32, limits, broken).unwrap();
    let path = fixture.write("t.jsonl", r#"{"query": "q", "choices": ["a", "b"], "gold": 0}"#);
    let task = Task::new("t", "t.jsonl", Kind::MultipleChoice);
    let message = run(&mut fixture, &task, &path, None).unwrap_err().to_string();
    assert!(message.contains("t.jsonl: row 1: the model gives a loss of NaN"), "{message}");
    let texts = ["a", "b"].map(Ok);
    let message = fixture.evaluator().bits_per_byte("h", texts, TextOptions::default()).unwrap_err().to_string();
    assert!(message.contains("h, document 1: the model gives a loss of NaN"), "{message}");
}

/// Two categories; in the second one a file is missing, one has a type that is not supported, one does not fit.
const SUITE: &str = r#"
name = "mine"
[[categories]]
name = "one"
tasks = [
    { name = "mc", file = "one/mc.jsonl", kind = "multiple_choice", random_baseline = 0.25 },
    { name = "mc", file = "one/mc.jsonl", kind = "multiple_choice", shots = 2, random_baseline = 0.5 },
]
[[categories]]
name = "two"
tasks = [
    { name = "lm", file = "two/lm.jsonl", kind = "language_modeling" },
    { name = "gone", file = "two/gone.jsonl", kind = "schema" },
    { name = "free", file = "two/free.jsonl", kind = "generation_task_with_answers" },
    { name = "long", file = "two/long.jsonl", kind = "language_modeling" },
]
"#;

#[test]
fn a_suite_averages_whole_categories_only() {
    let mut fixture = fixture(4 * CONTEXT);
    fixture.write("data/one/mc.jsonl", &choice_lines(&choices(6)));
    fixture.write("data/lm.jsonl", "{\"context\": \"a\", \"continuation\": \"b\"}\n");
    fixture.write("data/two/free.jsonl", "{\"context\": \"a\", \"answer\": \"b\"}\n");
    let long = serde_json::json!({"context": "a", "continuation": "b".repeat(CONTEXT)});
    fixture.write("data/two/long.jsonl", &long.to_string());
    let suite = Suite::open(fixture.write("mine.toml", SUITE).to_str().unwrap()).unwrap();
    let data = fixture.dir.path().join("data");
    let mut finished = Vec::new();
    let found = {
        let mut evaluator = fixture.evaluator().watched(|event| {
            if let Event::Finished(result) = event {
                finished.push((result.task.name.clone(), result.task.shots));
            }
            ControlFlow::Continue(())
        });
        evaluator.suite(&suite, &data, None).unwrap()
    };
    assert_eq!(finished, [("mc".into(), 0), ("mc".into(), 2), ("lm".into(), 0)]);
    let [one, two] = &found.categories[..] else { panic!("{found:?}") };
    let [first, second] = &one.tasks[..] else { panic!("{one:?}") };
    assert_eq!(one.mean, Some(Estimate::of_average(&[first.rescaled, second.rescaled])));
    assert_eq!((first.baseline, second.baseline), (0.25, 0.5));
    assert_eq!((two.tasks.len(), two.mean, found.average, found.partial), (1, None, None, false));
    let reasons: Vec<_> = found.absent().map(|absent| (absent.task.as_str(), absent.reason.as_str())).collect();
    assert_eq!(reasons.iter().map(|reason| reason.0).collect::<Vec<_>>(), ["gone", "free", "long"]);
    for (reason, words) in reasons.iter().zip(["two/gone.jsonl is not in", "generation tasks", "48 tokens"]) {
        assert!(reason.1.contains(words), "{reason:?}");
    }

    // With its second category whole, the suite has an average.
    let mut whole = suite.clone();
    whole.categories[1].tasks.truncate(1);
    let found = fixture.evaluator().suite(&whole, &data, Some(3)).unwrap();
    let means: Vec<_> = found.categories.iter().map(|category| category.mean.unwrap()).collect();
    assert_eq!((found.average, found.partial), (Some(Estimate::of_average(&means)), true));

    // Data that is wrong is said before anything is scored.
    fixture.write("data/two/lm.jsonl", "{\"context\": \"a\"}\n");
    std::fs::remove_file(data.join("lm.jsonl")).unwrap();
    let mut scored = false;
    let mut evaluator = fixture.evaluator().watched(|_| {
        scored = true;
        ControlFlow::Continue(())
    });
    let message = evaluator.suite(&suite, &data, None).unwrap_err().to_string();
    drop(evaluator);
    assert!(message.contains("lm.jsonl: row 1: `continuation` is missing") && !scored, "{message}");
}
