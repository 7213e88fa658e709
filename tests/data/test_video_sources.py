import numpy as np
import pytest
from PIL import Image

from motion_transformer_jax.data.corpus import identity
from motion_transformer_jax.data.pairs import PairBatches, PairSource
from motion_transformer_jax.data.puppets import PuppetVideos
from motion_transformer_jax.data.video_sources import AnnotatedVideos, create_videos
from motion_transformer_jax.errors import UserError


def test_puppets_of_the_two_splits_never_mix():
    options = dict(kind="puppets", image_size=16, puppet_identities=8, puppet_clips=2, puppet_frames=3)
    train, test = create_videos("train", **options), create_videos("test", **options)
    assert len(train.names) == 16 and len(test.names) == 4
    assert not {identity(name) for name in train.names} & {identity(name) for name in test.names}
    batch = next(PairBatches(PairSource(train, repeats=1), batch_size=3, seed=0))
    assert batch["driving"].shape == (3, 16, 16, 3) and batch["driving"].dtype == np.uint8
    assert train.num_frames(0) == 3
    other = create_videos("train", **options, seed=1)
    assert (other.frame(0, 0) != train.frame(0, 0)).any()
    assert len(create_videos("test", **(options | {"puppet_identities": 1})).names) == 2


def test_videos_of_the_two_splits_never_mix(tmp_path):
    for split, level in (("train", 50), ("test", 200)):
        for clip in range(2):
            strip = np.repeat(level + np.arange(4, dtype=np.uint8), 8)[None, :, None]
            (tmp_path / split).mkdir(exist_ok=True)
            Image.fromarray(np.broadcast_to(strip, (8, 32, 3))).save(tmp_path / split / f"{clip}.png")
    for split, level in (("train", 50), ("test", 200)):
        opened = create_videos(split, kind="folder", image_size=8, folder=str(tmp_path))
        iterator = PairBatches(PairSource(opened, repeats=10), batch_size=20, seed=0)
        values = np.concatenate(list(next(iterator).values()))
        assert set(np.unique(values)) == set(range(level, level + 4))


def test_puppets_come_with_their_joints_and_with_markers_when_asked(tmp_path):
    options = dict(kind="puppets", image_size=32, puppet_identities=1, puppet_clips=2, puppet_frames=3, seed=2)
    drawn = {"split": "train", "num_identities": 1, "clips_per_identity": 2, "num_frames": 3, "size": 32}
    for markers in (False, True):
        videos = create_videos("train", **options, puppet_markers=markers)
        puppets = PuppetVideos(2, **drawn, markers=markers)
        assert isinstance(videos, AnnotatedVideos)
        np.testing.assert_array_equal(videos.frame(1, 2), puppets.frame(1, 2))
        for given, true in zip(videos.annotations(1), puppets.annotations(1), strict=True):
            np.testing.assert_array_equal(given, true)
    for split in ("train", "test"):
        (tmp_path / split).mkdir()
        Image.fromarray(np.zeros((8, 32, 3), np.uint8)).save(tmp_path / split / "0.png")
    assert not isinstance(create_videos("test", kind="folder", image_size=8, folder=str(tmp_path)), AnnotatedVideos)


def test_bad_requests_are_refused():
    with pytest.raises(UserError, match=r'data\.kind is "pupets"; expected "folder" or "puppets"'):
        create_videos("train", kind="pupets", image_size=16)
    with pytest.raises(UserError, match=r"data\.puppet_frames is 1; a pair needs two"):
        create_videos("train", kind="puppets", image_size=16, puppet_frames=1)
    with pytest.raises(UserError, match=r"cannot make puppets: size=8: expected at least 16"):
        create_videos("train", kind="puppets", image_size=8)
