#!/usr/bin/env bash
# The model that ships, from nothing: sources, corpus, tokenizer, the stages (the last in three passes), export.
#
#   recipes/bundled/make.sh WORK [GPU-or-CPU preset] [minutes] [benchmark files to decontaminate against ...]
#   recipes/bundled/make.sh build/model small 20 benchmarks/*.jsonl.gz       # a CUDA GPU, 50 million parameters
#   recipes/bundled/make.sh build/model small-cpu 210                        # two CPU cores, 9 million
#
# Needs the environment that `make test` makes (.venv); on a GPU also `pip install 'jax[cuda13]'`. Every step that is
# finished is skipped, and a stage that was stopped (Ctrl-C) goes on, so run it again after whatever went wrong.
set -euo pipefail
recipe=$(cd "$(dirname "$0")" && pwd)
work=$(mkdir -p "${1:?the working folder is missing: see the head of this file}" && cd "$1" && pwd)
preset=${2:-small}
minutes=${3:-20}
benchmarks=("${@:4}")
cd "$recipe/../.."
python=$PWD/.venv/bin/python
train=$PWD/.venv/bin/coda-train
part() { "$python" -c "print($minutes * $1)"; }

if [ ! -e "$work/packages.done" ]; then
  for list in packages plain-packages; do
    grep -v '^#' "$recipe/$list.txt" | while read -r package; do
      "$python" -m pip install --quiet --disable-pip-version-check --no-deps --no-compile --only-binary :all: \
        --target "$work/$list" "$package" || echo "left out: $package" >&2
    done
  done
  mkdir -p "$work/node_modules"
  if command -v npm >/dev/null; then
    # Each package alone: of what it depends on, some version is always missing somewhere.
    grep -v '^#' "$recipe/node-packages.txt" | while read -r package; do
      folder=$work/node_modules/${package%@*}
      mkdir -p "$folder"
      (cd "$folder" && npm pack --silent --ignore-scripts "$package" >/dev/null && tar xzf ./*.tgz && rm ./*.tgz) ||
        echo "left out: $package" >&2
    done
  fi
  ln -sfn "$("$python" -c 'import sysconfig; print(sysconfig.get_path("stdlib"))')" "$work/interpreter"
  touch "$work/packages.done"
fi

cp "$recipe/corpus.toml" "$work/corpus.toml"
if [ ! -e "$work/corpus/mixture.json" ]; then
  "$train" data --mixture "$work/corpus.toml" --out "$work/corpus" "${benchmarks[@]/#/--decontaminate=}"
fi
read -r vocabulary length < <("$train" pretrain --preset "$preset" --data . --out . --print-config | "$python" -c \
  'import json, sys; it = json.load(sys.stdin); print(it["model"]["vocab_size"], it["stage"]["length"])')
if [ ! -e "$work/tokenizer/tokenizer.json" ]; then
  "$train" tokenizer "$work/corpus" --out "$work/tokenizer" --vocab-size "$vocabulary"
fi

common=(--preset "$preset" --data "$work/corpus" --tokenizer "$work/tokenizer")
runs=$work/runs-$preset
"$train" base "${common[@]}" --out "$runs/base" --max-minutes "$(part .23)"
"$train" pretrain "${common[@]}" --init "$runs/base" --out "$runs/pretrain" --max-minutes "$(part .03)"
"$train" midtrain "${common[@]}" --init "$runs/pretrain" --out "$runs/midtrain" --max-minutes "$(part .02)"
# First so many holes a window that a fifth of its tokens are targets, then holes as they are met, and a falling rate.
dense=$("$python" -c "n = $length // 32; print([0.0] * n + [1.0] * (3 * n - 4))")
"$train" sft "${common[@]}" --init "$runs/midtrain" --out "$runs/dense" --max-minutes "$(part .40)" \
  --workers "${CODA_WORKERS:-1}" optimizer.schedule=constant "infill.holes.counts=$dense" \
  infill.eps=0.2 infill.expand=0.3 infill.max_delete=4 infill.no_delete=0.7
"$train" sft "${common[@]}" --init "$runs/dense" --out "$runs/sft" --max-minutes "$(part .20)" \
  --workers "${CODA_WORKERS:-1}"
"$train" sft "${common[@]}" --init "$runs/sft" --out "$runs/sft-again" --max-minutes "$(part .12)" \
  --workers "${CODA_WORKERS:-1}" stage.seed=1
# The mean of passes that ended with a rate of 0 is better than the last of them (docs/log.md).
"$train" export "$runs/sft" "$runs/sft-again" --out "$work/model" --dtype float32 --overwrite
# How likely a fill is exactly right, from holes of the held-out packages.
if [ ! -e "$work/model/calibration.json" ]; then
  "$python" -m coda_model eval repo "$work/corpus" --model "$work/model" --holes 1200 --seed 77 --nll-draws 0 --typist-rows 0 \
    --out "$work/calibration"
  "$python" -m coda_model eval calibrate "$work/calibration" "$work/model"
fi
echo "$work/model: try it with  coda-lsp doctor --model $work/model"
