"""A folder of good files and of what can be wrong with them, by name, for the tests of bad input."""

import json
import os
import shutil
from pathlib import Path

import av
import bombs
import numpy as np
import pandas
import torch
from corpora import write_corpus
from PIL import Image
from study_reports import write_report
from tiny_model import random_frames, tiny_config, tiny_variables
from torch_files import make_config, official_state_dicts, random_variables, write_official

from motion_transformer_jax.data.builders import Preparation, prepare_dataset
from motion_transformer_jax.data.frame_records import FrameFormat
from motion_transformer_jax.data.video_writer import write_video
from motion_transformer_jax.reporting.study import write_study
from motion_transformer_jax.torch_io.pth import write_torch_file
from motion_transformer_jax.training.saved_config import save_config
from motion_transformer_jax.training.weights_folder import save_variables


class Trap:
    """Its pickle makes a file."""

    def __reduce__(self):
        return (os.system, ("touch sprung",))


def write_all(root: Path) -> Path:
    """Everything below a new folder; the tests run in it."""
    (root / "empty").mkdir()
    (root / "text").write_text("neither a number nor a picture\n")
    (root / "nothing").touch()
    (root / "loop").symlink_to("loop")
    _write_media(root)
    _write_runs(root)
    _write_workdirs(root)
    _write_datasets(root)
    _write_weights(root)
    _write_reports(root)
    _write_pickles(root)
    _write_configs(root)
    return root


def _write_media(root: Path) -> None:
    Image.fromarray(random_frames(1, 44, 60)[0]).save(root / "source.png")
    whole = (root / "source.png").read_bytes()
    (root / "cut.png").write_bytes(whole[: len(whole) // 2])
    (root / "bomb.png").write_bytes(bombs.png())
    (root / "vector.png").write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n")
    write_video(root / "driving.mp4", random_frames(6, 48, 64), fps=12.5)
    whole = (root / "driving.mp4").read_bytes()
    (root / "cut.mp4").write_bytes(whole[:60])
    (root / "bomb.gif").write_bytes(bombs.gif())
    (root / "play.mp4").write_text("#EXTM3U\n#EXTINF:1\n/etc/passwd\n")
    with av.open(str(root / "sound.mp4"), "w") as file:
        stream = file.add_stream("aac", rate=16000)
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        sound.sample_rate, sound.pts = 16000, 0
        file.mux(stream.encode(sound))
        file.mux(stream.encode())
    os.mkfifo(root / "pipe.png")
    os.mkfifo(root / "pipe.mp4")
    (root / "frames").mkdir()
    for index, frame in enumerate(random_frames(3)):
        Image.fromarray(frame).save(root / "frames" / f"{index}.png")
    (root / "numbered").mkdir()
    Image.fromarray(random_frames(1)[0]).save(root / "numbered" / "000000.png")


def _write_runs(root: Path) -> None:
    save_variables(root / "run", tiny_config(), tiny_variables())
    for name in ("other", "damaged", "gone", "unparsed", "listed", "unknown", "typed", "ranged"):
        shutil.copytree(root / "run", root / name)
    config = tiny_config()
    config.model.num_keypoints += 1
    save_config(root / "other", config)
    for file in (root / "damaged" / "checkpoints" / "0" / "state").rglob("*"):
        if file.is_file():
            file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    shutil.rmtree(root / "gone" / "checkpoints" / "0" / "state")
    content = json.loads((root / "run" / "config.json").read_text())
    (root / "unparsed" / "config.json").write_text('{"seed": ')
    (root / "listed" / "config.json").write_text("[1, 2]")
    (root / "unknown" / "config.json").write_text(json.dumps(content | {"more": 1}))
    (root / "typed" / "config.json").write_text(json.dumps(content | {"seed": "x"}))
    (root / "ranged" / "config.json").write_text(json.dumps(content | {"dtype": "float8"}))
    (root / "half" / "checkpoints" / "1.orbax-checkpoint-tmp").mkdir(parents=True)
    save_config(root / "half", tiny_config())
    (root / "weightless").mkdir()
    save_config(root / "weightless", tiny_config())
    config = tiny_config()
    config.model.image_size = 64
    save_variables(root / "large", config, tiny_variables())


def _write_workdirs(root: Path) -> None:
    (root / "odd-metrics" / "metrics.jsonl").mkdir(parents=True)
    (root / "odd-checkpoints").mkdir()
    (root / "odd-checkpoints" / "checkpoints").touch()
    config = tiny_config()
    frames = np.zeros((2, config.model.image_size, config.model.image_size, 3), np.uint8)
    for name, batch in {"dump": {"source": frames, "driving": frames}, "frameless": {"source": frames}}.items():
        (root / name).mkdir()
        save_config(root / name, config)
        np.savez(root / name / "batch.npz", **batch)


def _write_datasets(root: Path) -> None:
    corpus = write_corpus(root / "corpus")
    (root / "half-corpus" / "train").mkdir(parents=True)
    write_corpus(root / "one-split", test=0)
    folder = prepare_dataset("folder", root / "data", Preparation(source=corpus, frame_format=FrameFormat(8)))
    for name in ("data-cut", "data-lacking", "data-text", "data-outside", "data-old"):
        shutil.copytree(folder, root / name)
    shard = next((root / "data-cut").glob("*-train.*"))
    shard.write_bytes(shard.read_bytes()[:-100])
    next((root / "data-lacking").glob("*-test.*")).unlink()
    (root / "data-text" / "dataset_info.json").write_text("{")
    metadata = json.loads((folder / "metadata.json").read_text())
    metadata["videos"]["test"][0]["name"] = "../../thesis"
    (root / "data-outside" / "metadata.json").write_text(json.dumps(metadata))
    info = json.loads((folder / "dataset_info.json").read_text())
    (root / "data-old" / "dataset_info.json").write_text(json.dumps(info | {"version": "0.1.0"}))
    (root / "data-unfinished" / "motion_videos" / "folder" / "1.0.0.shards").mkdir(parents=True)
    lists = {
        "up": "../other/0.png", "absolute": "/etc/passwd", "deep": "a/b/c.png", "blank": "\n\n",
        "lfs": "version https://git-lfs.github.com/spec/v1",
    }  # fmt: skip
    for name, text in lists.items():
        (root / f"{name}.txt").write_text(text + "\n")
    tables = {"columns": "a,b\n1,2", "pairless": "source,driving", "stranger": "source,driving\n../x,other0#0"}
    for name, text in tables.items():
        (root / f"{name}.csv").write_text(text + "\n")


def _write_weights(root: Path) -> None:
    write_official(root / "fomm.pth.tar", make_config("fomm"))
    whole = (root / "fomm.pth.tar").read_bytes()
    (root / "cut.pth").write_bytes(whole[:-1000])
    (root / "cut.safetensors").write_bytes(b"\xff" * 100)
    torch.save({"generator": {"a": Trap()}}, root / "trap.pth")
    torch.save({"features.0.weight": torch.zeros(64, 3, 3, 3)}, root / "vgg.pth")
    torch.save([1, 2], root / "list.pth")
    torch.save({"generator": {"a": torch.zeros(1).expand(10**12)}}, root / "claims.pth")
    state_dicts = official_state_dicts(make_config("fomm"))
    state_dicts["generator"]["final.bias"] = np.zeros(7, np.float32)
    write_torch_file(root / "wrong.pth", state_dicts, {})
    save_variables(root / "mtia", make_config("mtia"), random_variables(make_config("mtia")))


def _write_reports(root: Path) -> None:
    write_report(root / "report", videos=1)
    write_report(root / "elsewhere", videos=1, dataset="other")
    write_report(root / "alone", systems=["mraa"], videos=1)
    for name in ("text-report", "old-report", "evil-report", "clipless", "cut-report"):
        shutil.copytree(root / "report", root / name)
    content = json.loads((root / "report" / "metrics.json").read_text())
    (root / "text-report" / "metrics.json").write_text("{")
    (root / "old-report" / "metrics.json").write_text(json.dumps(content | {"format": 0}))
    for name, clip in (("evil-report", "../../etc/passwd"), ("clipless", None)):
        for video in (video for system in content["systems"] for video in system["videos"]):
            video["clip"] = clip
        (root / name / "metrics.json").write_text(json.dumps(content))
    (root / "cut-report" / "0" / "videos" / "v0.mp4").write_bytes(b"")
    key = write_study([root / "report"], root / "study.html", questions=3)
    answers = [{"question": question.id, "choice": "left"} for question in key.questions]
    good = {"format": 1, "study": key.study, "participant": "p", "answers": answers}
    changes = {
        "answers": {}, "foreign": {"study": "x"}, "sideways": {"answers": [{**answers[0], "choice": "up"}]},
        "twice": {"answers": [*answers, answers[0]]}, "invented": {"answers": [{**answers[0], "question": "x"}]},
        "silent": {"answers": []},
    }  # fmt: skip
    for name, change in changes.items():
        (root / f"{name}.json").write_text(json.dumps(good | change))
    (root / "deep.json").write_text("[" * 100_000)


def _write_pickles(root: Path) -> None:
    def write(name, values, videos=("a.mp4", "a.mp4")):
        columns = {
            "file_name": videos,
            "frame_number": range(len(videos)),
            "value": pandas.Series(values, dtype=object),
        }
        pandas.DataFrame(columns).to_pickle(root / f"{name}.pkl")

    points = np.ones((4, 2), np.float32)
    write("points", [points, points])
    write("strangers", [points, points], ("b.mp4", "b.mp4"))
    write("single", [points], ("a.mp4",))
    write("vectors", [np.ones(8, np.float32)] * 2)
    write("void", [None, None])
    pandas.DataFrame({"x": [1]}).to_pickle(root / "table.pkl")
    pandas.to_pickle({"value": Trap()}, root / "trap.pkl")


def _write_configs(root: Path) -> None:
    start = (
        "from motion_transformer_jax.configs import base\ndef get_config(variant):\n    config = base.get_config()\n"
    )
    codes = {
        "syntax": "def (", "raises": "1 / 0", "lone": "x = 1", "number": "def get_config(variant):\n    return 3",
        "field": start + "    config.train.batchsize = 3\n    return config",
        "kind": start + "    config.train.batch_size = 'x'\n    return config",
        "range": start + "    config.model.num_keypoints = 0\n    return config",
    }  # fmt: skip
    for name, text in codes.items():
        (root / f"{name}.py").write_text(text + "\n")
