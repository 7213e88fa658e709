"""launch/tpu_pod.sh on a stand-in for gcloud, which keeps one host in a folder and runs there what it is told."""

import shutil

import pytest

ODD = """it's "so" $HOME `x`; \\ *"""
FINISHED, STOPPED, DIVERGED = "status finished", "status stopped", "status diverged; exit 2"

# Its states are kept in $ROOT/states, one for each `describe`, the last of them for good.
GCLOUD = r"""
printf '%s\n' "$@" '' >> "$ROOT/calls"
new_host() {
    rm -rf "$ROOT/host"
    mkdir -p "$ROOT/host/.local/bin"
    cp "$ROOT/uv" "$ROOT/host/.local/bin/uv"
}
states() { printf '%s\n' "$@" > "$ROOT/states"; }
case "$3 $4" in
*" describe")
    state=$(head -n 1 "$ROOT/states")
    [[ $(wc -l < "$ROOT/states") == 1 ]] || sed -i 1d "$ROOT/states"
    case $state in
    ABSENT) echo "ERROR: (gcloud.compute.tpus.$3.describe) NOT_FOUND: Resource was not found." >&2; exit 1 ;;
    UNREACHABLE) echo "ERROR: gcloud crashed (TransportError)" >&2; exit 1 ;;
    esac
    echo "$state"
    ;;
"tpu-vm create") new_host; states READY ;;
"queued-resources create") new_host; states WAITING_FOR_RESOURCES PROVISIONING ACTIVE ;;
*" delete") rm -rf "$ROOT/host"; states ABSENT ;;
"tpu-vm scp") cp "$5" "$ROOT/host/${6#*:}" ;;
"tpu-vm ssh")
    [[ -d $ROOT/host ]] || exit 1
    while [[ $1 != --command ]]; do shift; done
    cd "$ROOT/host" && HOME=$ROOT/host exec bash -c "$2"
    ;;
esac
"""
# The host's Python: does what the next line of $ROOT/plan says.
PYTHON = r"""
printf '%s\n' "$@" '' >> "$ROOT/trained"
states() { printf '%s\n' "$@" > "$ROOT/states"; }
status() { echo "{\"state\": \"$1\", \"step\": 3, \"total_steps\": 9}" > "$ROOT/a b/status.json"; }
echo "step 3/9: loss 1"
plan=$(head -n 1 "$ROOT/plan")
sed -i 1d "$ROOT/plan"
eval "$plan"
"""


@pytest.fixture
def cloud(run, environment, stand_in, tmp_path):
    """Calls the script with that gcloud; returns what it did. `tmp_path/states` and `plan` say what is to happen."""
    stand_in(tmp_path / "bin" / "gcloud", GCLOUD)
    stand_in(tmp_path / "bin" / "pip", "true")
    python = stand_in(tmp_path / "python", PYTHON)
    stand_in(tmp_path / "uv", f"[[ $1 == pip ]] || {{ mkdir -p .venv/bin; cp {python} .venv/bin/python; }}")
    (tmp_path / "a b").mkdir()
    (tmp_path / "states").write_text("ABSENT\n")

    def call(*arguments, **values):
        given = {"NAME": "mine", "ZONE": "here", "TYPE": "v4-32", "POLL": "0.1", "ROOT": str(tmp_path)}
        return run("tpu_pod.sh", *arguments, **given | values)

    return call


@pytest.fixture
def calls(tmp_path):
    """The calls of gcloud so far, without their looks at the state: lists of arguments."""

    def read(describes=False):
        text = (tmp_path / "calls").read_text() if (tmp_path / "calls").exists() else ""
        made = [each.splitlines() for each in text.split("\n\n") if each]
        return [call for call in made if describes or call[3] != "describe"]

    return read


def verbs(made):
    return [f"{call[2]} {call[3]}" for call in made]


def options(tmp_path, *more):
    return ("--config", "configs/demo.py", "--workdir", f"{tmp_path}/a b", *more)


def plan(tmp_path, *lines):
    (tmp_path / "plan").write_text("".join(f"{line}\n" for line in lines))


def trained(tmp_path):
    return [each.splitlines() for each in (tmp_path / "trained").read_text().split("\n\n") if each]


def test_create_makes_a_preemptible_slice(cloud, calls):
    assert cloud("create", SPOT="1", PROJECT="ours", QUEUED="0").returncode == 0
    [call] = calls()
    expected = "create mine --accelerator-type v4-32 --spot --version tpu-ubuntu2204-base --zone here --project ours"
    assert call == ["compute", "tpus", "tpu-vm", *expected.split()]
    described = calls(describes=True)[0]
    assert described[3:] == ["describe", "mine", "--format", "value(state)", "--zone", "here", "--project", "ours"]


def test_create_waits_in_the_queue(cloud, calls):
    done = cloud("create", QUEUED="1", VERSION="new")
    assert done.returncode == 0
    [call] = calls()
    expected = "create mine --node-id mine --accelerator-type v4-32 --runtime-version new --zone here"
    assert call == ["compute", "tpus", "queued-resources", *expected.split()]
    assert "value(state.state)" in calls(describes=True)[0]
    assert [line.split()[-1] for line in done.stderr.splitlines()] == [
        "WAITING_FOR_RESOURCES",
        "PROVISIONING",
        "ACTIVE",
    ]


def test_create_uses_a_slice_that_is_there(cloud, calls, tmp_path):
    (tmp_path / "states").write_text("CREATING\nREADY\n")
    assert cloud("create").returncode == 0
    assert calls() == []


@pytest.mark.parametrize(
    ("state", "values", "expected"),
    [
        ("PREEMPTED", {}, ["tpu-vm delete", "tpu-vm create"]),
        ("TERMINATED", {}, ["tpu-vm delete", "tpu-vm create"]),
        ("SUSPENDED", {"QUEUED": "1"}, ["queued-resources delete", "queued-resources create"]),
        ("FAILED", {"QUEUED": "1"}, ["queued-resources delete", "queued-resources create"]),
    ],
)
def test_create_replaces_a_lost_slice(cloud, calls, tmp_path, state, values, expected):
    (tmp_path / "states").write_text(f"{state}\n")
    assert cloud("create", **values).returncode == 0
    assert verbs(calls()) == expected
    assert ("--force" in calls()[0]) == bool(values)


def test_create_does_not_take_trouble_for_absence(cloud, calls, tmp_path):
    (tmp_path / "states").write_text("UNREACHABLE\n")
    done = cloud("create")
    assert done.returncode == 1 and "TransportError" in done.stderr
    assert calls() == []


def test_install_copies_what_is_committed(cloud, calls, tmp_path):
    cloud("create")
    assert cloud("install", SETUP=f"echo mounted > {tmp_path}/setup; false || true").returncode == 0
    _, copy, install = calls()
    assert copy[3] == "scp" and copy[5] == "mine:motion_transformer_jax.tar.gz" and copy[6:8] == ["--worker", "all"]
    assert install[3:7] == ["ssh", "mine", "--worker", "all"]
    assert (tmp_path / "setup").read_text() == "mounted\n"
    assert (tmp_path / "host" / "motion_transformer_jax" / "setup.cfg").exists()


def test_a_setup_that_fails_ends_the_installation(cloud, tmp_path):
    cloud("create")
    assert cloud("install", SETUP="false").returncode == 1
    assert not (tmp_path / "host" / "motion_transformer_jax").exists()


def test_run_goes_on_after_a_preemption_until_it_is_finished(cloud, calls, tmp_path):
    plan(tmp_path, f"states PREEMPTED; {STOPPED}", FINISHED)
    done = cloud("run", *options(tmp_path, f"--config.name={ODD}"))
    assert done.returncode == 0, done.stderr
    life = ["tpu-vm create", "tpu-vm scp", "tpu-vm ssh", "tpu-vm ssh", "tpu-vm ssh"]
    assert [verb for verb in verbs(calls()) if verb != "tpu-vm ssh"] == [*life[:2], "tpu-vm delete", *life[:2]]
    expected = ["-m", "motion_transformer_jax.train", "--distributed", *options(tmp_path, f"--config.name={ODD}")]
    assert trained(tmp_path) == [expected, expected], "the options reach the host as they were given"
    assert "step 3/9: loss 1" in done.stderr


@pytest.mark.parametrize(
    ("values", "state", "delete"),
    [({}, "PREEMPTED", "tpu-vm delete"), ({"QUEUED": "1"}, "SUSPENDED", "queued-resources delete")],
)
def test_run_replaces_a_slice_that_went_without_a_word(cloud, calls, tmp_path, values, state, delete):
    plan(tmp_path, f"states {state}; sleep 20", FINISHED)
    assert cloud("run", *options(tmp_path), **values).returncode == 0
    assert verbs(calls()).count(delete) == 1 and len(trained(tmp_path)) == 2


def test_run_outlives_trouble_of_the_net(cloud, calls, tmp_path):
    plan(tmp_path, f"states UNREACHABLE UNREACHABLE UNREACHABLE READY; sleep 1; {FINISHED}")
    assert cloud("run", *options(tmp_path)).returncode == 0
    assert len(trained(tmp_path)) == 1, "the run was left alone"


def test_run_starts_anew_what_was_stopped_or_crashed(cloud, calls, tmp_path):
    plan(tmp_path, STOPPED, "exit 134", FINISHED)
    assert cloud("run", *options(tmp_path)).returncode == 0
    assert len(trained(tmp_path)) == 3 and verbs(calls()).count("tpu-vm create") == 1


@pytest.mark.parametrize(("line", "times"), [("exit 134", 3), ("exit 0", 3), ("exit 2", 1), (DIVERGED, 1)])
def test_run_gives_up(cloud, tmp_path, line, times):
    plan(tmp_path, *[line] * 5)
    done = cloud("run", *options(tmp_path))
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("error: gave up; ")
    assert len(trained(tmp_path)) == times


def test_run_gives_up_on_a_slice_that_fails_again_and_again(cloud, calls, stand_in, tmp_path):
    script = GCLOUD.replace("states WAITING_FOR_RESOURCES PROVISIONING ACTIVE", "states FAILED")
    stand_in(tmp_path / "bin" / "gcloud", script)
    done = cloud("run", *options(tmp_path), QUEUED="1")
    assert done.returncode == 2
    assert "error: mine FAILED 3 times in a row, see above" in done.stderr.splitlines()[-1]
    assert verbs(calls()).count("queued-resources create") == 3


def test_run_says_why_host_0_does_not_answer_and_gives_up(cloud, calls, stand_in, tmp_path):
    refusal = '[[ "$*" != *"--worker 0"* ]] || { echo "Permission denied (publickey)." >&2; exit 255; }\n'
    stand_in(tmp_path / "bin" / "gcloud", refusal + GCLOUD)
    plan(tmp_path, *["sleep 20"] * 5)
    done = cloud("run", *options(tmp_path))
    assert done.returncode == 2 and done.stderr.splitlines()[-1].startswith("error: gave up; ")
    assert done.stderr.count("no answer from host 0: Permission denied (publickey).") == 30


def test_run_gives_up_where_nothing_can_be_created(cloud, stand_in, tmp_path):
    (tmp_path / "states").write_text("UNREACHABLE\n")
    done = cloud("run", *options(tmp_path))
    assert done.returncode == 2 and done.stderr.splitlines()[-1] == "error: could not create mine"


@pytest.mark.skipif(shutil.which("pgrep") is None, reason="no pgrep")
def test_a_training_is_saved_before_the_next_and_by_stop(cloud, tmp_path):
    cloud("create")
    cloud("install")
    waits = f"trap 'echo saved >> {tmp_path}/saved; exit 0' TERM; for _ in {{1..600}}; do sleep 0.1; done"
    plan(tmp_path, waits, waits)
    saved = tmp_path / "saved"
    for count, action in enumerate((("train", *options(tmp_path)), ("train", *options(tmp_path)), ("stop",))):
        assert cloud(*action).returncode == 0
        assert (saved.read_text().count("saved") if saved.exists() else 0) == count
    assert (tmp_path / "host" / "train.log").exists() and not (tmp_path / "host" / "train.pid").exists()


def test_the_log_keeps_what_all_starts_printed(cloud, tmp_path):
    plan(tmp_path, "echo trace; exit 134", FINISHED)
    assert cloud("run", *options(tmp_path)).returncode == 0
    log = (tmp_path / "host" / "train.log").read_text()
    assert log.count("step 3/9: loss 1") == 2 and "trace" in log


def test_tail_and_delete(cloud, calls):
    cloud("create")
    assert r"--worker 0 --command tail\ -n\ 100\ -F\ train.log" in cloud("tail", DRY_RUN="1").stdout
    assert cloud("delete").returncode == 0
    assert cloud("delete", QUEUED="1").returncode == 0
    _, one, queued = calls()
    assert one[3:] == ["delete", "mine", "--quiet", "--zone", "here"]
    assert queued[2:] == ["queued-resources", "delete", "mine", "--force", "--quiet", "--zone", "here"]


def test_a_dry_run_calls_nothing(cloud, calls, tmp_path):
    done = cloud("run", *options(tmp_path), DRY_RUN="1", QUEUED="1")
    assert done.returncode == 0 and calls(describes=True) == []
    assert [" ".join(line.split()[3:5]) for line in done.stdout.splitlines() if line.startswith("gcloud")] == [
        "queued-resources describe",
        "queued-resources create",
        "tpu-vm scp",
        "tpu-vm ssh",
        "tpu-vm ssh",
        "tpu-vm ssh",
    ]
