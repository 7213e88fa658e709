"""Damaged files into every reader: a result that makes sense or a UserError, whatever the bytes, and little memory.

A short form of each campaign runs with the other tests, always the same; `make faults` runs the long one, each time
with other damage.
"""

import csv
import io
import json
import shutil
from pathlib import Path

import av
import bombs
import numpy as np
import pandas
import pytest
from corpora import write_corpus
from damage import campaign, changed, damaged
from hypothesis import strategies as st
from PIL import Image
from study_reports import write_report
from tiny_model import random_frames, tiny_config
from torch_files import make_config, official_state_dicts, shapes_of

from motion_transformer_jax.data.builders import Preparation, prepare_dataset
from motion_transformer_jax.data.corpus import read_list, read_pair_list
from motion_transformer_jax.data.frame_cache import find_entry, write_entry
from motion_transformer_jax.data.frame_records import FrameFormat
from motion_transformer_jax.data.image import image_size, read_image
from motion_transformer_jax.data.limits import MediaLimits, applied
from motion_transformer_jax.data.prepared_videos import PreparedVideos
from motion_transformer_jax.data.video import probe_video, read_frames
from motion_transformer_jax.data.video_writer import write_video
from motion_transformer_jax.detection.detection_cache import DetectionCache
from motion_transformer_jax.detection.detectors import Keypoints
from motion_transformer_jax.detection.pose_pickles import compare_pickles
from motion_transformer_jax.reporting.preferences import tally_answers
from motion_transformer_jax.reporting.results import read_results
from motion_transformer_jax.reporting.study import write_study
from motion_transformer_jax.torch_io.inspection import describe_torch_file
from motion_transformer_jax.torch_io.pth import write_torch_file
from motion_transformer_jax.torch_io.recognition import config_from, recognise
from motion_transformer_jax.torch_io.state_dict import variables_from_state_dicts
from motion_transformer_jax.training.compact_weights import WEIGHTS_FILE, load_compact, save_compact
from motion_transformer_jax.training.config_check import validate_config
from motion_transformer_jax.training.saved_config import load_config, save_config
from motion_transformer_jax.training.state import without_discriminator
from motion_transformer_jax.training.tree_check import check_tree

LIMITS = MediaLimits(max_pixels=10**6, max_frames=500, max_seconds=100, max_bytes=10**7)
pytestmark = pytest.mark.filterwarnings("ignore::hypothesis.errors.HypothesisWarning")  # of long examples
LONG = (pytest.mark.faults, pytest.mark.timeout(1800))
LENGTHS = pytest.mark.parametrize("examples", [pytest.param(25, id="short"), pytest.param(1000, id="long", marks=LONG)])


# Media


def image_bytes(suffix: str) -> bytes:
    picture = Image.fromarray(random_frames(1, 24, 20)[0])
    file = io.BytesIO()
    if suffix == "exif":
        exif = Image.Exif()
        exif[0x0112] = 6
        picture.save(file, "JPEG", exif=exif)
    elif suffix == "palette":
        picture.quantize(8).save(file, "PNG", transparency=b"\0\xff")
    elif suffix == "16 bits":
        Image.fromarray(np.arange(480, dtype=np.uint16).reshape(24, 20)).save(file, "PNG")
    elif suffix == "deflate":
        picture.save(file, "TIFF", compression="tiff_adobe_deflate")
    else:
        picture.save(file, suffix)
    return file.getvalue()


@LENGTHS
@pytest.mark.parametrize("kind", ["PNG", "palette", "16 bits", "JPEG", "exif", "BMP", "WEBP", "TIFF", "deflate", "PPM"])
def test_images(tmp_path, examples, kind):
    path = tmp_path / "x.png"

    def check(content):
        path.write_bytes(content)
        with applied(LIMITS):
            height, width = image_size(path)
            image = read_image(path)
        assert image.dtype == np.uint8 and image.ndim == 3 and image.shape[2] == 3
        assert image.shape[:2] == (height, width) and height * width <= LIMITS.max_pixels

    campaign(damaged(image_bytes(kind)), check, examples)


@LENGTHS
@pytest.mark.parametrize("suffix", ["mp4", "webm", "gif", "avi", "mov", "mkv", "flv", "ts", "mpg"])
def test_videos(tmp_path, examples, suffix):
    path = tmp_path / f"x.{suffix}"
    _encode(path)

    def check(content):
        path.write_bytes(content)
        with applied(LIMITS):
            info = probe_video(path)
            assert info.width * info.height <= LIMITS.max_pixels and 0 < info.fps < 1e6
            count = 0
            for frame in read_frames(path, size=(16, 16), fps=25, warn=lambda text: None):
                assert frame.shape == (16, 16, 3) and frame.dtype == np.uint8
                count += 1
        assert 1 <= count <= LIMITS.max_frames

    campaign(damaged(path.read_bytes()), check, examples)


def _encode(path: Path) -> None:
    frames = random_frames(5, 32, 48)
    if path.suffix in (".mp4", ".webm", ".gif"):
        write_video(path, frames, fps=10)
        return
    codecs = {".avi": "mjpeg", ".mov": "mpeg4", ".mkv": "libx264", ".flv": "flv", ".ts": "mpeg2video"}
    with av.open(str(path), "w") as file:
        stream = file.add_stream(codecs.get(path.suffix, "mpeg1video"), rate=25)
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = "yuvj420p" if path.suffix == ".avi" else "yuv420p"
        for frame in frames:
            file.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        file.mux(stream.encode())


@LENGTHS
@pytest.mark.parametrize("kind", ["png", "bmp", "ppm", "tiff", "jpeg", "webp"])
def test_bombs(tmp_path, examples, kind):
    """Claims of any size."""
    path = tmp_path / "x.png"

    def check(side):
        path.write_bytes(getattr(bombs, kind)(side))
        with applied(LIMITS):
            read_image(path)

    largest = {"jpeg": 2**16 - 1, "webp": 2**24}.get(kind, 2**31 - 1)
    campaign(st.integers(1, 5000) | st.integers(1, largest), check, examples)


# Texts

LIST = "id1#0.mp4/00000.png\nid1#0.mp4/00001.png\n\nid2#ä b\n".encode()
PAIRS = b'distance,source,driving\n1.5,"b, c",a\n2,a.mp4,b\n'


@LENGTHS
def test_lists(tmp_path, examples):
    path = tmp_path / "list.txt"

    def check(content):
        path.write_bytes(content)
        for video, frames in read_list(path).items():
            for name in (video, *(frames or ())):
                assert name and "/" not in name and name not in (".", "..")
                (tmp_path / name).exists()  # a name that the system takes

    campaign(damaged(LIST) | st.binary(max_size=60) | st.text(max_size=60).map(_encoded), check, examples)


@LENGTHS
def test_pair_tables(tmp_path, examples):
    path, names = tmp_path / "pairs.csv", ["a.mp4", "b.gif", "b, c.mp4"]

    def check(content):
        path.write_bytes(content)
        pairs = read_pair_list(path, names)
        assert pairs and {name for pair in pairs for name in pair} <= set(names)

    cells = st.text(max_size=5) | st.sampled_from(["source", "driving", *names])
    rows = st.lists(st.lists(cells, max_size=4), max_size=4)
    campaign(damaged(PAIRS) | st.binary(max_size=60) | rows.map(_as_csv), check, examples)


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _as_csv(rows: list[list[str]]) -> bytes:
    file = io.StringIO()
    csv.writer(file).writerows(rows)
    return _encoded(file.getvalue())


@LENGTHS
def test_config_files(tmp_path, examples):
    save_config(tmp_path, tiny_config())
    path = tmp_path / "config.json"
    whole = path.read_bytes()

    def check(content):
        path.write_bytes(content if isinstance(content, bytes) else _encoded(content))
        validate_config(load_config(tmp_path), need_data=False)

    campaign(damaged(whole) | changed(json.loads(whole)), check, examples)


@LENGTHS
@pytest.mark.parametrize("name", ["study_key.json", "answers.json", "report/metrics.json"])
def test_reports_and_studies(tmp_path, examples, name):
    report = write_report(tmp_path / "report", videos=1)
    key = write_study([report], tmp_path / "study.html", questions=3)
    answers = [{"question": question.id, "choice": "left"} for question in key.questions]
    content = {"format": 1, "study": key.study, "participant": "p", "answers": answers}
    (tmp_path / "answers.json").write_text(json.dumps(content))
    whole = (tmp_path / name).read_bytes()

    def check(content):
        (tmp_path / name).write_bytes(content if isinstance(content, bytes) else _encoded(content))
        if name == "report/metrics.json":
            read_results(report)
            write_study([report], tmp_path / "study.html", questions=1)
        else:
            preferences = tally_answers(tmp_path / "study_key.json", [tmp_path / "answers.json"])
            assert all(0 <= preference.share <= 1 for preference in preferences)

    campaign(damaged(whole) | changed(json.loads(whole)), check, examples)


# Weights


@LENGTHS
@pytest.mark.parametrize("suffix", [".pth", ".pth.tar", ".safetensors"])
def test_weight_files(tmp_path, examples, suffix):
    path = tmp_path / f"x{suffix}"
    tensors = {"first.conv.weight": np.arange(6, dtype=np.float32).reshape(2, 3), "count": np.zeros((), np.int64)}
    write_torch_file(path, {"generator": tensors, "bg_predictor": {}}, {"epoch": 3, "note": "text"})

    def check(content):
        path.write_bytes(content)
        lines = describe_torch_file(path)
        assert all(line.isprintable() for line in lines)

    campaign(damaged(path.read_bytes()), check, examples)


@LENGTHS
def test_compact_weights(tmp_path, examples):
    variables = {"params": {"layer": {"kernel": np.ones((2, 3), np.float32)}}, "batch_stats": {}}
    save_compact(tmp_path / "run", tiny_config(), variables)
    path = tmp_path / "run" / WEIGHTS_FILE

    def check(content):
        path.write_bytes(content)
        found = without_discriminator(load_compact(tmp_path / "run"))
        check_tree(path, found, variables)

    campaign(damaged(path.read_bytes()), check, examples)


@LENGTHS
def test_state_dict_names(examples):
    """Official keys that are missing, misspelt or misshapen."""
    config = make_config("mtia_background")
    whole = official_state_dicts(config)
    template = shapes_of(config)
    names = [(module, key) for module, tensors in whole.items() for key in tensors]
    shapes = st.lists(st.integers(0, 5), max_size=5).map(tuple)
    odd_names = st.tuples(st.sampled_from([*whole, "discriminator", "avd_network", ""]), st.text(max_size=12))
    edits = st.lists(st.tuples(st.sampled_from(names) | odd_names, st.none() | shapes), min_size=1, max_size=4)

    def check(edits):
        state_dicts = {module: dict(tensors) for module, tensors in whole.items()}
        for (module, key), shape in edits:
            tensors = state_dicts.setdefault(module, {})
            if shape is None:
                tensors.pop(key, None)
            else:
                tensors[key] = np.zeros(shape, np.float32)
        fields = recognise(state_dicts)
        validate_config(config_from(fields, "x"), need_data=False)
        variables_from_state_dicts(state_dicts, template)

    campaign(edits, check, examples)


@LENGTHS
@pytest.mark.parametrize("protocol", [2, 4])
def test_pickles(tmp_path, examples, protocol):
    points = np.arange(8, dtype=np.float32).reshape(4, 2)
    values = pandas.Series([points, None, points + 1], dtype=object)
    table = pandas.DataFrame({"file_name": ["a.mp4", "a.mp4", "b.mp4"], "frame_number": [0, 1, 0], "value": values})
    table.to_pickle(tmp_path / "truth.pkl", protocol=protocol)

    def check(content):
        (tmp_path / "found.pkl").write_bytes(content)
        for figure in compare_pickles(tmp_path / "truth.pkl", tmp_path / "found.pkl").values():
            assert figure.count >= 1

    campaign(damaged((tmp_path / "truth.pkl").read_bytes()), check, examples)


# Datasets and caches


@LENGTHS
@pytest.mark.parametrize("name", ["metadata.json", "dataset_info.json", "features.json", "records"])
def test_prepared_datasets(tmp_path, examples, name):
    source = write_corpus(tmp_path / "source", train=1, test=1)
    whole = prepare_dataset("folder", tmp_path / "out", Preparation(source=source, frame_format=FrameFormat(8)))
    folder = Path(shutil.copytree(whole, tmp_path / "copy"))
    path = next(folder.glob("*-train.*")) if name == "records" else folder / name
    content = path.read_bytes()

    def check(content):
        path.write_bytes(content if isinstance(content, bytes) else _encoded(content))
        videos = PreparedVideos(folder, split="train")
        for index in range(min(len(videos.names), 3)):
            frame = videos.frame(index, videos.num_frames(index) - 1)
            assert frame.shape == (videos.size, videos.size, 3)

    if name == "records":  # of the same length, which is looked at first
        flips = st.lists(st.tuples(st.integers(0, 2000), st.integers(1, 255)), min_size=1, max_size=3)
        strategy = flips.map(lambda flips: _flipped(content, flips))
    else:
        strategy = damaged(content) | changed(json.loads(content))
    campaign(strategy, check, examples)


def _flipped(content: bytes, flips: list[tuple[int, int]]) -> bytes:
    content = bytearray(content)
    for at, change in flips:
        content[at] ^= change
    return bytes(content)


@LENGTHS
def test_cached_frames(tmp_path, examples):
    video = tmp_path / "video.mp4"
    video.touch()
    entry = write_entry(video, random_frames(3, 8, 8), tmp_path, 8)

    def check(content):
        entry.path.write_bytes(content)
        found = find_entry(video, [tmp_path], 8)
        if found is not None and found.num_frames:
            assert found.frame(found.num_frames - 1).shape == (8, 8, 3)

    campaign(damaged(entry.path.read_bytes()), check, examples)


@LENGTHS
def test_cached_detections(tmp_path, monkeypatch, examples):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    found = Keypoints(np.ones((2, 3, 2), np.float32), np.ones((2, 3), bool))

    class Detector:
        name = "fixed"

        def detect(self, frames):
            return found

    cache, frames = DetectionCache(), random_frames(2, 8, 8)
    cache.detect(Detector(), "video", frames)
    (path,) = cache.folder.iterdir()
    whole = path.read_bytes()

    def check(content):
        path.write_bytes(content)
        assert cache.detect(Detector(), "video", frames).points.shape == (2, 3, 2)

    campaign(damaged(whole), check, examples)
