#!/bin/sh
# The whole story by hand, each step a command: documents, tokenizer, shards, training, scores, an answer.
#   sh runs/quickstart.sh DOCUMENTS [FOLDER]
set -eu
documents=$1
out=${2:-runs/by-hand}
moeworks="cargo run --release --quiet --"

mkdir -p "$out"
$moeworks tokenizer train --documents "$documents" --vocab-size 4096 -o "$out/tokenizer"
$moeworks data build --documents "$documents" --tokenizer "$out/tokenizer" --sequence-length 512 --held-out 0.04 -o "$out/data"
$moeworks train configs/small.toml "run.folder=$out" run.name=run "data.path=$out/data" model.preset=1m \
    model.max_seq_len=512 train.batch=8 train.micro_batch=0 train.duration=3min optimizer.learning_rate=0.0125
$moeworks generate "$out/run/model" "The "
$moeworks runs show run --folder "$out"
