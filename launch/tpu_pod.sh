#!/usr/bin/env bash
# Trains on a Cloud TPU slice, all of its hosts. Needs gcloud, signed in.
#
#   NAME=mine ZONE=us-central2-b TYPE=v4-32 launch/tpu_pod.sh create      # the slice; SPOT=1: preemptible
#   NAME=mine ZONE=us-central2-b launch/tpu_pod.sh install                # this repository, on all hosts
#   NAME=mine ZONE=us-central2-b launch/tpu_pod.sh train --config configs/taichi256.py --workdir /mnt/shared/taichi
#   NAME=mine ZONE=us-central2-b launch/tpu_pod.sh tail                   # what host 0 prints; Ctrl-C leaves the run alone
#   NAME=mine ZONE=us-central2-b launch/tpu_pod.sh delete
#
# --workdir and the data must lie where all hosts see them. After a preemption: create, install and train again, with the
# same --workdir; the run goes on from its newest checkpoint. PROJECT and VERSION (of the image) may be set.
# DRY_RUN=1 prints the commands.
set -euo pipefail
cd "$(dirname "$0")/.."

fail() {
    echo "error: $*" >&2
    exit 2
}

call() {
    if [[ ${DRY_RUN:-} ]]; then
        printf '%q ' "$@"
        echo
    else
        "$@"
    fi
}

tpu() {
    local verb=$1
    shift
    call gcloud compute tpus tpu-vm "$verb" "$@" --zone "$ZONE" ${PROJECT:+--project "$PROJECT"}
}

[[ ${NAME:-} && ${ZONE:-} ]] || fail "NAME and ZONE are not both set; see the head of $0"
action=${1:-}
shift || true
case $action in
create)
    [[ ${TYPE:-} ]] || fail "TYPE is not set; expected an accelerator type such as v4-32"
    tpu create "$NAME" --accelerator-type "$TYPE" --version "${VERSION:-tpu-ubuntu2204-base}" ${SPOT:+--spot}
    ;;
install)
    archive=$(mktemp --suffix .tar.gz)
    trap 'rm -f "$archive"' EXIT
    git archive --output "$archive" HEAD
    tpu scp "$archive" "$NAME:motion_transformer_jax.tar.gz" --worker all
    # The image's Python may be too old; uv brings one.
    tpu ssh "$NAME" --worker all --command \
        "mkdir -p motion_transformer_jax && tar xzf motion_transformer_jax.tar.gz -C motion_transformer_jax \
&& pip install --user uv && cd motion_transformer_jax && ~/.local/bin/uv venv --python 3.12 .venv \
&& ~/.local/bin/uv pip install --python .venv/bin/python -e '.[tpu,torch]'"
    ;;
train)
    [[ $# -gt 0 ]] || fail "no options for train; expected --config FILE --workdir DIR and others"
    printf -v options '%q ' "$@"
    # The brackets keep pkill from finding its own shell.
    tpu ssh "$NAME" --worker all --command \
        "cd motion_transformer_jax && { pkill -f '[m]otion_transformer_jax.train' && sleep 60; \
nohup .venv/bin/python -m motion_transformer_jax.train --distributed $options > ~/train.log 2>&1 < /dev/null & }"
    ;;
tail) tpu ssh "$NAME" --worker 0 --command "tail -n 100 -F train.log" ;;
delete) tpu delete "$NAME" --quiet ;;
*) fail "the action is '$action'; expected create, install, train, tail or delete" ;;
esac
