//! A small world: documents, a tokenizer, a data set, a run with a model; and scenes, which are copies of it where
//! something goes wrong.

use safetensors::tensor::{Dtype, TensorView, serialize_to_file};
use std::any::Any;
use std::fs::{self, File, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tempfile::TempDir;

const PROGRAM: &str = env!("CARGO_BIN_EXE_moeworks");

/// The world as it should be.
pub struct Fixture {
    folder: TempDir,
}

impl Fixture {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let documents = folder.path().join("documents");
        fs::create_dir(&documents).unwrap();
        for i in 0..40 {
            let word = |n: u64| format!("{:x}", (i * 40 + n).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40);
            let line = |n| format!("fn f_{}() -> u32 {{\n    {} + {}\n}}\n", word(n), word(n + 9), word(n + 3));
            fs::write(documents.join(format!("{i}.rs")), (0..12).map(line).collect::<String>()).unwrap();
        }
        let config = "model.preset = 'tiny'\nmodel.max_seq_len = 256\ndata.path = 'data'\ntrain.duration = '2ba'\n\
                      train.batch = 4\nevaluate.prompts = []\n";
        fs::write(folder.path().join("run.toml"), config).unwrap();
        for args in [
            "tokenizer train --documents documents --vocab-size 320 -o tokenizer",
            "data build --documents documents --tokenizer tokenizer -o data --sequence-length 64 --held-out 0.1",
            "train run.toml",
        ] {
            must_run(folder.path(), &words(args));
        }
        copy(&folder.path().join("runs/run/model"), &folder.path().join("model"));
        Fixture { folder }
    }
}

/// A copy of the world in which one command runs.
pub struct Scene<'a> {
    folder: TempDir,
    args: Vec<String>,
    environment: Vec<(&'a str, &'a str)>,
    /// Largest file that can be written, in blocks of 512 bytes.
    file_limit: Option<usize>,
    full_stdout: bool,
    held: Vec<Box<dyn Any>>,
}

impl Scene<'_> {
    pub fn new(fixture: &Fixture) -> Self {
        let folder = tempfile::tempdir().unwrap();
        copy(fixture.folder.path(), folder.path());
        let (args, environment, held) = (Vec::new(), Vec::new(), Vec::new());
        Scene { folder, args, environment, file_limit: None, full_stdout: false, held }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn args(&mut self, text: &str) -> &mut Self {
        self.args = words(text);
        self.file_limit = None;
        self
    }

    pub fn arg(&mut self, text: &str) -> &mut Self {
        self.args.push(text.to_string());
        self
    }

    /// Exit code and stderr.
    pub fn run(&self) -> (Option<i32>, String) {
        let mut command = match self.file_limit {
            None => Command::new(PROGRAM),
            Some(blocks) => {
                // With the signal ignored, writing beyond the limit is an error, as on a full disk.
                let mut shell = Command::new("sh");
                shell.args(["-c", &format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$0\" \"$@\""), PROGRAM]);
                shell
            }
        };
        if self.full_stdout {
            command.stdout(OpenOptions::new().write(true).open("/dev/full").unwrap());
        }
        command.args(&self.args).envs(self.environment.iter().copied());
        let output = command.current_dir(self.folder.path()).stdin(Stdio::null()).output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    }

    pub fn must_run(&mut self) -> &mut Self {
        must_run(self.folder.path(), &self.args);
        self
    }

    pub fn set(&mut self, name: &'static str, value: &'static str) -> &mut Self {
        self.environment.push((name, value));
        self
    }

    pub fn hold(&mut self, thing: impl Any) {
        self.held.push(Box::new(thing));
    }

    pub fn lock(&mut self, name: &str) -> &mut Self {
        let file = File::open(self.path(name)).unwrap();
        file.lock().unwrap();
        self.hold(file);
        self
    }

    pub fn file_limit(&mut self, blocks: usize) -> &mut Self {
        self.file_limit = Some(blocks);
        self
    }

    pub fn full_stdout(&mut self) -> &mut Self {
        self.full_stdout = true;
        self
    }

    pub fn folder(&mut self, name: &str) -> &mut Self {
        fs::create_dir(self.path(name)).unwrap();
        self
    }

    pub fn write(&mut self, name: &str, bytes: &[u8]) -> &mut Self {
        fs::write(self.path(name), bytes).unwrap();
        self
    }

    pub fn remove(&mut self, name: &str) -> &mut Self {
        fs::remove_file(self.path(name)).unwrap();
        self
    }

    pub fn cut(&mut self, name: &str, length: u64) -> &mut Self {
        OpenOptions::new().write(true).open(self.path(name)).unwrap().set_len(length).unwrap();
        self
    }

    pub fn change(&mut self, name: &str, change: impl FnOnce(&mut Vec<u8>)) -> &mut Self {
        let mut bytes = fs::read(self.path(name)).unwrap();
        change(&mut bytes);
        self.write(name, &bytes)
    }

    pub fn flip(&mut self, name: &str, at: usize) -> &mut Self {
        self.change(name, |bytes| bytes[at] ^= 1)
    }

    /// Puts a text of the same length, in all places, into a file that need not be text.
    pub fn replace(&mut self, name: &str, from: &str, to: &str) -> &mut Self {
        self.change(name, |bytes| {
            let places: Vec<usize> = (0..bytes.len().saturating_sub(from.len()))
                .filter(|i| bytes[*i..].starts_with(from.as_bytes()))
                .collect();
            assert!(!places.is_empty(), "no {from:?} in {name}");
            for at in places.into_iter().rev() {
                bytes.splice(at..at + from.len(), to.bytes());
            }
        })
    }

    /// Makes the last number of a safetensors file a NaN, whether it has two bytes or four.
    pub fn poison(&mut self, name: &str) -> &mut Self {
        self.change(name, |bytes| {
            let end = bytes.len();
            bytes[end - 2..].copy_from_slice(&[0xc0, 0x7f]);
        })
    }

    pub fn flip_newest_checkpoint(&mut self) -> &mut Self {
        for checkpoint in fs::read_dir(self.path("runs/run/checkpoints")).unwrap() {
            let file = checkpoint.unwrap().path().join("model.safetensors");
            let name = file.strip_prefix(self.folder.path()).unwrap().display().to_string();
            self.flip(&name, 100_000);
        }
        self
    }

    pub fn ids(&mut self, name: &str, ids: &[i64]) -> &mut Self {
        let bytes: Vec<u8> = ids.iter().flat_map(|id| id.to_le_bytes()).collect();
        let view = TensorView::new(Dtype::I64, vec![1, ids.len()], &bytes).unwrap();
        serialize_to_file([("input_ids", view)], None, &self.path(name)).unwrap();
        self
    }
}

fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(String::from).collect()
}

fn must_run(folder: &Path, args: &[String]) {
    let output = Command::new(PROGRAM).args(args).current_dir(folder).output().unwrap();
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let (from, to) = (entry.as_ref().unwrap().path(), to.join(entry.unwrap().file_name()));
        if from.is_dir() {
            copy(&from, &to);
        } else {
            fs::copy(&from, &to).unwrap();
        }
    }
}
