"""A preference study: a page that shows two systems' results side by side, unnamed, and asks which is better.

Each question is one video, a square of four: source and driving video above, two results below. So nothing in the page
tells the systems apart, and all four run in step. Who stood where is in the key alone, a file beside the page.
"""

import base64
import hashlib
import itertools
import os
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import jinja2
import numpy as np

from motion_transformer_jax.atomic import atomic_path, system_errors
from motion_transformer_jax.data.video import probe_video, read_frames
from motion_transformer_jax.data.video_writer import write_video
from motion_transformer_jax.errors import UserError
from motion_transformer_jax.reporting.results import METRICS_FILE, Evaluation, read_results
from motion_transformer_jax.reporting.study_key import FORMAT, Question, StudyKey, key_text

# Between the pictures of a question; the page covers it with its own background.
GUTTER_PX = 8
_CLIP_PANELS = 4  # source | driving | result | error
_Clips = dict[str, dict[str, Path]]  # system -> video -> file


def write_study(
    reports: Sequence[str | os.PathLike], out: str | os.PathLike, *, questions: int = 20, seed: int = 0
) -> StudyKey:
    """Writes a study's page, one file that works from the disk, and its key beside it: `NAME_key.json`.

    Every two systems are compared equally often, and each stands equally often on either side. Videos, order and sides
    are random. Questions are shared out among the pairs; where there are fewer videos, all are asked.

    Args:
      reports: folders of reports on the same test set; together they have two systems or more, with clips.
      out: the page, which ends in .html.
      questions: how many at most.
      seed: of all that is random.

    Raises:
      UserError: a report that is missing, of another test set, or without clips; one system alone; a clip that is no
        clip of its report; or `out` cannot be written.
    """
    out = Path(out)
    if out.suffix.lower() != ".html":
        raise UserError(f"cannot write {out}: a study is an .html page; rename it")
    evaluations = [read_results(report) for report in reports]
    _require_one_test_set(reports, evaluations)
    clips = _find_clips(reports, evaluations)
    asked = _choose_questions(clips, questions, np.random.default_rng(seed))
    size = evaluations[0].image_size
    # First the files themselves: a folder that cannot be written to is told before the work.
    with atomic_path(key_path(out)) as temporary_key, atomic_path(out) as temporary_page:
        videos = [_encode_question(question, clips, size) for question in asked]
        key = StudyKey(_study_id(asked, videos, seed), seed, evaluations[0].dataset, list(clips), asked)
        with system_errors(out):
            temporary_page.write_text(_render_page(key, videos, size), "utf-8")
            temporary_key.write_text(key_text(key), "utf-8")
    return key


def key_path(out: Path) -> Path:
    """Where the key of a page lies."""
    return out.with_name(f"{out.stem}_key.json")


def _require_one_test_set(reports: Sequence[str | os.PathLike], evaluations: Sequence[Evaluation]) -> None:
    kinds = [f"{e.dataset} ({e.split}) at {e.image_size} pixels" for e in evaluations]
    for report, kind in zip(reports, kinds, strict=True):
        if kind != kinds[0]:
            raise UserError(f"{report} is on {kind} but {reports[0]} on {kinds[0]}; compare reports on one test set")


def _find_clips(reports: Sequence[str | os.PathLike], evaluations: Sequence[Evaluation]) -> _Clips:
    """The clips of each system; where reports share a system's name, it is told by the report's folder, too."""
    folders = [Path(report) for report in reports]
    if len({folder.resolve() for folder in folders}) < len(folders):
        raise UserError("a report was given twice; name each once")
    names = [system.name for evaluation in evaluations for system in evaluation.systems]
    clips: _Clips = {}
    for folder, evaluation in zip(folders, evaluations, strict=True):
        for system in evaluation.systems:
            name = system.name if names.count(system.name) == 1 else f"{folder.as_posix()}/{system.name}"
            clips[name] = {video.name: folder / video.clip for video in system.videos if video.clip is not None}
            if not clips[name]:
                raise UserError(f"{folder / METRICS_FILE} has no clips of {name}; evaluate it again")
    if len(clips) < 2:
        raise UserError(f"{reports[0]} has one system, {next(iter(clips))}; expected two or more, or another report")
    return clips


def _choose_questions(clips: _Clips, count: int, rng: np.random.Generator) -> list[Question]:
    """Up to `count` questions in random order: pairs of systems take turns, each with random videos and sides."""
    turns = []
    for pair in itertools.combinations(clips, 2):
        common = [video for video in clips[pair[0]] if video in clips[pair[1]]]
        if not common:
            raise UserError(f"{pair[0]} and {pair[1]} have no video in common; evaluate them on the same videos")
        mirrored = int(rng.integers(2))  # sides take turns; this says who begins
        order = enumerate(rng.permutation(len(common)), mirrored)
        turns.append([(common[video], *(pair[::-1] if i % 2 else pair)) for i, video in order])
    turns = [turns[i] for i in rng.permutation(len(turns))]
    rounds = itertools.chain.from_iterable(itertools.zip_longest(*turns))
    chosen = [question for question in rounds if question is not None][:count]
    return [Question(rng.bytes(6).hex(), *chosen[i]) for i in rng.permutation(len(chosen))]


def _study_id(questions: Sequence[Question], videos: Sequence[bytes], seed: int) -> str:
    digest = hashlib.sha256(f"{seed} {questions}".encode())
    for video in videos:
        digest.update(video)
    return digest.hexdigest()[:16]


def _encode_question(question: Question, clips: _Clips, size: int) -> bytes:
    """A question's video as mp4."""
    left, right = (clips[system][question.video] for system in (question.left, question.right))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "question.mp4"
        write_video(path, _lay_out(left, right, size), fps=probe_video(left).fps)
        return path.read_bytes()


def _lay_out(left: Path, right: Path, size: int) -> Iterator[np.ndarray]:
    """Frames of two clips as squares of four: source, driving; left result, right result."""
    side, second = 2 * size + GUTTER_PX, size + GUTTER_PX
    for one, other in itertools.zip_longest(read_frames(left), read_frames(right)):
        if one is None or other is None:
            raise UserError(f"{left} and {right} have different numbers of frames; evaluate again")
        for path, frame in ((left, one), (right, other)):
            if frame.shape[1] // _CLIP_PANELS != size or frame.shape[0] not in (size, size + 1):
                raise UserError(
                    f"{path} has {frame.shape[1]} by {frame.shape[0]} pixels, expected {_CLIP_PANELS * size} by {size} "
                    "(source, driving, result, error); evaluate again"
                )
        square = np.zeros((side, side, 3), np.uint8)
        square[:size, :size], square[:size, second:] = (_panel(one, i, size) for i in (0, 1))
        square[second:, :size], square[second:, second:] = (_panel(frame, 2, size) for frame in (one, other))
        yield square


def _panel(frame: np.ndarray, index: int, size: int) -> np.ndarray:
    return frame[:size, index * size : (index + 1) * size]


def _render_page(key: StudyKey, videos: Sequence[bytes], size: int) -> str:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("motion_transformer_jax.reporting"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    questions = [
        {"id": question.id, "video": base64.b64encode(video).decode()}
        for question, video in zip(key.questions, videos, strict=True)
    ]
    study = {"format": FORMAT, "study": key.study, "seed": key.seed, "questions": questions}
    return environment.get_template("study.html").render(study=study, size=size, gutter=GUTTER_PX)
