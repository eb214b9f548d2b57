//! The report as a whole: from files to page.

use super::*;
use std::collections::BTreeMap;
use std::fmt::Write;

const START: &str = r#"{"kind":"start","time":"2026-11-22T08:00:00Z","run":"tiny","model":{"architecture":"DbrxForCausalLM","total":4367488,"active":2008192,"layers":2,"experts":4,"top_k":2,"d_model":128,"vocab_size":4096},"device":"CPU, 2 threads","precision":"f32","tokens_per_step":64,"steps":30,"commit":null,"version":"0.1.0"}"#;
const RESULTS: &str = r#"{"held_out":{"bytes":4096,"documents":3,"tokens":900,"model":{"bits_per_byte":1.9,"standard_error":0.01},"baselines":[{"name":"zstd -19","bits_per_byte":2.3},{"name":"order-3 byte model","bits_per_byte":1.85}]},"completions":[{"prompt":"fn main","text":"() {}"}],"command":"moeworks quickstart --minutes 3","machine":"a machine","seconds":75}"#;

/// Attempts to leave the text: out of an element, an attribute, a raw-text element, a comment.
const HOSTILE: &str =
    "</pre></style></script><script>alert(1)</script><img src=x onerror=alert(2)>\" onload=\"x ' --> &lt;";

fn step(step: u64) -> String {
    let loss = 8.3 - 0.1 * step as f64;
    format!(
        r#"{{"kind":"step","step":{step},"tokens":{},"seconds":{step}.5,"loss":{loss},"aux":2.1,"z":0.3,"lr":0.001,"grad_norm":1.2,"tokens_per_second":9000.0,"load":[[0.25,0.25,0.25,0.25],[0.4,0.4,0.2,0.0]]}}"#,
        step * 64
    )
}

fn lines(lines: &[&str]) -> Metrics {
    Metrics::read(lines.join("\n").as_bytes()).unwrap()
}

fn page(metrics: Metrics) -> String {
    render(&ReportData { name: "folder".into(), metrics, ..ReportData::default() })
}

/// Without the no-break spaces in numbers.
fn plain(page: &str) -> String {
    page.replace('\u{a0}', " ")
}

/// Every tag that is opened is closed, in order; says so of a page that `maud` has written.
fn assert_well_formed(page: &str) {
    const VOID: [&str; 1] = ["meta"];
    let mut open: Vec<&str> = Vec::new();
    for part in page.split('<').skip(1).filter(|part| !part.starts_with('!')) {
        let (tag, _) = part.split_once('>').expect("a tag ends");
        let name = tag.trim_start_matches('/').split([' ', '/']).next().unwrap_or_default();
        match tag.starts_with('/') {
            true => assert_eq!(open.pop(), Some(name), "closed by {part:.40}"),
            false if VOID.contains(&name) => {}
            false => open.push(name),
        }
    }
    assert_eq!(open, Vec::<&str>::new(), "left open");
}

#[test]
fn a_page_of_everything_says_everything() {
    let mut file = vec![START.to_owned()];
    for number in 1..=30 {
        file.push(step(number));
        if number % 10 == 0 {
            file.push(format!(r#"{{"kind":"validation","step":{number},"loss":5.5,"bits_per_byte":2.{number}}}"#));
            file.push(format!(r#"{{"kind":"sample","step":{number},"prompt":"fn main","text":"() number {number}"}}"#));
            file.push(format!(r#"{{"kind":"event","step":{number},"event":"checkpoint","detail":"step-{number}"}}"#));
        }
    }
    file.push(r#"{"kind":"event","step":30,"event":"finished"}"#.into());
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join(METRICS_NAME), file.join("\n")).unwrap();
    std::fs::write(folder.path().join(RESULTS_NAME), RESULTS).unwrap();
    std::fs::write(folder.path().join(CONFIG_NAME), "[model]\npreset = \"<tiny>\"\n").unwrap();
    let path = write(folder.path(), &[]).unwrap();
    assert_eq!(path, folder.path().join(REPORT_NAME));
    let page = plain(&std::fs::read_to_string(path).unwrap());
    for part in [
        "<h1>tiny</h1>",
        "A model of 4.37 M parameters, 2.01 M of them active for a token (DbrxForCausalLM, 2 layers, 4 experts, 2 for \
         each token), trained for 30 steps over 1,920 tokens in 31 s on CPU, 2 threads, in f32.",
        "2026-11-22 08:00 UTC",
        "<dd>1.900<small> ± 0.010</small></dd>",
        "3 documents, 4.10 kB, 900 tokens",
        "zstd -19",
        "the model needs 17 % less",
        "order-3 byte model predicts the held-out text at least as well as the model.",
        "Layer 1: expert 3 got less than a tenth of a balanced share at the end.",
        "validation after step 20: 5.500 nats per token",
        "guessing blindly among 4,096 tokens: 8.32",
        "perfect balance: 2",
        "layer 1, expert 0: 40 % of the rows, 1.60 × balance",
        "number 30",
        "<b>fn main</b>() {}",
        "moeworks quickstart --minutes 3",
        "a machine",
        "moeworks 0.1.0",
        "preset = &quot;&lt;tiny&gt;&quot;",
        "4 events",
    ] {
        assert!(page.contains(part), "{part:?} is missing");
    }
    for id in
        ["loss", "validation", "learning-rate", "gradient-norm", "throughput", "aux", "z", "balance", "load", "layer-1"]
    {
        assert!(page.contains(&format!("id=\"{id}-title\"")), "{id} is not drawn");
    }
    for unwanted in ["not finished", "could not be read", "NaN", "http://", "https://", "<script", "style=\"", "url("] {
        assert!(!page.contains(unwanted), "{unwanted}");
    }
    assert_well_formed(&page);
    let ids: Vec<&str> = page.split(" id=\"").skip(1).map(|part| part.split('"').next().unwrap()).collect();
    assert_eq!(ids.iter().collect::<std::collections::BTreeSet<_>>().len(), ids.len(), "ids are unique: {ids:?}");
    assert_eq!(page.matches("<table").count(), page.matches("<caption").count());
    assert_eq!(page.matches("role=\"img\"").count(), page.matches("<desc").count());
}

#[test]
fn whatever_is_said_stays_text() {
    let hostile = serde_json::to_string(HOSTILE).unwrap();
    let start = START
        .replace("\"tiny\"", &hostile)
        .replace("\"DbrxForCausalLM\"", &hostile)
        .replace("\"CPU, 2 threads\"", &hostile);
    let metrics = lines(&[
        &start
            .replace("\"f32\"", &hostile)
            .replace("\"2026-11-22T08:00:00Z\"", &hostile)
            .replace("\"0.1.0\"", &hostile),
        &step(1),
        &format!(r#"{{"kind":"sample","step":1,"prompt":{hostile},"text":{hostile}}}"#),
        &format!(r#"{{"kind":"event","step":1,"event":{hostile},"detail":{hostile}}}"#),
    ]);
    let results = RESULTS
        .replace("\"() {}\"", &hostile)
        .replace("\"fn main\"", &hostile)
        .replace("\"zstd -19\"", &hostile)
        .replace("\"a machine\"", &hostile)
        .replace("\"moeworks quickstart --minutes 3\"", &hostile);
    let results = serde_json::from_str(&results).unwrap();
    let name = HOSTILE.to_owned();
    let mut account = account();
    account.works = Err(HOSTILE.into());
    let data = ReportData { name, metrics, results: Some(results), config: Some(HOSTILE.into()), data: vec![account] };
    let page = render(&data);
    assert!(page.matches("&lt;script&gt;alert(1)&lt;/script&gt;").count() >= 15);
    for markup in ["<script", "<img", "onload=\"x", "-->"] {
        assert!(!page.contains(markup), "{markup}");
    }
    assert_well_formed(&page);
}

#[test]
fn the_policy_allows_the_style_sheet_and_nothing_else() {
    use base64::{Engine, engine::general_purpose::STANDARD};
    use sha2::{Digest, Sha256};
    let page = page(lines(&[&step(1)]));
    let style = page.split("<style>").nth(1).unwrap().split("</style>").next().unwrap();
    let hash = STANDARD.encode(Sha256::digest(style));
    let policy =
        format!("content=\"default-src 'none'; style-src 'sha256-{hash}'; base-uri 'none'; form-action 'none'\"");
    assert!(page.contains(&policy));
    assert!(page.find(&policy) < page.find("<style>"));
}

#[test]
fn a_torn_last_line_is_no_trouble_and_others_are_told() {
    let (one, two) = (step(1), step(2));
    for (file, steps, unreadable) in [
        (format!("{START}\n{one}\n{}", &two[..40]), 1, vec![]),
        (format!("{START}\n{one}\n{two}"), 2, vec![]),
        (format!("{one}\n{}\n\n{two}\n", &one[..30]), 2, vec![2]),
        (format!("{{\"kind\":\"novelty\",\"x\":[1]}}\n[]\n{one}\n7\n"), 1, vec![2, 4]),
        (format!("{one}\n{{\"kind\":\"step\",\"step\":2}}\n"), 1, vec![2]),
        (format!("{one}\n{{\"kind\":\"sample\",\"step\":1}}\n"), 1, vec![2]),
    ] {
        let metrics = Metrics::read(file.as_bytes()).unwrap();
        assert_eq!((metrics.steps.len(), &metrics.unreadable), (steps, &unreadable), "{file}");
        assert_eq!(page(metrics).contains("of metrics.jsonl could not be read"), !unreadable.is_empty());
    }
    let metrics = Metrics::read(&b"\xff\xfe{\n\0\n{\"kind\":\"step\",\"step\":1,\"loss\":2}\n"[..]).unwrap();
    assert_eq!((metrics.steps.len(), metrics.unreadable), (1, vec![1, 2]));
}

#[test]
fn losses_that_are_no_numbers_are_gaps_and_are_told() {
    let with = |number: u64, loss: &str| format!(r#"{{"kind":"step","step":{number},"loss":{loss},"lr":null}}"#);
    let all: Vec<String> = (1..40)
        .map(|number| match number {
            20 => with(number, "null"),
            21 => with(number, "\"NaN\""),
            22 => with(number, "\"-inf\""),
            23 => with(number, "\"Infinity\""),
            _ => with(number, "3"),
        })
        .collect();
    let metrics = lines(&all.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!((metrics.steps.len(), metrics.unreadable.len()), (39, 0));
    let page = page(metrics);
    assert!(page.contains("The loss is not a finite number at 4 logged steps, first at step 20."));
    assert!(page.contains("× marks steps whose value is not a number."));
    let nothing = ["null"; 9].iter().enumerate().map(|(at, loss)| with(at as u64, loss)).collect::<Vec<_>>();
    let nothing = self::page(lines(&nothing.iter().map(String::as_str).collect::<Vec<_>>()));
    for page in [page, nothing] {
        assert!(!page.contains("NaN") && !page.contains(">inf"));
        assert_well_formed(&page);
    }
}

#[test]
fn one_step_and_nothing_else_is_a_report() {
    for metrics in [lines(&[&step(1)]), lines(&[r#"{"kind":"step","step":1,"loss":2.5}"#]), lines(&[START, &step(0)])] {
        let page = plain(&page(metrics));
        assert!(page.contains("Conditions") && page.contains("id=\"loss-title\""));
        assert!(!page.contains("NaN") && !page.contains(">inf"));
        assert_well_formed(&page);
    }
    let page = page(lines(&[r#"{"kind":"step","step":1,"loss":2.5}"#]));
    assert!(page.contains("<h1>folder</h1>") && page.contains("A model, trained for 1 step."), "{page}");
    for absent in ["id=\"aux-title\"", "id=\"experts\"", "id=\"data\"", "id=\"result\"", "id=\"samples\""] {
        assert!(!page.contains(absent), "{absent}");
    }
}

#[test]
fn missing_and_empty_files_are_named_with_the_way_out() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path();
    let put = |name: &str, text: &str| std::fs::write(run.join(name), text).unwrap();
    let says = |data: &[PathBuf], parts: &[&str]| {
        let error = write(run, data).unwrap_err().to_string();
        for part in parts {
            assert!(error.contains(part), "{part:?} in {error}");
        }
        assert!(!run.join(REPORT_NAME).exists(), "nothing is half written");
    };
    says(&[], &["metrics.jsonl: no such file", "moeworks runs ls", "moeworks quickstart"]);
    put(METRICS_NAME, "");
    says(&[], &["metrics.jsonl: no training step in its 0 lines", "moeworks train"]);
    put(METRICS_NAME, &format!("{START}\ngarbage\n"));
    says(&[], &["2 lines (1 of them unreadable)"]);
    put(METRICS_NAME, &step(1));
    put(RESULTS_NAME, "{\"held_out\": 3}");
    says(&[], &["results.json: ", "line 1 column", "run the evaluation again"]);
    std::fs::remove_file(run.join(RESULTS_NAME)).unwrap();
    says(&[run.join("nowhere")], &["data.json: no such file", "moeworks data build"]);
    put("data.json", "{}");
    says(&[run.into()], &["data.json: missing field", "moeworks data build"]);
    assert!(write(run, &[]).is_ok());
}

#[test]
fn a_run_that_goes_on_from_a_checkpoint_is_one_curve() {
    let sample = |number| format!(r#"{{"kind":"sample","step":{number},"prompt":"a","text":"b"}}"#);
    let resumed = |number| format!(r#"{{"kind":"event","step":{number},"event":"resumed","detail":""}}"#);
    let metrics = lines(&[
        START,
        &step(10),
        &sample(10),
        &step(20),
        &step(30),
        &sample(30),
        START,
        &resumed(15),
        &step(20),
        &step(40),
    ]);
    assert_eq!(metrics.steps.iter().map(|step| step.step).collect::<Vec<_>>(), [10, 20, 40]);
    assert_eq!(metrics.samples.iter().map(|sample| sample.step).collect::<Vec<_>>(), [10]);
    assert_eq!((metrics.repeated, metrics.starts.len(), metrics.seconds()), (2, 2, Some(40.5)));
    let page = page(metrics);
    for part in ["2 logged steps were done again", "Continued", "1 time"] {
        assert!(page.contains(part), "{part}");
    }
    // Without the event, the step that comes again says as much.
    let metrics = lines(&[&step(10), &step(20), &step(30), &step(20)]);
    assert_eq!(metrics.steps.iter().map(|step| step.step).collect::<Vec<_>>(), [10, 20]);
    // A clock that begins anew goes on from where the run was.
    let timed = |number, seconds| format!(r#"{{"kind":"step","step":{number},"seconds":{seconds},"loss":1}}"#);
    let metrics = lines(&[&timed(1, 50), &timed(2, 100), START, &timed(3, 5), &timed(4, 55), START, &timed(5, 7)]);
    let seconds: Vec<_> = metrics.steps.iter().filter_map(|step| step.seconds).collect();
    assert_eq!(seconds, [50.0, 100.0, 105.0, 155.0, 162.0]);
}

#[test]
fn an_unfinished_run_says_so() {
    let page = page(lines(&[START, &step(12)]));
    assert!(page.contains("The run is not finished: step 12 of 30."));
    assert!(page.contains("12 of 30 steps"));
}

#[test]
fn twenty_thousand_steps_and_many_experts_stay_small() {
    let mut file = format!("{}\n", START.replace("\"steps\":30", "\"steps\":20000"));
    let mut noise = 1u64;
    for number in 1..=20_000 {
        let mut next = || {
            noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (noise >> 33) as f64 / (1u64 << 31) as f64
        };
        writeln!(
            file,
            r#"{{"kind":"step","step":{number},"loss":{},"aux":{},"z":{},"lr":{},"grad_norm":{},"tokens_per_second":{},"tokens":{number}}}"#,
            2.0 + next(), 4.0 + next(), next(), next(), next() * 100.0, 9000.0 * next()
        )
        .unwrap();
        if number % 40 == 0 {
            let load: Vec<Vec<f64>> = (0..40).map(|_| (0..16).map(|_| next() / 8.0).collect()).collect();
            let load = serde_json::to_string(&load).unwrap();
            writeln!(file, r#"{{"kind":"step","step":{number},"loss":3,"load":{load}}}"#).unwrap();
            writeln!(
                file,
                r#"{{"kind":"sample","step":{number},"prompt":"p{}","text":"{}"}}"#,
                number % 7,
                "x".repeat(5000)
            )
            .unwrap();
            writeln!(file, r#"{{"kind":"event","step":{number},"event":"checkpoint","detail":"{}"}}"#, "d".repeat(900))
                .unwrap();
            writeln!(file, r#"{{"kind":"validation","step":{number},"loss":3,"bits_per_byte":2}}"#).unwrap();
        }
    }
    let metrics = Metrics::read(file.as_bytes()).unwrap();
    assert_eq!((metrics.steps.len(), metrics.unreadable.len()), (20_000, 0));
    let mut account = account();
    let work = account.works.as_ref().unwrap()[0].clone();
    account.works =
        Ok((0..9000).map(|number| Work { name: format!("crate-{number}-1.0.0"), ..work.clone() }).collect());
    let config = Some("key = 1\n".repeat(20_000));
    let page = render(&ReportData { metrics, data: vec![account], config, ..ReportData::default() });
    assert!(page.len() < 1_000_000, "{} bytes", page.len());
    assert!(page.contains("500 points, 60 of them marked"));
    assert!(page.contains("the 2,500 largest"));
    assert_well_formed(&page);
}

use moeworks_data::repair::Repairs;
use moeworks_data::{Dropped, Recipe, Sides, Summary, Tally, Work};

fn account() -> DataAccount {
    let tally = |documents| Tally { documents, bytes: documents * 1000, tokens: documents * 300 };
    let sides = |documents| Sides { train: tally(documents), held_out: tally(1) };
    let work = Work {
        source: "registry".into(),
        name: "<b>serde-1.0".into(),
        licence: Some("MIT OR Apache-2.0".into()),
        amount: tally(90),
    };
    let summary = Summary {
        schema: 1,
        tokenizer: "f1ngerpr1nt".into(),
        vocab_size: 4096,
        sequence_length: 256,
        samples: 105,
        dropped_tokens: 3,
        train: tally(100),
        held_out: tally(2),
        sources: [("registry".to_owned(), sides(100))].into(),
        licences: (0..60).map(|number| (format!("LicenseRef-{number}"), sides(number))).collect(),
        languages: [("Rust".to_owned(), sides(100))].into(),
        dropped: [(
            "duplicate".to_owned(),
            [("the same text".to_owned(), Dropped { documents: 7, bytes: 7000 })].into(),
        )]
        .into(),
        repairs: Repairs::default(),
        redacted: BTreeMap::new(),
        contamination: None,
        rejects: [("not-utf-8".to_owned(), 2)].into(),
        former: Vec::new(),
        recipe: Recipe::default(),
        files: Vec::new(),
    };
    DataAccount { folder: "data".into(), summary, works: Ok(vec![work.clone(), Work { licence: None, ..work }]) }
}

#[test]
fn the_data_is_told_with_its_licences() {
    let metrics = lines(&[&step(1)]);
    let page = plain(&render(&ReportData { metrics, data: vec![account()], ..ReportData::default() }));
    for part in [
        "100 documents with 100 kB of text, 30,000 tokens of a vocabulary of 4,096, in 105 samples of 256 tokens.",
        "Held out, and never trained on: 2 documents, 2.00 kB.",
        "7 documents (7.00 kB) repeated another.",
        "<bdi>LicenseRef-59</bdi>",
        "<bdi>20 others</bdi>",
        "not-utf-8 (2)",
        "All 2 works trained on, with their licences",
        "&lt;b&gt;serde-1.0",
        "MIT OR Apache-2.0",
        "not stated",
        "f1ngerpr1nt",
    ] {
        assert!(page.contains(part), "{part:?}");
    }
    assert!(!page.contains("beyond the limit"), "nothing was left out");
    assert_well_formed(&page);
}

#[test]
fn a_real_data_set_is_read_and_one_without_shards_still_counts() {
    struct Bytes;
    impl moeworks_data::Encoder for Bytes {
        fn encode(&self, text: &str) -> Vec<u32> {
            text.bytes().map(u32::from).collect()
        }
        fn start_of_document(&self) -> Option<u32> {
            None
        }
        fn end_of_document(&self) -> Option<u32> {
            Some(256)
        }
        fn vocab_size(&self) -> usize {
            257
        }
        fn fingerprint(&self) -> String {
            "bytes".into()
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let (documents, out) = (folder.path().join("docs"), folder.path().join("data"));
    std::fs::create_dir_all(documents.join("book")).unwrap();
    for number in 0..40 {
        std::fs::write(documents.join(format!("book/{number}.txt")), format!("text number {number}").repeat(20))
            .unwrap();
    }
    let sources = vec![moeworks_data::Source::at(&documents).unwrap()];
    let recipe = Recipe { sources, sequence_length: 64, held_out: 0.1, ..Recipe::default() };
    moeworks_data::build(&recipe, &Bytes, &out, &()).unwrap();
    std::fs::write(folder.path().join(METRICS_NAME), step(1)).unwrap();
    for data in [out.clone(), out.join("data.json")] {
        let page = std::fs::read_to_string(write(folder.path(), std::slice::from_ref(&data)).unwrap()).unwrap();
        assert!(page.contains("All 1 work trained on") && page.contains(">book</th>"), "{}", data.display());
    }
    std::fs::remove_dir_all(out.join("train")).unwrap();
    let page = std::fs::read_to_string(write(folder.path(), &[out]).unwrap()).unwrap();
    assert!(page.contains("The list of works could not be read: "));
}
