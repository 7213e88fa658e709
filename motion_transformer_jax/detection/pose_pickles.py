"""The pickles of FOMM's pose-evaluation, so that figures stay comparable with published ones.

`extract.py` of https://github.com/AliaksandrSiarohin/pose-evaluation pickles a pandas DataFrame with a row a frame:
`file_name`, `frame_number` from 0, and `value`: `[68, 2]` points in pixels, or None without a face; `[18, 2]` joints in
OpenPose's order, -1 where missing; or the vector of an identity.
"""

import dataclasses
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from motion_transformer_jax.atomic import atomic_path
from motion_transformer_jax.detection.detectors import Embeddings, Keypoints
from motion_transformer_jax.detection.frame_pickles import read_data_frame
from motion_transformer_jax.detection.keypoint_metrics import identity_distances, keypoint_distances
from motion_transformer_jax.errors import UserError, install_hint
from motion_transformer_jax.reporting.results import Figure

_COLUMNS = ("file_name", "frame_number", "value")
_PROTOCOL = 4  # that Python 3.6 and newer read
_MISSING = -1

# Nose, neck, right arm, left arm, right leg, left leg, eyes, ears: OpenPose's eighteen, by their places in COCO's
# seventeen; the neck is no joint of COCO's, and lies between the shoulders.
_NECK, _SHOULDERS = 1, (5, 6)
_OPENPOSE = (0, 5, 6, 8, 10, 5, 7, 9, 12, 14, 16, 11, 13, 15, 2, 1, 4, 3)


@dataclasses.dataclass(frozen=True)
class PoseRow:
    """A frame of a pickle.

    Attributes:
        file_name: of the video, with its ending.
        frame_number: from 0.
        value: points `[N, 2]`, missing ones -1, or a vector `[D]`; None where nothing was found.
    """

    file_name: str
    frame_number: int
    value: np.ndarray | None

    @property
    def video(self) -> str:
        """The file's name before its first dot, by which the scripts know a video."""
        return self.file_name.split(".")[0]


def read_pose_pickle(path: str | Path) -> list[PoseRow]:
    """The rows of a pickle by file name and frame number. Nothing in it is executed.

    Raises:
        UserError: there is no such file, it is damaged, asks for anything to be run, or holds another table.
    """
    columns = read_data_frame(path)
    if not set(_COLUMNS) <= set(columns):
        raise UserError(f"{path} has the columns {list(columns)}; expected {list(_COLUMNS)}")
    rows = [_row(path, *values) for values in zip(*(columns[name] for name in _COLUMNS), strict=True)]
    if not rows:
        raise UserError(f"{path} is a table without rows; expected a row for each frame")
    shapes = {row.value.shape for row in rows if row.value is not None}
    if len(shapes) > 1:
        raise UserError(f"{path} mixes values of shapes {sorted(shapes)}; expected one kind")
    return sorted(rows, key=lambda row: (row.video, row.file_name, row.frame_number))


def keypoints_by_video(rows: Iterable[PoseRow]) -> dict[str, Keypoints]:
    """The keypoints of `read_pose_pickle`'s rows: `PoseRow.video` -> its frames in order.

    Raises:
        UserError: the rows are identities, or no frame of any has points.
    """
    rows = list(rows)
    shape = _shape(rows)
    if len(shape) != 2:
        raise UserError("the pickle holds vectors; expected keypoints [N, 2]")
    points = {name: _stack(values, shape, _MISSING) for name, values in _by_video(rows).items()}
    visible = {name: values[..., 0] != _MISSING for name, values in points.items()}  # the scripts look at x alone
    return {name: Keypoints(values * visible[name][..., None], visible[name]) for name, values in points.items()}


def embeddings_by_video(rows: Iterable[PoseRow]) -> dict[str, Embeddings]:
    """The identities of `read_pose_pickle`'s rows: `PoseRow.video` -> its frames in order.

    Raises:
        UserError: the rows are keypoints, or no frame of any has a vector.
    """
    rows = list(rows)
    shape = _shape(rows)
    if len(shape) != 1:
        raise UserError("the pickle holds keypoints; expected vectors of identities")
    return {
        name: Embeddings(_stack(values, shape, 0), np.array([value is not None for value in values], bool))
        for name, values in _by_video(rows).items()
    }


def compare_pickles(truth: str | Path, found: str | Path) -> dict[str, Figure]:
    """What the scripts print for two pickles: `cmp_kp.py` and `cmp_with_missing.py`, or for identities `cmp.py`.

    Videos are matched by their names without endings, frames by their numbers.

    Args:
        truth: of the real videos.
        found: of the reconstructed ones.

    Returns:
        "akd" in pixels and "mkr" in [0, 1], or "aed", over all frames; left out where no frame has it.

    Raises:
        UserError: as `read_pose_pickle`, or the two do not match.
    """
    true_rows, found_rows = read_pose_pickle(truth), read_pose_pickle(found)
    _check_match(truth, true_rows, found, found_rows)
    if len(_shape(true_rows)) == 1:
        pairs = _pairs(embeddings_by_video(true_rows), embeddings_by_video(found_rows))
        values = {"aed": [identity_distances(*pair) for pair in pairs]}
    else:
        pairs = _pairs(keypoints_by_video(true_rows), keypoints_by_video(found_rows))
        distances, rates = zip(*(keypoint_distances(*pair) for pair in pairs), strict=True)
        values = {"akd": distances, "mkr": rates}
    joined = {name: np.concatenate(parts) for name, parts in values.items()}
    return {name: Figure(float(all_.mean()), len(all_), "frames") for name, all_ in joined.items() if len(all_)}


def write_keypoint_pickle(path: str | Path, videos: Mapping[str, Keypoints]) -> None:
    """Writes keypoints so that the scripts, with pandas 1.3 or newer, compare them as we do.

    Frames without a visible point of 68 become None, as `extract.py` writes faces; other missing points become -1, and
    COCO's 17 joints become OpenPose's 18, since `cmp_with_missing.py` counts 18.

    Args:
        path: of the pickle; ".pkl" by custom.
        videos: file name -> keypoints of its frames.

    Raises:
        UserError: pandas is not installed, or the file cannot be written.
    """
    rows = []
    for name, keypoints in videos.items():
        faces = keypoints.points.shape[1] == 68
        keypoints = openpose_keypoints(keypoints) if keypoints.points.shape[1] == 17 else keypoints
        points = np.where(keypoints.visible[..., None], keypoints.points, np.float32(_MISSING))
        for t, value in enumerate(points):
            rows.append((name, t, None if faces and not keypoints.visible[t].any() else value))
    _write(path, rows)


def write_embedding_pickle(path: str | Path, videos: Mapping[str, Embeddings]) -> None:
    """Writes identities; frames without anybody become None, which `cmp.py` itself does not know.

    Args:
        path: of the pickle; ".pkl" by custom.
        videos: file name -> embeddings of its frames.

    Raises:
        UserError: pandas is not installed, or the file cannot be written.
    """
    _write(
        path,
        [
            (name, t, vector if present else None)
            for name, embeddings in videos.items()
            for t, (vector, present) in enumerate(zip(embeddings.vectors, embeddings.present, strict=True))
        ],
    )


def openpose_keypoints(coco: Keypoints) -> Keypoints:
    """COCO's 17 joints `[T, 17, 2]` as OpenPose's 18; the neck is seen where both shoulders are."""
    points, visible = coco.points[:, _OPENPOSE], coco.visible[:, _OPENPOSE]
    visible[:, _NECK] = coco.visible[:, _SHOULDERS].all(1)
    points[:, _NECK] = coco.points[:, _SHOULDERS].mean(1) * visible[:, _NECK, None]
    return Keypoints(points, visible)


def _row(path: str | Path, file_name: object, frame_number: object, value: object) -> PoseRow:
    if not isinstance(file_name, str) or not isinstance(frame_number, int):
        raise UserError(f"{path} has a row {file_name!r}, {frame_number!r}; expected a file's name and a number")
    if value is None:
        return PoseRow(file_name, frame_number, None)
    if isinstance(value, np.ndarray) and value.dtype != object:
        is_points = value.ndim == 2 and value.shape[1] == 2
        if is_points or value.size == value.shape[-1]:  # a network's [1, D] is a vector too
            return PoseRow(file_name, frame_number, value if is_points else value.reshape(-1))
    raise UserError(f"{path} has a value for {file_name!r} that is neither points [N, 2], a vector nor None")


def _shape(rows: list[PoseRow]) -> tuple[int, ...]:
    shape = next((row.value.shape for row in rows if row.value is not None), None)
    if shape is None:
        raise UserError("the pickle holds nothing but None; expected points or vectors in some frame")
    return shape


def _by_video(rows: list[PoseRow]) -> dict[str, list[np.ndarray | None]]:
    videos: dict[str, list[np.ndarray | None]] = {}
    for row in rows:
        videos.setdefault(row.video, []).append(row.value)
    return videos


def _stack(values: list[np.ndarray | None], shape: tuple[int, ...], missing: float) -> np.ndarray:
    return np.stack([np.full(shape, missing) if value is None else value for value in values]).astype(np.float32)


def _pairs(truth: dict, found: dict) -> list[tuple]:
    return [(truth[name], found[name]) for name in truth]


def _check_match(truth: str | Path, true_rows: list[PoseRow], found: str | Path, found_rows: list[PoseRow]) -> None:
    if len(true_rows) != len(found_rows):
        raise UserError(f"{truth} has {len(true_rows)} frames and {found} {len(found_rows)}; expected the same frames")
    for true_row, found_row in zip(true_rows, found_rows, strict=True):
        have, other = [(row.video, row.frame_number) for row in (true_row, found_row)]
        if have != other:
            raise UserError(f"{truth} has frame {have[1]} of {have[0]!r} where {found} has {other[1]} of {other[0]!r}")
    if _shape(true_rows) != _shape(found_rows):
        raise UserError(f"{truth} has values {_shape(true_rows)} and {found} {_shape(found_rows)}; expected one kind")


def _write(path: str | Path, rows: list[tuple[str, int, np.ndarray | None]]) -> None:
    try:
        import pandas
    except ImportError as error:
        raise UserError(
            f"pandas is not installed; pickles of pose-evaluation need it; {install_hint('eval')}"
        ) from error
    names, numbers, values = zip(*rows, strict=True) if rows else ((), (), ())
    # Objects, not pandas 3's texts: older ones do not know those, nor would they know a column's name of that type.
    columns = [
        pandas.Series(names, dtype=object),
        pandas.Series(numbers, dtype=np.int64),
        pandas.Series(values, dtype=object),
    ]
    table = pandas.concat(columns, axis=1)
    table.columns = pandas.Index(_COLUMNS, dtype=object)
    with atomic_path(path) as temporary:
        try:
            table.to_pickle(temporary, compression=None, protocol=_PROTOCOL)
        except OSError as error:
            raise UserError(f"cannot write {path} ({error.strerror or error}); free some disk space") from error
