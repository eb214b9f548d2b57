//! `data build` killed at random moments: the next one completes to the same bytes.

#![cfg(unix)]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const KILLS: u64 = 50;

fn build(folder: &Path, out: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_moeworks"));
    command.args(["data", "build", "recipe.toml", "-o", out]).current_dir(folder);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    command
}

/// All files below a folder.
fn contents(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let name = entry.file_name().into_string().unwrap();
        if entry.path().is_dir() {
            files.extend(contents(&entry.path()).into_iter().map(|(path, bytes)| (format!("{name}/{path}"), bytes)));
        } else {
            files.insert(name, fs::read(entry.path()).unwrap());
        }
    }
    files
}

#[test]
fn a_killed_build_completes_to_the_same_bytes() {
    let world = tempfile::tempdir().unwrap();
    let folder = world.path();
    for source in 0..3 {
        let documents = folder.join(format!("source{source}"));
        fs::create_dir(&documents).unwrap();
        for i in 0..150u32 {
            let words: Vec<String> =
                (0..300u32).map(|j| format!("word{}", (i * 7919 + j * j * 31 + source) % 1543)).collect();
            fs::write(documents.join(format!("{i}.txt")), words.join(" ")).unwrap();
        }
    }
    let sources: String =
        (0..3).map(|source| format!("[[source]]\nkind = 'tree'\npath = 'source{source}'\n")).collect();
    let settings = "sequence_length = 128\nheld_out = 0.1\nmax_bytes = 700000\nshard_bytes = 20000\n";
    fs::write(folder.join("recipe.toml"), format!("{settings}{CLEANING}{sources}")).unwrap();

    let began = Instant::now();
    let whole = build(folder, "whole").output().unwrap();
    assert!(whole.status.success(), "{}", String::from_utf8_lossy(&whole.stderr));
    let time = began.elapsed();
    let expected = contents(&folder.join("whole"));

    // Moments spread evenly over the time that a build takes, in no order (the golden ratio's multiples).
    let seed = u64::from(std::process::id());
    println!("moments from seed {seed}");
    let mut killed = 0;
    for kill in 0..KILLS {
        let moment = ((seed + kill) as f64 * 0.618_033_988_749_895).fract();
        let mut building = build(folder, "out").spawn().unwrap();
        std::thread::sleep(Duration::from_secs_f64(time.as_secs_f64() * 1.1 * moment));
        building.kill().unwrap();
        if !building.wait().unwrap().success() {
            killed += 1;
        }
        let out = folder.join("out");
        // Whatever the moment: a folder is the whole data set or is not there.
        if out.exists() {
            let files: BTreeMap<_, _> = contents(&out).into_iter().filter(|(name, _)| name != "BUILDING").collect();
            assert!(files == expected, "killed at {moment:.3} of {time:?}: another data set");
        }
        // Now and then from the beginning, so that kills fall into every step.
        if kill % 3 == 0 {
            let done = build(folder, "out").output().unwrap();
            assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
            assert!(contents(&out) == expected, "killed at {moment:.3} of {time:?}");
            fs::remove_dir_all(&out).unwrap();
            fs::remove_dir_all(folder.join("out.steps")).unwrap();
        }
    }
    assert!(killed > KILLS / 4, "only {killed} of {KILLS} builds were killed before their end");
}

const CLEANING: &str = "[clean]\nrepair = {}\nredact = ['email_address']\nnear_duplicates = {}\n\
                        [[clean.filter]]\nsignal = 'num_words'\nmin = 10\n";
