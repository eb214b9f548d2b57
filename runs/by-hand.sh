#!/bin/sh
# The whole story by hand, each step a command: documents, tokenizer, shards, training, an answer.
#   sh runs/by-hand.sh DOCUMENTS [FOLDER [DURATION]]
set -eu
documents=$1
out=${2:-runs/by-hand}
duration=${3:-3min}
moeworks="cargo run --release --quiet --"

mkdir -p "$out"
$moeworks tokenizer train --documents "$documents" --vocab-size 8192 -o "$out/tokenizer"
$moeworks data build --documents "$documents" --tokenizer "$out/tokenizer" --sequence-length 512 --held-out 0.05 \
    -o "$out/data"
$moeworks train configs/small.toml "run.folder=$out" run.name=run "data.path=$out/data" model.preset=1m \
    model.max_seq_len=512 train.batch=8 train.micro_batch=0 "train.duration=$duration" \
    optimizer.learning_rate=0.0125 optimizer.beta2=0.98 optimizer.weight_decay=0.3 schedule.warmup=5% schedule.last=0.02
$moeworks generate "$out/run/model" "The "
$moeworks runs show run --folder "$out"
