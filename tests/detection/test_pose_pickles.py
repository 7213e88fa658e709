"""Pickles of pose-evaluation: to and from detections, and compared as its scripts do."""

import sys

import numpy as np
import pandas
import pytest

from motion_transformer_jax.detection.detectors import Embeddings, Keypoints
from motion_transformer_jax.detection.pose_pickles import (
    compare_pickles,
    embeddings_by_video,
    keypoints_by_video,
    openpose_keypoints,
    read_pose_pickle,
    write_embedding_pickle,
    write_keypoint_pickle,
)
from motion_transformer_jax.errors import UserError


def keypoints(seed, num_frames, num_points):
    random = np.random.default_rng(seed)
    visible = random.random((num_frames, num_points)) < 0.7
    points = random.uniform(0, 256, (num_frames, num_points, 2)).astype(np.float32)
    return Keypoints(points * visible[..., None], visible)


def faces(seed, found):
    points = np.random.default_rng(seed).uniform(0, 256, (len(found), 68, 2)).astype(np.float32)
    found = np.array(found, bool)
    return Keypoints(points * found[:, None, None], np.repeat(found[:, None], 68, axis=1))


def identities(seed, present):
    present = np.array(present, bool)
    vectors = np.random.default_rng(seed).normal(size=(len(present), 128)).astype(np.float32)
    return Embeddings(vectors * present[:, None], present)


def assert_equal(one, other):
    for name, array in vars(one).items():
        np.testing.assert_array_equal(array, getattr(other, name), strict=True)


def save(path, rows):
    columns = ["file_name", "frame_number", "value"]
    pandas.DataFrame(dict(zip(columns, zip(*rows, strict=True), strict=True))).to_pickle(path)
    return path


def test_faces_there_and_back(tmp_path):
    videos = {"b.mp4": faces(0, [1, 0, 1]), "a.mp4": faces(1, [0, 1])}
    write_keypoint_pickle(tmp_path / "faces.pkl", videos)
    table = pandas.read_pickle(tmp_path / "faces.pkl")
    assert table["file_name"].tolist() == ["b.mp4"] * 3 + ["a.mp4"] * 2
    assert table["frame_number"].tolist() == [0, 1, 2, 0, 1]
    assert [value is None for value in table["value"]] == [False, True, False, True, False]
    np.testing.assert_array_equal(table["value"][2], videos["b.mp4"].points[2], strict=True)
    back = keypoints_by_video(read_pose_pickle(tmp_path / "faces.pkl"))
    assert list(back) == ["a", "b"]
    for name, found in videos.items():
        assert_equal(back[name.removesuffix(".mp4")], found)


def test_bodies_there_and_back(tmp_path):
    """With the neck between the shoulders, in OpenPose's order."""
    coco = keypoints(0, 4, 17)
    write_keypoint_pickle(tmp_path / "bodies.pkl", {"a.mp4": coco})
    values = pandas.read_pickle(tmp_path / "bodies.pkl")["value"]
    assert {value.shape for value in values} == {(18, 2)}
    back = keypoints_by_video(read_pose_pickle(tmp_path / "bodies.pkl"))["a"]
    assert_equal(back, openpose_keypoints(coco))
    left_shoulder, right_shoulder, neck = 5, 2, 1
    np.testing.assert_array_equal(back.points[:, left_shoulder], coco.points[:, 5])
    np.testing.assert_array_equal(back.points[:, right_shoulder], coco.points[:, 6])
    np.testing.assert_array_equal(back.visible[:, neck], coco.visible[:, 5] & coco.visible[:, 6])
    seen = back.visible[:, neck]
    assert 0 < seen.sum() < 4
    np.testing.assert_allclose(back.points[seen, neck], (coco.points[seen, 5] + coco.points[seen, 6]) / 2)
    missing = np.stack(values)[~back.visible]
    assert len(missing) > 5
    assert (missing == -1).all()


def test_openpose_order_is_a_permutation_but_for_the_neck():
    points = np.arange(34, dtype=np.float32).reshape(1, 17, 2)
    order = np.delete(openpose_keypoints(Keypoints(points, np.ones((1, 17), bool))).points[0, :, 0] / 2, 1)
    # Right before left: arms and legs from the trunk outwards, then eyes, then ears.
    assert order.tolist() == [0, 6, 8, 10, 5, 7, 9, 12, 14, 16, 11, 13, 15, 2, 1, 4, 3]


def test_identities_there_and_back(tmp_path):
    videos = {"a.mp4": identities(0, [1, 0, 1]), "b.mp4": identities(1, [1])}
    write_embedding_pickle(tmp_path / "identities.pkl", videos)
    assert pandas.read_pickle(tmp_path / "identities.pkl")["value"][1] is None
    back = embeddings_by_video(read_pose_pickle(tmp_path / "identities.pkl"))
    for name, found in videos.items():
        assert_equal(back[name.removesuffix(".mp4")], found)


def test_networks_vectors_with_a_batch_axis_are_vectors(tmp_path):
    """As extract.py leaves bodies' identities."""
    path = save(tmp_path / "a.pkl", [("a.png", 0, np.ones((1, 6))), ("a.png", 1, np.zeros((1, 6)))])
    assert embeddings_by_video(read_pose_pickle(path))["a"].vectors.tolist() == [[1] * 6, [0] * 6]


def test_rows_are_sorted(tmp_path):
    points = [np.full((2, 2), float(i)) for i in range(4)]
    rows = [("b.mp4", 1, points[3]), ("a.mp4", 1, points[1]), ("b.mp4", 0, points[2]), ("a.mp4", 0, points[0])]
    back = keypoints_by_video(read_pose_pickle(save(tmp_path / "a.pkl", rows)))
    assert {name: found.points[:, 0, 0].tolist() for name, found in back.items()} == {"a": [0, 1], "b": [2, 3]}


TWO = [(10, "mp4"), (20, "png")]  # seeds and endings


def test_comparison_prints_what_cmp_with_missing_does(tmp_path):
    """Told once more, over the table's rows; names differ in their endings, rows in their order."""
    truth, found = ({f"{name}.{end}": keypoints(seed + i, 5, 18) for i, name in enumerate("abc")} for seed, end in TWO)
    write_keypoint_pickle(tmp_path / "truth.pkl", truth)
    write_keypoint_pickle(tmp_path / "found.pkl", dict(reversed(found.items())))
    tables = [pandas.read_pickle(tmp_path / f"{name}.pkl") for name in ("truth", "found")]
    values = [table.sort_values(by=["file_name", "frame_number"])["value"] for table in tables]
    scores, missing = [], []
    for expected, predicted in zip(*values, strict=True):
        there, kept = expected[:, 0] >= 0, predicted[:, 0] >= 0
        missing.append((there & ~kept).sum() / there.sum())
        scores.append(np.abs(expected - predicted)[there & kept].astype(float).mean())
    figures = compare_pickles(tmp_path / "truth.pkl", tmp_path / "found.pkl")
    assert figures.keys() == {"akd", "mkr"}
    assert figures["akd"].value == pytest.approx(np.mean(scores), rel=1e-6)
    assert figures["mkr"].value == pytest.approx(np.mean(missing))
    assert {(figure.count, figure.unit) for figure in figures.values()} == {(15, "frames")}


def test_comparison_of_faces(tmp_path):
    """cmp_kp.py passes over frames without a face in the result; we also over those without one in the truth."""
    truth, found = faces(0, [1, 1, 0, 1]), faces(1, [1, 0, 1, 1])
    write_keypoint_pickle(tmp_path / "truth.pkl", {"a.mp4": truth})
    write_keypoint_pickle(tmp_path / "found.pkl", {"a.png": found})
    figures = compare_pickles(tmp_path / "truth.pkl", tmp_path / "found.pkl")
    expected = np.mean([np.abs(truth.points[t] - found.points[t]).mean() for t in (0, 3)])
    assert figures["akd"].value == pytest.approx(expected, rel=1e-6)
    assert figures["akd"].count == 2
    assert figures["mkr"].value == pytest.approx(1 / 3)
    assert figures["mkr"].count == 3


def test_comparison_of_identities(tmp_path):
    truth, found = identities(0, [1, 1, 0]), identities(1, [1, 1, 1])
    write_embedding_pickle(tmp_path / "truth.pkl", {"a.mp4": truth})
    write_embedding_pickle(tmp_path / "found.pkl", {"a.mp4": found})
    figures = compare_pickles(tmp_path / "truth.pkl", tmp_path / "found.pkl")
    expected = np.mean([((truth.vectors[t] - found.vectors[t]) ** 2).sum() for t in (0, 1)])
    assert figures.keys() == {"aed"}
    assert figures["aed"].value == pytest.approx(expected, rel=1e-6)
    assert figures["aed"].count == 2


def test_what_no_frame_has_is_left_out(tmp_path):
    write_keypoint_pickle(tmp_path / "truth.pkl", {"a.mp4": faces(0, [1, 0])})
    write_keypoint_pickle(tmp_path / "found.pkl", {"a.mp4": faces(0, [0, 1])})
    assert compare_pickles(tmp_path / "truth.pkl", tmp_path / "found.pkl").keys() == {"mkr"}


POINTS = np.zeros((2, 2))


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([("a.mp4", 0, POINTS)], "truth.pkl has 2 frames and .*found.pkl 1; expected the same frames"),
        ([("a.mp4", 0, POINTS), ("b.mp4", 0, POINTS)], "has frame 1 of 'a' where .*found.pkl has 0 of 'b'"),
        ([("a.mp4", 0, np.zeros(9)), ("a.mp4", 1, np.zeros(9))], r"has values \(2, 2\) and .*found.pkl \(9,\)"),
        ([("a.mp4", 0, POINTS), ("a.mp4", 1, np.zeros((3, 2)))], "found.pkl mixes values of shapes"),
        ([("a.mp4", 0, None), ("a.mp4", 1, None)], "holds nothing but None; expected points or vectors"),
        ([("a.mp4", 0, POINTS), ("a.mp4", 1, np.zeros((2, 3)))], "'a.mp4' that is neither points"),
        ([("a.mp4", 0, POINTS), ("a.mp4", 1, 5.0)], "'a.mp4' that is neither points"),
        ([("a.mp4", 0, POINTS), (7, 1, POINTS)], "has a row 7, 1; expected a file's name and a number"),
    ],
    ids=["fewer frames", "other videos", "other kind", "mixed", "nothing found", "no points", "a number", "no name"],
)
def test_pickles_that_cannot_be_compared(tmp_path, rows, message):
    truth = save(tmp_path / "truth.pkl", [("a.mp4", 0, POINTS), ("a.mp4", 1, POINTS)])
    with pytest.raises(UserError, match=message):
        compare_pickles(truth, save(tmp_path / "found.pkl", rows))


def test_other_tables(tmp_path):
    pandas.DataFrame({"file": ["a"], "value": [1]}).to_pickle(tmp_path / "a.pkl")
    with pytest.raises(UserError, match=r"has the columns \['value', 'file'\]|has the columns \['file', 'value'\]"):
        read_pose_pickle(tmp_path / "a.pkl")
    write_keypoint_pickle(tmp_path / "b.pkl", {})
    with pytest.raises(UserError, match=r"b[.]pkl is a table without rows"):
        read_pose_pickle(tmp_path / "b.pkl")


def test_the_other_kind(tmp_path):
    write_keypoint_pickle(tmp_path / "points.pkl", {"a": faces(0, [1])})
    write_embedding_pickle(tmp_path / "vectors.pkl", {"a": identities(0, [1])})
    with pytest.raises(UserError, match="expected vectors"):
        embeddings_by_video(read_pose_pickle(tmp_path / "points.pkl"))
    with pytest.raises(UserError, match="expected keypoints"):
        keypoints_by_video(read_pose_pickle(tmp_path / "vectors.pkl"))


def test_writing_needs_pandas_and_a_folder(tmp_path, monkeypatch):
    with pytest.raises(UserError, match="there is no folder"):
        write_embedding_pickle(tmp_path / "none" / "a.pkl", {"a": identities(0, [1])})
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(UserError, match=r"pandas is not installed; .*\[eval\]"):
        write_embedding_pickle(tmp_path / "a.pkl", {"a": identities(0, [1])})
    assert not list(tmp_path.iterdir())
