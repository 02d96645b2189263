#!/bin/sh
# Train a stage on a slice of Cloud TPUs: the same command on each of its hosts, which find each other by themselves.
#
#   docs/launch/tpu-pod.sh SLICE ZONE pretrain --preset paper --init hub:Qwen/Qwen3-1.7B --data /shared/corpus --out /shared/pre
#
# SLICE exists already (512 chips here, the paper's v4-1024, for a v4 slice is named after its cores):
#
#   gcloud compute tpus tpu-vm create SLICE --zone ZONE --accelerator-type v4-1024 --version tpu-ubuntu2204-base
#
# /shared is a file system that every host mounts (Filestore, or a bucket through gcsfuse). Before paying for a slice:
# coda-train plan --preset pretrain-paper --topology v4:8x8x8. The same command goes on after a preemption.
set -eu
slice=$1 zone=$2
shift 2
each_host() {
    gcloud compute tpus tpu-vm ssh "$slice" --zone "$zone" --worker all --command "$1"
}
each_host "python3 -m venv --upgrade-deps ~/coda && ~/coda/bin/pip install --quiet 'coda-lsp[train,tpu]'"
each_host "CODA_TRAIN_DISTRIBUTED=1 ~/coda/bin/coda-train $*"
