#!/usr/bin/env bash
# One training run as N processes with D simulated CPU devices each, on this machine over loopback.
#
#   launch/local_pod.sh N D --config configs/demo.py --workdir runs/pod [--config.FIELD=VALUE ...]
#
# PORT and PYTHON may be set; DRY_RUN=1 prints the commands. On SIGTERM and Ctrl-C the processes save and end, and the script
# with them. When one fails, all are ended.
set -euo pipefail

if [[ $# -lt 2 || ! $1 =~ ^[1-9][0-9]*$ || ! $2 =~ ^[1-9][0-9]*$ ]]; then
    echo "error: expected the numbers of processes and of devices, then train's options; see the head of $0" >&2
    exit 2
fi
processes=$1 devices=$2
shift 2
port=${PORT:-$((20000 + RANDOM % 20000))}
export JAX_PLATFORMS=cpu XLA_FLAGS="${XLA_FLAGS:-} --xla_force_host_platform_device_count=$devices"

started=()
signal_all() { kill "-$1" "${started[@]}" 2>/dev/null; }
trap 'signal_all TERM || true' TERM INT
for ((i = 0; i < processes; i++)); do
    command=("${PYTHON:-python}" -m motion_transformer_jax.train "$@"
        --coordinator "127.0.0.1:$port" --num-processes "$processes" --process-id "$i")
    if [[ ${DRY_RUN:-} ]]; then
        echo "XLA_FLAGS=--xla_force_host_platform_device_count=$devices ${command[*]}"
    else
        "${command[@]}" &
        started+=($!)
    fi
done

left=${#started[@]} result=0
while ((left && !result)); do
    wait -n -p ended || result=$?
    if [[ ${ended:-} ]]; then
        left=$((left - 1))
    else
        result=0 # not theirs: a signal came and was passed on
    fi
done
if ((result)); then
    signal_all TERM || true
    for ((i = 0; i < 200; i++)); do # one that waits for the failed one cannot save
        signal_all 0 || break
        sleep 0.1
    done
    signal_all KILL || true
fi
exit "$result"
