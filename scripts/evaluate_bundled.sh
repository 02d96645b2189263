#!/usr/bin/env bash
# The quality report of a model in docs/evaluation.md: every run it needs, and the tables as Markdown at the end.
#
#   scripts/evaluate_bundled.sh DATA CORPUS OUT [MODEL] [THREADS]
#
# DATA holds single-line.jsonl.gz, multi-line.jsonl.gz and random-span.jsonl.gz, CORPUS the held_out-*.parquet of
# `coda-train data`. Every run goes on where it was stopped: give the same command again. The most telling runs come first.
set -euo pipefail
data=${1:?the folder of benchmark rows is missing}
corpus=${2:?the corpus is missing}
out=${3:?the folder for the runs is missing}
model=${4:-bundled}
threads=${5:-1}
export OMP_WAIT_POLICY=PASSIVE
measure() { coda-model eval "$@" --model "$model" --threads "$threads"; }
infilling=humaneval-infilling

measure $infilling-single-line --data "$data/single-line.jsonl.gz" --out "$out/single-line"
measure repo "$corpus" --holes 300 --nll-rows 40 --typist-rows 100 --out "$out/held-out"
measure $infilling-single-line --data "$data/single-line.jsonl.gz" --lookups 0 --out "$out/single-line-alone"
measure repo "$corpus" --holes 300 --nll-draws 0 --typist-rows 0 --lookups 0 --out "$out/held-out-alone"
measure $infilling-random-span --data "$data/random-span.jsonl.gz" --limit 200 --out "$out/random-span"
measure $infilling-multi-line --data "$data/multi-line.jsonl.gz" --limit 200 --out "$out/multi-line"
for sweep in "steps 4,8,16,32,64" "algorithm entropy,origin" "refresh 1,0"; do
  read -r axis values <<<"$sweep"
  measure sweep $infilling-single-line --data "$data/single-line.jsonl.gz" --limit 100 "--$axis" "$values" --out "$out/$axis"
done
for pair in "single-line-alone single-line" "held-out-alone held-out" "algorithm/algorithm-entropy algorithm/algorithm-origin" "refresh/refresh-1 refresh/refresh-0"; do
  read -r one other <<<"$pair"
  coda-model eval compare "$out/$one" "$out/$other"
done
coda-model eval table "$out/single-line" "$out/held-out" "$out/single-line-alone" "$out/held-out-alone" "$out/random-span" "$out/multi-line"
