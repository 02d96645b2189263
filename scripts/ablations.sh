#!/usr/bin/env bash
# What the paper leaves open, at the size of the bundled model: does progressive masking help, do expand and delete?
#
#   scripts/ablations.sh CORPUS TOKENIZER BASE OUT [STEPS] [HOLES]
#
# BASE is a run of `coda-train base`, or any checkpoint; CORPUS and TOKENIZER are those it was trained with. Three arms of
# STEPS steps of mid-training and half as many of infilling, on the same rows: `curriculum` (S1, S2, S3 growing as in the
# paper's table 3), `random` (scattered masks alone) and `no-edits` (the curriculum, then infilling without `<|expand|>` and
# `<|delete|>`, whose lengths the engine finds by its grid). Then all fill the same
# holes of the corpus' held-out packages, and are compared in pairs. What is finished is not done again.
set -euo pipefail
corpus=${1:?the corpus is missing}
tokenizer=${2:?the tokenizer is missing}
base=${3:?the base is missing}
out=${4:?the folder for the runs is missing}
steps=${5:-400}
holes=${6:-300}
python=${PYTHON:-.venv/bin/python}
train() { "$python" -m coda_train "$1" --preset small-cpu --data "$corpus" --tokenizer "$tokenizer" "${@:2}"; }
measure() {
  "$python" -m coda_model eval repo "$corpus" --holes "$holes" --nll-rows 0 --typist-rows 0 --threads 1 "$@"
}
fixed=(model.max_positions=512 stage.minutes=0 optimizer.schedule_by=steps stage.length=256 stage.batch_size=16)
nothing=(noise.prefix=0 noise.suffix=0 noise.block=0)
table3=('noise.prefix=[0.01,0.05,0.10,0.15,0.20]' 'noise.suffix=[0.01,0.05,0.10,0.15,0.20]' 'noise.block=[0.05,0.10,0.15,0.20,0.25]')

midtrain() { # NAME, masking
  train midtrain --init "$base" --out "$out/$1/midtrain" "${fixed[@]}" stage.steps="$steps" noise.schedule=table "${@:2}"
}
infill() { # NAME, the mid-training to go on from, settings of the infilling rows
  train sft --init "$out/$2/midtrain" --out "$out/$1/sft" "${fixed[@]}" stage.steps=$((steps / 2)) "${@:3}"
  "$python" -m coda_train export "$out/$1/sft" --out "$out/$1/model" --overwrite
}

midtrain curriculum "${table3[@]}"
midtrain random "${nothing[@]}"
infill curriculum curriculum
infill random random
infill no-edits curriculum infill.no_delete=1.0 infill.expand=0.0 infill.holes.empty=0
"$python" - "$out/no-edits/model/config.json" <<'PYTHON'
import json, sys
path = sys.argv[1]
config = json.load(open(path))
json.dump(config | {"expand_token_id": None, "delete_token_id": None}, open(path, "w"), indent=2)
PYTHON
for arm in curriculum random no-edits; do
  measure --model "$out/$arm/model" --out "$out/runs/$arm"
done
"$python" -m coda_model eval compare "$out/runs/random" "$out/runs/curriculum" --out "$out/curriculum.html"
"$python" -m coda_model eval compare "$out/runs/no-edits" "$out/runs/curriculum" --out "$out/edits.html"
