"""Compare saved tokenizers with transformers and tokenizers.

First `cargo run --release -p moeworks-text --example tokenizer_parity -- FOLDER`, then, in a Python environment with
transformers, `python bench/tokenizer_parity.py FOLDER`. Each tokenizer in FOLDER is opened with AutoTokenizer and with
tokenizers; ids, decoded text and rendered conversations must be those that Moeworks wrote beside it.
"""

import argparse
import json
import pathlib
import sys

import tokenizers
import transformers


def rows(path):
    with path.open(encoding="utf-8", newline="\n") as lines:
        return [json.loads(line) for line in lines]


def compare(directory):
    auto = transformers.AutoTokenizer.from_pretrained(directory)
    plain = tokenizers.Tokenizer.from_file(str(directory / "tokenizer.json"))
    plain.encode_special_tokens = True  # text is text here, as in Moeworks
    failures = []

    expected = rows(directory / "expected_ids.jsonl")
    for row in expected:
        text, ids = row["text"], row["ids"]
        if auto(text, add_special_tokens=False, split_special_tokens=True)["input_ids"] != ids:
            failures.append(f"transformers' ids of {text[:60]!r}")
        elif plain.encode(text, add_special_tokens=False).ids != ids:
            failures.append(f"tokenizers' ids of {text[:60]!r}")
        elif auto.decode(ids) != text:
            failures.append(f"decoded text of {text[:60]!r}")

    chats = rows(directory / "expected_chats.jsonl")
    for row in chats:
        options = {"add_generation_prompt": row["add_generation_prompt"]}
        if auto.apply_chat_template(row["messages"], tokenize=False, **options) != row["text"]:
            failures.append(f"text of {row['messages']}")
        if auto.apply_chat_template(row["messages"], tokenize=True, return_dict=False, **options) != row["ids"]:
            failures.append(f"ids of {row['messages']}")

    print(
        f"{directory.name}: {type(auto).__name__} with {len(auto)} ids; "
        f"{len(expected)} texts and {len(chats)} conversations, {len(failures)} differ"
    )
    for failure in failures[:10]:
        print(f"  {failure}")
    return not failures


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=pathlib.Path, help="what the example tokenizer_parity wrote")
    folder = parser.parse_args().folder
    directories = sorted(path.parent for path in folder.glob("*/expected_ids.jsonl"))
    if not directories:
        sys.exit(f"{folder} has no tokenizers; write them with the example tokenizer_parity")
    print(f"transformers {transformers.__version__}, tokenizers {tokenizers.__version__}")
    results = [compare(directory) for directory in directories]
    sys.exit(0 if all(results) else 1)


if __name__ == "__main__":
    main()
