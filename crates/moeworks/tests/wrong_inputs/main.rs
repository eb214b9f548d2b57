//! Wrong inputs, each with the exit code that the program documents and the words that its message must hold: what
//! failed, where, and what to do.

mod fixture;

use fixture::{Fixture, Scene};
use std::io::Write;
use std::net::TcpListener;

/// One wrong input: what it is, how it is made, the exit code, and what the message must say.
type Case = (&'static str, for<'a, 'b> fn(&'a mut Scene<'b>) -> &'a mut Scene<'b>, i32, &'static [&'static str]);

const CASES: &[Case] = &[
    // The command line.
    ("a command that does not exist", |s| s.args("trian run.toml"), 2, &["trian", "similar", "train"]),
    ("a flag that does not exist", |s| s.args("generate model Hello --temprature 1"), 2, &["--temprature"]),
    ("a number out of range", |s| s.args("quickstart --minutes=-1"), 2, &["--minutes"]),
    ("threads out of range", |s| s.args("generate model Hello --threads 0"), 2, &["--threads", "between 1 and 4096"]),
    (
        "sampling out of range",
        |s| s.args("generate model Hello --temperature=-1"),
        2,
        &["temperature", "between 0 and 100"],
    ),
    (
        "a shape larger than memory",
        |s| s.args("bench train --shape 132b"),
        78,
        &["takes", "free", "--recompute blocks"],
    ),
    ("nothing to score", |s| s.args("eval model"), 2, &["--text FILE", "--suite NAME", "gauntlet"]),
    ("an unknown suite", |s| s.args("eval model --suite gauntlet --data ."), 2, &["gauntlet-v0.3"]),
    (
        "an instruction set that does not exist",
        |s| {
            s.args("generate model Hello");
            s.set("MOEWORKS_ISA", "sse9")
        },
        78,
        &["MOEWORKS_ISA", "sse9", "portable"],
    ),
    // Configurations.
    ("no configuration", |s| s.args("train none.toml"), 66, &["none.toml", "No such file"]),
    (
        "a typo in a key",
        |s| {
            s.append("run.toml", "[schedule]\nwarmpu = '1ba'\n");
            s.args("train run.toml")
        },
        78,
        &["run.toml:", "schedule.warmpu", "did you mean \"schedule.warmup\"", "config show"],
    ),
    (
        "a typo in a setting",
        |s| s.args("train run.toml train.batsh=4"),
        78,
        &["train.batsh", "did you mean \"train.batch\""],
    ),
    ("a value of another type", |s| s.args("train run.toml train.batch=many"), 78, &["train.batch", "integer"]),
    ("no TOML", |s| s.write("bad.toml", b"[train\n").args("train bad.toml"), 78, &["bad.toml:1", "not valid TOML"]),
    ("an unknown preset", |s| s.args("train run.toml model.preset=tyni run.name=x"), 78, &["tyni", "\"tiny\""]),
    (
        "a micro-batch that does not divide",
        |s| s.args("train run.toml train.micro_batch=3"),
        78,
        &["train.micro_batch", "3", "divide"],
    ),
    (
        "a vocabulary too small for the tokenizer",
        |s| s.args("train run.toml model.vocab_size=64 run.name=x"),
        78,
        &["64", "model.vocab_size"],
    ),
    (
        "settings that a checkpoint does not allow",
        |s| s.args("train run.toml model.preset=1m-dense-active"),
        78,
        &["model.preset was", "--fresh"],
    ),
    (
        "a learning rate that ends in no numbers",
        |s| {
            s.args("train run.toml run.name=x optimizer.learning_rate=900 optimizer.clip=0 schedule.warmup=0ba train.duration=200ba")
        },
        78,
        &["diverged at step", "optimizer.learning_rate", "900"],
    ),
    // Documents and data sets.
    ("no documents", |s| s.args("data build --documents none -o out"), 66, &["none"]),
    (
        "an empty corpus",
        |s| s.folder("empty").args("data build --documents empty --tokenizer tokenizer -o out"),
        65,
        &["empty", "document"],
    ),
    (
        "nothing but invalid UTF-8",
        |s| {
            s.folder("latin").write("latin/a.txt", b"caf\xe9 au lait, caf\xe9 noir\n");
            s.args("data build --documents latin --tokenizer tokenizer -o out")
        },
        65,
        &["latin", "invalid-utf8"],
    ),
    (
        "a data set where one is already",
        |s| s.args("data build --documents documents --tokenizer tokenizer -o data"),
        73,
        &["data", "never overwrites"],
    ),
    (
        "a recipe with a key too many",
        |s| s.write("r.toml", b"sequence_lenght = 64\n").args("data build r.toml -o out"),
        78,
        &["r.toml", "sequence_lenght"],
    ),
    ("no data set", |s| s.args("train run.toml data.path=nowhere run.name=x"), 66, &["nowhere", "data build"]),
    (
        "a tokenizer that the data were not made with",
        |s| {
            s.args("tokenizer train --documents documents --vocab-size 300 -o other").must_run();
            s.args("train run.toml data.tokenizer=other run.name=x")
        },
        78,
        &["other", "fingerprint", "data.tokenizer"],
    ),
    (
        "a shard with a flipped byte",
        |s| s.flip("data/train/shard.00000.mds", 4000).args("data verify data"),
        65,
        &["shard.00000.mds", "xxh3_64", "restore"],
    ),
    (
        "a shard cut short",
        |s| s.cut("data/train/shard.00000.mds", 1000).args("train run.toml run.name=x"),
        65,
        &["shard.00000.mds", "1000"],
    ),
    (
        "a shard that is gone",
        |s| s.remove("data/train/shard.00000.mds").args("train run.toml run.name=x"),
        66,
        &["shard.00000.mds"],
    ),
    ("a damaged account", |s| s.write("data/data.json", b"{").args("data show data"), 65, &["data.json"]),
    // Models.
    ("no model", |s| s.args("generate none Hello"), 66, &["none"]),
    (
        "truncated safetensors",
        |s| s.cut("model/model.safetensors", 5000).args("generate model Hello"),
        65,
        &["model.safetensors", "bytes"],
    ),
    (
        "safetensors with a header that lies",
        |s| s.write("model/model.safetensors", &u64::MAX.to_le_bytes()).args("generate model Hello"),
        65,
        &["model.safetensors", "header"],
    ),
    (
        "weights that are no numbers",
        |s| s.poison("model/model.safetensors").args("generate model Hello"),
        65,
        &["model.safetensors", "transformer.", "NaN"],
    ),
    (
        "a missing tensor",
        |s| s.replace("model/config.json", "\"n_layers\": 2", "\"n_layers\": 3").args("generate model Hello"),
        65,
        &["model: tensor transformer.blocks.2.", "missing", "config.json"],
    ),
    (
        "a tensor of another shape",
        |s| s.replace("model/config.json", "\"vocab_size\": 320", "\"vocab_size\": 336").args("generate model Hello"),
        65,
        &["tensor", "[336, 64]", "[320, 64]"],
    ),
    (
        "an unknown architecture",
        |s| s.replace("model/config.json", "DbrxForCausalLM", "FalconForCausalLM").args("generate model Hello"),
        78,
        &["config.json", "FalconForCausalLM", "DbrxForCausalLM"],
    ),
    (
        "config.json that is no JSON",
        |s| s.write("model/config.json", b"{\"model_type\": ").args("eval model --text documents/0.rs"),
        65,
        &["config.json", "line 1"],
    ),
    ("no tokenizer", |s| s.remove("model/tokenizer.json").args("chat model"), 66, &["model", "tokenizer"]),
    (
        "a damaged tokenizer",
        |s| s.write("model/tokenizer.json", b"{\"model\": {\"type\": \"BPE\"}}").args("generate model Hello"),
        65,
        &["tokenizer.json"],
    ),
    (
        "a tokenizer with more ids than the model",
        |s| {
            s.args("tokenizer train --documents documents --vocab-size 400 -o model").must_run();
            s.args("eval model --text documents/0.rs")
        },
        65,
        &["320"],
    ),
    (
        "token ids that the model does not have",
        |s| s.ids("ids.safetensors", &[1, 2, 99_999]).args("logits model ids.safetensors out.safetensors"),
        65,
        &["99999", "320"],
    ),
    ("no token ids", |s| s.args("gradients model ids.safetensors out.safetensors"), 66, &["ids.safetensors"]),
    (
        "a prompt beyond the context",
        |s| {
            let prompt = "let x = 1;\n".repeat(5000);
            s.args("generate model");
            s.arg(&prompt)
        },
        65,
        &["tokens", "context"],
    ),
    // Evaluation data.
    ("no text", |s| s.args("eval model --text none.txt"), 66, &["none.txt"]),
    (
        "a row without its key",
        |s| {
            s.write("task.jsonl", b"{\"context\": \"a b\", \"continuation\": \" c\"}\n{\"context\": \"a b\"}\n");
            s.args("eval model --task task.jsonl")
        },
        65,
        &["task.jsonl", "row 2", "continuation"],
    ),
    // Checkpoints and runs.
    (
        "a checkpoint with a flipped byte",
        |s| s.flip_newest_checkpoint().args("train run.toml train.duration=9ba"),
        65,
        &["step-", "SHA-256", "--fresh"],
    ),
    ("no run", |s| s.args("runs show nobody"), 66, &["nobody", "runs ls"]),
    (
        "a run that another training holds",
        |s| {
            s.lock("runs/run/lock");
            s.args("train run.toml")
        },
        73,
        &["runs/run", "another training"],
    ),
    // The machine.
    (
        "no room for a data set",
        |s| s.args("data build --documents documents --tokenizer tokenizer --held-out 0.1 -o out").file_limit(4),
        73,
        &["out.steps", "large"],
    ),
    ("no room for a checkpoint", |s| s.args("train run.toml run.name=x").file_limit(64), 73, &["runs/x", "large"]),
    ("a full disk behind stdout", |s| s.args("config show").full_stdout(), 73, &["stdout", "space"]),
    (
        "a file where a folder must be",
        |s| s.write("file", b"").args("train run.toml run.folder=file"),
        74,
        &["file/run", "Not a directory"],
    ),
    // Serving.
    (
        "an address without a key that others reach",
        |s| s.args("serve model --address 0.0.0.0:0"),
        2,
        &["0.0.0.0", "--api-key-file"],
    ),
    ("a port in use", |s| s.serve_on_taken_port(), 73, &["127.0.0.1", "in use", "--address"]),
];

#[test]
fn every_wrong_input_ends_with_its_code_and_says_what_to_do() {
    let fixture = Fixture::new();
    let mut faults = Vec::new();
    for (name, prepare, code, says) in CASES {
        let mut scene = Scene::new(&fixture);
        prepare(&mut scene);
        let (found, message) = scene.run();
        let absent: Vec<_> = says.iter().filter(|part| !message.contains(**part)).collect();
        if found != Some(*code) || !absent.is_empty() || message.contains("panicked") {
            faults.push(format!("{name}: code {found:?}, expected {code}; not said: {absent:?}; message:\n{message}"));
        }
    }
    assert!(faults.is_empty(), "{} of {}:\n\n{}", faults.len(), CASES.len(), faults.join("\n"));
}

#[test]
fn what_failed_leaves_nothing_half_made() {
    let fixture = Fixture::new();
    let mut scene = Scene::new(&fixture);
    scene.args("data build --documents documents --tokenizer tokenizer --held-out 0.1 -o out").file_limit(4);
    assert_eq!(scene.run().0, Some(73));
    assert!(!scene.path("out").exists());
    // With room again the same command succeeds, whatever the failed one left.
    scene.args("data build --documents documents --tokenizer tokenizer --held-out 0.1 -o out").must_run();
    scene.args("data verify out").must_run();
}

impl Scene<'_> {
    fn serve_on_taken_port(&mut self) -> &mut Self {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap().to_string();
        self.hold(taken);
        self.args("serve model --address").arg(&address)
    }

    fn append(&mut self, name: &str, text: &str) -> &mut Self {
        let mut file = std::fs::OpenOptions::new().append(true).open(self.path(name)).unwrap();
        file.write_all(text.as_bytes()).unwrap();
        self
    }
}
