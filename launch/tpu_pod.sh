#!/usr/bin/env bash
# Trains on a Cloud TPU slice, all of its hosts. Needs gcloud, signed in.
#
#   export NAME=mine ZONE=us-central2-b TYPE=v4-32
#   launch/tpu_pod.sh run --config configs/taichi256.py --workdir /mnt/shared/taichi    # all below, until it is finished
#
#   launch/tpu_pod.sh create     # the slice; one that is there is used, one that was preempted is replaced
#   launch/tpu_pod.sh install    # what is committed of this repository, on all hosts
#   launch/tpu_pod.sh train --config configs/taichi256.py --workdir /mnt/shared/taichi
#   launch/tpu_pod.sh tail       # what host 0 prints; Ctrl-C leaves the run alone
#   launch/tpu_pod.sh stop       # saves and ends; train or run goes on
#   launch/tpu_pod.sh delete
#
# --workdir and the data must be in folders that all hosts see; gs:// is not read. Optional: SPOT=1 (preemptible), QUEUED=1
# (wait in the queue for capacity), PROJECT, VERSION (of the image), SETUP (a command that install runs first on each host,
# such as mounting the shared folder), POLL (seconds between two looks). DRY_RUN=1 prints the commands.
set -euo pipefail
cd "$(dirname "$0")/.."

fail() {
    echo "error: $*" >&2
    exit 2
}

say() { echo "$(date +%T) $*" >&2; }

call() {
    if [[ ${DRY_RUN:-} ]]; then
        printf '%q ' "$@"
        echo
    else
        "$@"
    fi
}

gcloud_tpus() {
    local kind=$1 verb=$2
    shift 2
    call gcloud compute tpus "$kind" "$verb" "$@" --zone "$ZONE" ${PROJECT:+--project "$PROJECT"}
}

on_hosts() { # WORKERS COMMAND
    # A host that is gone must not hold us up.
    gcloud_tpus tpu-vm ssh "$NAME" --worker "$1" --command "$2" \
        --ssh-flag=-oConnectTimeout=30 --ssh-flag=-oServerAliveInterval=30
}

# Prints the state of the slice, or of its place in the queue; ABSENT where there is none.
slice_state() {
    local field=state
    [[ $kind == tpu-vm ]] || field=state.state
    if [[ ${DRY_RUN:-} ]]; then
        gcloud_tpus "$kind" describe "$NAME" --format "value($field)" >&3
        echo ABSENT
    elif gcloud_tpus "$kind" describe "$NAME" --format "value($field)" 2>"$scratch/stderr"; then
        return
    elif grep -q NOT_FOUND "$scratch/stderr"; then
        echo ABSENT
    else
        cat "$scratch/stderr" >&2
        return 1
    fi
}

create_slice() {
    local options=(--accelerator-type "$TYPE" ${SPOT:+--spot}) version=${VERSION:-tpu-ubuntu2204-base}
    if [[ $kind == tpu-vm ]]; then
        gcloud_tpus tpu-vm create "$NAME" "${options[@]}" --version "$version"
    else
        gcloud_tpus queued-resources create "$NAME" --node-id "$NAME" "${options[@]}" --runtime-version "$version"
    fi
}

delete_slice() {
    local force=()
    [[ $kind == tpu-vm ]] || force=(--force) # with its slice
    gcloud_tpus "$kind" delete "$NAME" "${force[@]}" --quiet
}

# Leaves a slice that is ready.
ensure_slice() {
    local state failures=0
    while true; do
        state=$(slice_state) || return 1
        case $state in
        READY | ACTIVE)
            say "$NAME is $state"
            return
            ;;
        ABSENT) create_slice || return 1 ;;
        PREEMPTED | TERMINATED | SUSPENDED | FAILED)
            if [[ $state == FAILED ]] && ((++failures == 3)); then # no luck but a quota, say, or a type that is not here
                gcloud_tpus "$kind" describe "$NAME" >&2
                fail "$NAME FAILED $failures times in a row, see above; delete it, mend that, and start again"
            fi
            say "$NAME is $state: replacing it"
            delete_slice || return 1
            continue
            ;;
        STOPPED) fail "$NAME is stopped; start it, or delete it" ;;
        *) say "$NAME is $state" ;;
        esac
        [[ ! ${DRY_RUN:-} ]] || return 0
        [[ $state == ABSENT && $kind == tpu-vm ]] || sleep "$poll"
    done
}

install() {
    local archive=$scratch/motion_transformer_jax.tar.gz
    call git archive --output "$archive" HEAD
    gcloud_tpus tpu-vm scp "$archive" "$NAME:motion_transformer_jax.tar.gz" --worker all || return 1
    # The image's Python may be too old; uv brings one.
    on_hosts all "{ ${SETUP:-true}; } && mkdir -p motion_transformer_jax && cd motion_transformer_jax \
&& tar xzf ../motion_transformer_jax.tar.gz && pip install --user uv \
&& { [ -d .venv ] || ~/.local/bin/uv venv --python 3.12 .venv; } \
&& ~/.local/bin/uv pip install --python .venv/bin/python -e '.[tpu,torch]'"
}

# On a host: whether the training runs, and how it is saved and ended.
readonly RUNNING='pgrep -F ~/train.pid -f motion_transformer_jax.train > /dev/null 2>&1'
readonly STOP="for i in \$(seq 100); do $RUNNING || break; [ \$i != 1 ] || kill \$(cat ~/train.pid); sleep 3; done; \
if $RUNNING; then kill -KILL \$(cat ~/train.pid); fi; rm -f ~/train.pid ~/train.exit"

train() {
    local options
    printf -v options '%q ' "$@"
    # The outer shell stays to keep the exit status.
    on_hosts all "$STOP; cd motion_transformer_jax && date >> ~/train.log && \
{ nohup bash -c '\"\$@\" & echo \$! > ~/train.pid; wait \$!; echo \$? > ~/train.exit' train \
.venv/bin/python -m motion_transformer_jax.train --distributed $options >> ~/train.log 2>&1 < /dev/null & }"
}

# Prints how the training on host 0 is (running, its exit status, or gone), its last line, and its status.json.
look() {
    on_hosts 0 "cd motion_transformer_jax; $RUNNING && echo 'process running' \
|| echo \"process \$(cat ~/train.exit 2> /dev/null || echo gone)\"; echo \"log \$(tail -n 1 ~/train.log)\"; \
echo \"status \$(tr -d '\\n' < $(printf %q "$workdir/status.json"))\"" 2>"$scratch/ssh"
}

# Waits for the end of the training; sets `outcome`: finished, stopped, lost (the slice), failed, or hopeless.
follow() {
    local seen process log status state shown missed=0
    shown=
    while true; do
        sleep "$poll"
        seen=$(look) || seen=
        process=$(sed -n 's/^process //p' <<<"$seen") log=$(sed -n 's/^log //p' <<<"$seen")
        status=$(sed -n 's/^status .*"state": *"\([a-z]*\)".*/\1/p' <<<"$seen")
        [[ ! $log || $log == "$shown" ]] || say "$log"
        shown=$log outcome=
        case $process:$status in
        running:*) missed=0 ;;
        :*)
            say "no answer from host 0: $(tail -n 1 "$scratch/ssh")"
            ((++missed < 10)) || outcome=failed
            ;;
        0:finished | 0:stopped) outcome=$status ;;
        2:* | *:diverged) outcome=hopeless ;; # a mistake in the options, or NaN: not better next time
        *) outcome=failed ;;
        esac
        if [[ ! $outcome ]]; then
            state=$(slice_state) || continue
            [[ $state == READY || $state == ACTIVE ]] || outcome=lost
        fi
        if [[ $outcome ]]; then
            say "$outcome (training: ${process:-unknown}, slice: ${state:-not asked})"
            return
        fi
    done
}

give_up() { fail "gave up; \`$0 tail\` shows why, and $NAME is still there"; }

run() {
    local outcome started failures=0
    ensure_slice || fail "could not create $NAME"
    while true; do
        started=$SECONDS outcome=failed
        if install && train "$@"; then
            if [[ ${DRY_RUN:-} ]]; then
                look
                return
            fi
            follow
        fi
        [[ $outcome != finished ]] || return 0
        [[ $outcome != hopeless ]] || give_up
        sleep "$poll" # by then a slice that is being preempted is not READY any more
        ((SECONDS - started < 3600)) || failures=0
        if [[ $outcome == failed && $(slice_state) =~ ^(READY|ACTIVE)$ ]]; then
            ((++failures < 3)) || give_up
        fi
        until ensure_slice; do
            say "could not create $NAME; once more in $poll s"
            sleep "$poll"
        done
    done
}

[[ ${NAME:-} && ${ZONE:-} ]] || fail "NAME and ZONE are not both set; see the head of $0"
action=${1:-}
shift || true
poll=${POLL:-60} kind=tpu-vm workdir=
for flag in SPOT QUEUED DRY_RUN; do
    case ${!flag:-0} in
    0) unset "$flag" ;;
    1) ;;
    *) fail "$flag is '${!flag}'; expected 1 or 0" ;;
    esac
done
[[ ! ${QUEUED:-} ]] || kind=queued-resources
[[ ! ${DRY_RUN:-} ]] || exec 3>&1 # for what is printed inside of $(...)
case $action in
create | run) [[ ${TYPE:-} ]] || fail "TYPE is not set; expected an accelerator type such as v4-32" ;;
esac
case $action in
train | run)
    [[ $# -gt 0 ]] || fail "no options for train; expected --config FILE --workdir DIR and others"
    for ((i = 1; i <= $#; i++)); do
        case ${!i} in
        --workdir=*) workdir=${!i#*=} ;;
        --workdir) j=$((i + 1)) && workdir=${!j:-} ;;
        esac
    done
    [[ $workdir ]] || fail "no --workdir among the options for train"
    [[ $workdir != gs://* ]] || fail "--workdir is $workdir; expected a folder, of a shared disk that SETUP mounts"
    ;;
esac
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

case $action in
create) ensure_slice ;;
install) install ;;
train) train "$@" ;;
run) run "$@" ;;
tail) on_hosts 0 "tail -n 100 -F train.log" ;;
stop) on_hosts all "$STOP" ;;
delete) delete_slice ;;
*) fail "the action is '$action'; expected run, create, install, train, tail, stop or delete" ;;
esac
