//! The whole way as a stranger goes it, with the program itself: documents in, a model that answers out; stopped on the
//! way, and gone on.

use serde_json::Value;
use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

fn program(folder: &Path, args: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_moeworks"));
    command.args(args.split_whitespace()).current_dir(folder).stdin(Stdio::null());
    command
}

fn run(folder: &Path, args: &str) -> Output {
    let output = program(folder, args).output().unwrap();
    assert!(output.status.success(), "{args}: {}", String::from_utf8_lossy(&output.stderr));
    output
}

fn json(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).unwrap()
}

/// A folder of documents that differ.
fn world() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let documents = folder.path().join("documents");
    fs::create_dir(&documents).unwrap();
    for i in 0..120 {
        let function = |j: usize| {
            let (name, sum) = (format!("value_{}", (i * 31 + j * 17) % 97), i * j % 23);
            format!("/// Returns the sum of {name} and {sum}.\nfn {name}(x: u32) -> u32 {{\n    x + {sum}\n}}\n\n")
        };
        let text: String = (0..12).map(function).collect();
        fs::write(documents.join(format!("{i}.rs")), text).unwrap();
    }
    folder
}

/// Step and loss of every step, as they are written.
fn losses(run: &Path) -> Vec<(u64, String)> {
    let text = fs::read_to_string(run.join("metrics.jsonl")).unwrap_or_default();
    let records = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let steps = records.filter(|r| r["kind"] == "step");
    steps.map(|r| (r["step"].as_u64().unwrap(), r["loss"].to_string())).collect()
}

#[test]
fn quickstart_makes_a_model_that_answers_and_the_same_one_again() {
    let world = world();
    let folder = world.path();
    for name in ["a", "b"] {
        let first = run(folder, &format!("quickstart --documents documents --size tiny --steps 5 --name {name}"));
        let said = String::from_utf8(first.stdout).unwrap();
        for part in ["this model", "zstd -19", "order-3 byte model", "  | "] {
            assert!(said.contains(part), "no {part:?} in {said}");
        }
    }
    let runs = folder.join("runs");
    assert_eq!(losses(&runs.join("a")).len(), 5);
    assert_eq!(losses(&runs.join("a")), losses(&runs.join("b")));
    let weights = |name: &str| fs::read(runs.join(name).join("model/model.safetensors")).unwrap();
    assert!(weights("a") == weights("b"));

    let results = json(&fs::read(runs.join("a/results.json")).unwrap());
    let held_out = &results["held_out"];
    assert!(held_out["bytes"].as_u64().unwrap() > 1000);
    let bits = held_out["model"]["bits_per_byte"].as_f64().unwrap();
    assert!((0.5..8.0).contains(&bits), "{bits}");
    assert_eq!(results["completions"].as_array().unwrap().len(), 3);
    assert!(fs::read_to_string(runs.join("a/report.html")).unwrap().contains("<svg"));

    // What was written is what answers: the figure is found again, and the same seed gives the same text.
    let text = run(folder, "eval runs/a/model --text documents/0.rs --json");
    assert!(json(&text.stdout)["texts"][0]["bits_per_byte"]["value"].as_f64().unwrap() < 8.0);
    let answer =
        || json(&run(folder, "generate runs/a/model fn --max-tokens 8 --seed 3 --json").stdout)["text"].clone();
    assert_eq!(answer(), answer());

    // Everything that shows a run shows this one.
    let listed = json(&run(folder, "runs ls --json").stdout);
    assert_eq!(listed.as_array().unwrap().len(), 2);
    let shown = json(&run(folder, "runs show a --json").stdout);
    assert_eq!((shown["step"].as_u64(), shown["state"].as_str()), (Some(5), Some("finished")));
    assert_eq!(json(&run(folder, "data show runs/a/data --json").stdout)["schema"], 2);
    run(folder, "data verify runs/a/data");
    run(folder, "data show runs/a/data --sample 0");
}

#[cfg(unix)]
#[test]
fn ctrl_c_saves_and_the_same_command_goes_on() {
    let world = world();
    let folder = world.path();
    run(folder, "tokenizer train --documents documents --vocab-size 320 -o tokenizer");
    run(folder, "data build --documents documents --tokenizer tokenizer --sequence-length 64 --held-out 0.05 -o data");
    fs::write(
        folder.join("run.toml"),
        "model.preset = 'tiny'\ndata.path = 'data'\ntrain.batch = 2\nevaluate.prompts = []\n",
    )
    .unwrap();

    let steps = || losses(&folder.join("runs/run")).len();
    let mut training = program(folder, "train run.toml train.duration=1000000ba --quiet").spawn().unwrap();
    let began = Instant::now();
    while steps() < 3 {
        assert!(began.elapsed() < Duration::from_secs(120), "no step in two minutes");
        std::thread::sleep(Duration::from_millis(20));
    }
    // The shell's own `kill`: not every machine has the program.
    let killed = Command::new("sh").args(["-c", &format!("kill -INT {}", training.id())]).status().unwrap();
    assert!(killed.success());
    assert_eq!(training.wait().unwrap().code(), Some(75));
    let stopped = steps();
    assert!(stopped >= 3);
    assert_eq!(json(&run(folder, "runs show run --json").stdout)["state"], "interrupted");

    run(folder, &format!("train run.toml train.duration={}ba", stopped + 2));
    let numbers: Vec<u64> = losses(&folder.join("runs/run")).into_iter().map(|(step, _)| step).collect();
    assert_eq!(numbers, (1..=stopped as u64 + 2).collect::<Vec<_>>());
    assert!(folder.join("runs/run/model/model.safetensors").exists());
}

#[test]
fn bench_tokenizes_with_each_number_of_threads() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("a.txt"), "Hello world\n").unwrap();
    fs::write(folder.path().join("b.txt"), "é".repeat(5)).unwrap();
    let output = run(folder.path(), "bench tokenize --text a.txt b.txt --chunk 4 --threads 2 --seconds 0 --json");
    let answer = json(&output.stdout);
    // Hell, o wo, rld and the line end; éééé, é.
    assert_eq!((answer["documents"].as_u64(), answer["bytes"].as_u64()), (Some(5), Some(22)));
    assert!((5..=22).contains(&answer["tokens"].as_u64().unwrap()));
    let runs = answer["runs"].as_array().unwrap();
    assert_eq!(runs.iter().map(|r| r["threads"].as_u64().unwrap()).collect::<Vec<_>>(), [1, 2]);
    assert!(runs.iter().all(|r| r["seconds"].as_array().unwrap().len() == 3 && r["mb_s"].as_f64().unwrap() > 0.0));
}

#[test]
fn bench_counts_a_step_whole() {
    let folder = tempfile::tempdir().unwrap();
    for dtype in ["f32", "bf16"] {
        let output = run(
            folder.path(),
            &format!("bench train --shape tiny --batch 1 --seq 32 --steps 2 --dtype {dtype} --json"),
        );
        let answer = json(&output.stdout);
        assert_eq!((answer["dtype"].as_str(), answer["steps_s"].as_array().unwrap().len()), (Some(dtype), 2));
        let number = |key: &str| answer[key].as_f64().unwrap();
        assert!(number("tokens_s") > 0.0 && number("share_of_peak") > 0.0 && number("peak_rss_mb") > 1.0);
        let ops = answer["ops"].as_array().unwrap();
        let shares: f64 = ops.iter().map(|o| o["share"].as_f64().unwrap()).sum();
        assert!((shares - 1.0).abs() < 1e-6, "{shares}");
        for op in ["gate_up_backward", "classifier", "attention", "adamw", "between ops"] {
            assert!(ops.iter().any(|o| o["op"] == op), "{op}");
        }
    }
}
