"""The collection: determinism, splits, annotations that agree with the pixels, and what it looks like."""

import dataclasses
import itertools
import pickle
import subprocess
import sys

import numpy as np
import pytest

from motion_transformer_jax.data import puppets
from motion_transformer_jax.data.puppet_body import OWN_SOLIDS
from motion_transformer_jax.data.puppet_drawing import draw_solids
from motion_transformer_jax.data.puppets import BONES, JOINTS, MOTIONS, PuppetVideos, write_puppets
from motion_transformer_jax.data.video import read_frames
from motion_transformer_jax.errors import UserError


def _videos(seed=0, **changes):
    settings = {"split": "train", "num_identities": 3, "clips_per_identity": 5, "num_frames": 8, "size": 32}
    return PuppetVideos(seed, **settings | changes)


def _same(one, other):
    return all(np.array_equal(getattr(one, field), getattr(other, field)) for field in ("frames", "joints", "visible"))


def test_equal_seeds_give_equal_bits_and_others_do_not():
    first = _videos(5).clip(7)
    puppets._create_scene.cache_clear()
    assert _same(first, _videos(5).clip(7))
    assert first.name == _videos(5).names[7]
    assert not _same(first, _videos(6).clip(7))
    assert not _same(first, _videos(5).clip(8))
    assert _same(first, pickle.loads(pickle.dumps(_videos(5))).clip(7))


def test_more_identities_leave_the_first_ones_as_they_are():
    assert _same(_videos().clip(4), _videos(num_identities=9).clip(4))


def test_a_frame_alone_is_the_frame_of_the_clip():
    videos = _videos(2)
    clip = videos.clip(3)
    puppets._create_scene.cache_clear()
    for t in (7, 0, 4):
        np.testing.assert_array_equal(videos.frame(3, t), clip.frames[t])


@pytest.mark.parametrize("size", [32, 33, 64, 128, 256])
def test_shapes_and_types_at_every_size(size):
    videos = _videos(size=size, num_frames=2)
    clip = videos.clip(0)
    assert clip.frames.shape == (2, size, size, 3) and clip.frames.dtype == np.uint8
    assert clip.joints.shape == (2, len(JOINTS), 2) and clip.joints.dtype == np.float32
    assert clip.visible.shape == (2, len(JOINTS)) and clip.visible.dtype == bool
    joints, visible = videos.annotations(0)
    np.testing.assert_array_equal(joints, clip.joints)
    np.testing.assert_array_equal(visible, clip.visible)


def test_joints_mean_the_same_place_at_every_size():
    edges = []
    for size in (32, 256):
        joints, _ = _videos(size=size).annotations(1)
        edges.append(((joints + 1) / 2 * (size - 1) + 0.5) / size)
    np.testing.assert_allclose(*edges, atol=1e-6)


def test_names_joints_and_bones():
    videos = _videos()
    assert len(videos) == len(videos.names) == len(set(videos.names)) == 15
    for name in videos.names:
        identity, clip = name.split("#")
        assert identity.startswith("id") and clip.split("-")[0] in MOTIONS
    assert len({name.split("#")[0] for name in videos.names}) == 3
    assert {joint for bone in BONES for joint in bone} == set(JOINTS)
    assert len(BONES) == len(JOINTS) - 1


def test_splits_share_no_identity():
    train, test = _videos(num_identities=50), _videos(split="test", num_identities=20)
    identities = [{name.split("#")[0] for name in videos.names} for videos in (train, test)]
    assert [len(names) for names in identities] == [50, 20]
    assert not identities[0] & identities[1]
    assert not np.array_equal(train.frame(0, 0), test.frame(0, 0))


def test_every_motion_appears_with_every_identity():
    for _, clips in itertools.groupby(_videos().names, key=lambda name: name.split("#")[0]):
        assert {name.split("#")[1].split("-")[0] for name in clips} == set(MOTIONS)


@pytest.mark.parametrize("index", [0, 6, 12, 18])
def test_what_is_drawn_at_a_joint_is_its_own_part_where_it_is_visible(index):
    videos = _videos(3, size=256, num_frames=30, num_identities=4)
    joints, visible = videos.annotations(index)
    scene = videos._scene(index)
    checked = 0
    for t in (0, 11, 29):
        for number, joint in enumerate(JOINTS):
            paints = [_mark(name in OWN_SOLIDS[joint]) for name in scene.names]
            canvas = np.zeros((256, 256, 3), np.float32)
            draw_solids(canvas, scene.solids.at(t), paints)
            column, row = np.round((joints[t, number] + 1) / 2 * 255).astype(int)
            drawn = canvas[row - 1 : row + 2, column - 1 : column + 2, 0] > 0.15
            if drawn.any() != drawn.all():
                continue  # on an edge between parts
            checked += 1
            # Which shoulder and hip the torso shows is a matter of depth: drawn it is in any case.
            if visible[t, number] or not joint.endswith(("shoulder", "hip")):
                assert drawn.all() == visible[t, number], (joint, t)
    assert checked > 0.8 * 3 * len(JOINTS)


def _mark(own):
    return lambda fraction, *_: np.full((*fraction.shape, 3), float(own), np.float32)


def test_joints_outside_the_frame_are_not_visible(monkeypatch):
    videos = _videos()
    scene, shift = videos._scene(0), np.array([1.0, 0, 0])
    joints = {name: place + shift for name, place in scene.skeleton.joints.items()}
    moved = dataclasses.replace(
        scene,
        skeleton=dataclasses.replace(scene.skeleton, joints=joints),
        solids=dataclasses.replace(scene.solids, start=scene.solids.start + shift, end=scene.solids.end + shift),
    )
    before, visible_before = videos.annotations(0)
    monkeypatch.setattr(PuppetVideos, "_scene", lambda videos, index: moved)
    after, visible = videos.annotations(0)
    np.testing.assert_allclose(after[..., 0] - before[..., 0], 32 / 31, atol=1e-6)
    inside = after[..., 0] <= 32 / 31
    assert 0 < inside.mean() < 1
    np.testing.assert_array_equal(visible, visible_before & inside)


def test_most_joints_are_visible_and_inside():
    shown = [_videos(num_frames=40).annotations(index) for index in range(15)]
    joints, visible = (np.stack(values) for values in zip(*shown, strict=True))
    assert np.mean(np.abs(joints) <= 1) > 0.98
    assert 0.8 < visible.mean() < 0.99


def test_halving_a_drawing_at_twice_the_size_changes_little():
    for index in range(5):
        small = _videos(size=64).frame(index, 3).astype(float)
        large = _videos(size=128).frame(index, 3).astype(float)
        halved = large.reshape(64, 2, 64, 2, 3).mean((1, 3))
        error = np.abs(small - halved)
        assert error.mean() < 1.5 and np.percentile(error, 99) < 25
        # Without anti-aliasing every second pixel of the large picture would be it: farther off.
        assert error.mean() < 0.75 * np.abs(large[::2, ::2] - halved).mean()


def test_clips_move_and_their_backgrounds_do_not():
    videos = _videos(1, size=64, num_frames=60, num_identities=4)
    rng = np.random.default_rng(0)
    changes = []
    for index in range(len(videos)):
        one, other = (videos.frame(index, int(t)).astype(float) for t in rng.choice(60, 2, replace=False))
        changes.append(np.abs(one - other).mean() / 255)
        np.testing.assert_array_equal(one[:2], other[:2])
    assert np.mean(changes) > 0.03


def test_the_figure_fills_the_frame():
    heights = []
    for index in range(15):
        joints, _ = _videos(num_frames=50).annotations(index)
        head, ankle = (joints[:, JOINTS.index(joint), 1] for joint in ("head", "left_ankle"))
        heights.append(np.max(ankle - head))
    # From the middle of the head to the ankle; crown and sole add about a quarter.
    assert min(heights) > 1.1 and max(heights) < 1.6


def test_identities_look_different():
    videos = _videos(num_identities=12, clips_per_identity=1, size=64)
    shirts = []
    for index in range(12):
        joints, _ = videos.annotations(index)
        chest = joints[0, [JOINTS.index("neck"), JOINTS.index("pelvis")]].mean(0)
        column, row = np.round((chest + 1) / 2 * 63).astype(int)
        shirts.append(videos.frame(index, 0)[row - 2 : row + 3, column - 1 : column + 2].mean((0, 1)))
    distances = [np.abs(a - b).max() for a, b in itertools.combinations(shirts, 2)]
    assert np.mean(np.array(distances) > 30) > 0.85


def test_an_identity_keeps_its_clothes_but_not_its_background():
    videos = _videos(size=64)
    puppets_ = [videos._scene(index).puppet for index in range(5)]
    assert all(puppet == puppets_[0] for puppet in puppets_)
    assert len({videos.frame(index, 0)[:4].tobytes() for index in range(5)}) == 5


def test_the_background_drifts_when_asked():
    videos = _videos(pan=0.1, size=32, num_frames=60)
    assert any(np.any(videos.frame(index, 0)[:2] != videos.frame(index, 59)[:2]) for index in range(3))
    np.testing.assert_array_equal(videos.frame(0, 0), _videos(size=32, num_frames=60).frame(0, 0))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"split": "valid"}, "split='valid': expected 'train' or 'test'"),
        ({"num_identities": 0}, "num_identities=0: expected at least 1"),
        ({"clips_per_identity": -1}, "clips_per_identity=-1"),
        ({"num_frames": 0}, "num_frames=0"),
        ({"num_frames": 2.5}, "num_frames=2.5: expected a whole number"),
        ({"size": 8}, "size=8: expected at least 16"),
        ({"seed": -1}, "seed=-1: expected at least 0"),
        ({"fps": 0}, "fps=0: expected more than 0"),
        ({"pan": 2.0}, "pan=2.0: expected 0 to 0.5"),
    ],
)
def test_bad_arguments_are_refused(changes, message):
    seed = changes.pop("seed", 0)
    with pytest.raises(ValueError, match=message):
        _videos(seed, **changes)


def test_there_is_no_clip_or_frame_beyond_the_last():
    videos = _videos()
    for call in (videos.clip, videos.annotations, lambda index: videos.frame(index, 0)):
        for index in (15, -1):
            with pytest.raises(IndexError, match=f"clip {index} of 15"):
                call(index)
    with pytest.raises(IndexError, match="frame 8 of a clip of 8"):
        videos.frame(0, 8)


def test_clips_are_written_with_their_annotations(tmp_path):
    collections = [
        _videos(split=split, num_identities=1, clips_per_identity=2, num_frames=4) for split in ("train", "test")
    ]
    paths = write_puppets(tmp_path / "new", *collections)
    assert len(paths) == 4
    for videos in collections:
        folder = tmp_path / "new" / videos.split
        expected = {f"{name}{suffix}" for name in videos.names for suffix in (".mp4", ".npz")}
        assert {path.name for path in folder.iterdir()} == expected
        for clip in videos:
            with np.load(folder / f"{clip.name}.npz") as saved:
                np.testing.assert_array_equal(saved["joints"], clip.joints)
                np.testing.assert_array_equal(saved["visible"], clip.visible)
            decoded = _decode(folder / f"{clip.name}.mp4")
            assert decoded.shape == clip.frames.shape
            assert np.abs(decoded.astype(float) - clip.frames).mean() < 12


def _decode(path):
    return np.stack(list(read_frames(path)))


def test_a_folder_that_cannot_be_made_is_the_users_mistake(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot make the folder"):
        write_puppets(tmp_path / "file", _videos())


def test_drawing_needs_neither_jax_nor_a_codec():
    code = "import sys, motion_transformer_jax.data.puppets; print({'jax', 'av'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
