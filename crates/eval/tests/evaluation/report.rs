//! What is printed and written.

use crate::fixture::fixture;
use moeworks_eval::{
    Absent, CategoryResult, Estimate, Kind, Origin, Report, SuiteResult, Task, TextOptions, fingerprint_model,
};

#[test]
fn a_report_says_figures_and_conditions() {
    let mut fixture = fixture(96);
    let path = fixture.write("mc.jsonl", "{\"query\": \"q\", \"choices\": [\"a\", \"a\"], \"gold\": 0}\n");
    let path = path.as_path();
    let origin = Origin {
        model: "runs/one/model".into(),
        fingerprint: fingerprint_model(fixture.dir.path()).unwrap(),
        machine: "two cores".into(),
        version: "0.1.0".into(),
        command: "moeworks eval".into(),
    };
    let mut evaluator = fixture.evaluator();
    let mut report = Report::new(evaluator.conditions(origin.clone()));
    assert_eq!((report.conditions.precision.as_str(), report.conditions.context), ("f32", 48));
    report.texts.push(evaluator.bits_per_byte("held-out", ["some text"].map(Ok), TextOptions::default()).unwrap());
    let mut result = evaluator.task(&Task::new("mc", "mc.jsonl", Kind::MultipleChoice), path, None).unwrap();
    // Equal choices tie, and the first one wins.
    assert_eq!((result.accuracy, result.baseline), (Estimate { value: 1.0, standard_error: None }, 0.5));
    report.tasks.push(result.clone());
    (result.rows_in_file, result.partial, result.truncated_prompts) = (7, true, 2);
    result.rescaled = Estimate { value: 0.25, standard_error: Some(0.125) };
    let absent = Absent { task: "free".into(), reason: "generation tasks are not supported yet".into() };
    report.suites.push(SuiteResult {
        suite: "mine".into(),
        partial: true,
        categories: vec![CategoryResult { name: "one".into(), tasks: vec![result], absent: vec![absent], mean: None }],
        average: None,
    });

    // JSON is read back to within the last bit of a float; these are read exactly.
    let text = &mut report.texts[0];
    text.bits_per_byte = Estimate { value: 7.75, standard_error: Some(0.25) };
    (text.nats_per_token, text.perplexity, text.seconds) = (5.5, 244.5, 0.5);
    report.tasks[0].seconds = 0.5;
    report.suites[0].categories[0].tasks[0].seconds = 0.5;
    let back: Report = serde_json::from_str(&report.to_json()).unwrap();
    assert_eq!(back, report);
    let text = report.to_text();
    for words in [
        "held-out: windows of 48 tokens every 48; first tokens predicted from token 256",
        "bits/byte",
        "task  type             shots  rows  accuracy  ± s.e.  baseline  rescaled  ± s.e.\n",
        "mc    multiple choice      0     1    1.0000       -    0.5000    1.0000       -\n",
        "1 of 7",
        "PARTIAL: rows were left out",
        "mc: 2 of 2 prompts were cut from the left",
        "one: no mean, because tasks are absent:\n  free: generation tasks are not supported yet\n",
        "mine average",
        "runs/one/model",
        &origin.fingerprint,
        "f32, context 48, 96 rows a pass",
        "two cores",
        "moeworks eval",
    ] {
        assert!(text.contains(words), "{text}\nlacks {words}");
    }
    assert!(text.lines().all(|line| line.trim_end() == line));
}
