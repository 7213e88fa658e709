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

started=() stopping=
signal_all() { kill "-$1" "${started[@]}" 2>/dev/null || true; }
trap 'stopping=1; signal_all TERM' TERM INT
for ((i = 0; i < processes; i++)); do
    command=("${PYTHON:-python}" -m motion_transformer_jax.train "$@"
        --coordinator "127.0.0.1:$port" --num-processes "$processes" --process-id "$i")
    if [[ ${DRY_RUN:-0} != 0 ]]; then
        printf '%q ' JAX_PLATFORMS=cpu "XLA_FLAGS=$XLA_FLAGS" "${command[@]}"
        echo
    else
        "${command[@]}" &
        started+=($!)
    fi
done

result=0 deadline=
while ((${#started[@]})); do # not `wait -n`, which passes over a process that ends at a bad moment
    sleep 0.2 || true
    running=()
    for process in "${started[@]}"; do
        status=0
        if kill -0 "$process" 2>/dev/null; then
            running+=("$process")
        else
            wait "$process" || status=$?
        fi
        ((!status || result)) || result=$status # of the first that failed
    done
    started=("${running[@]}")
    if ((result)) && [[ ! $stopping$deadline ]]; then
        signal_all TERM
        deadline=$((SECONDS + 20)) # one that waits for the failed one cannot save
    elif [[ $deadline ]] && ((SECONDS > deadline)); then
        signal_all KILL
    fi
done
exit "$result"
