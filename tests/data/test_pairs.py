import json
import time
from collections import Counter

import jax
import numpy as np
import pytest

from motion_transformer_jax.data.pairs import PairBatches, PairSource, validation_pairs
from motion_transformer_jax.errors import UserError


class NumberedVideos:
    """Frames that tell in their pixels which video and which time they are."""

    def __init__(self, names, num_frames=40):
        self.names = names
        self._num_frames = num_frames

    def num_frames(self, index):
        return self._num_frames

    def frame(self, index, t):
        image = np.zeros((2, 2, 3), np.uint8)
        image[..., 0], image[..., 1] = index, t
        return image


def videos(count=5, num_frames=40):
    return NumberedVideos([f"id{index}#0" for index in range(count)], num_frames)


def labels(batch):
    """(video, source time, driving time) of each pair of a batch."""
    source, driving = batch["source"][:, 0, 0], batch["driving"][:, 0, 0]
    np.testing.assert_array_equal(source[:, 0], driving[:, 0])  # both of one video
    return list(zip(source[:, 0].tolist(), source[:, 1].tolist(), driving[:, 1].tolist(), strict=True))


def read(iterator, num_batches):
    return [labels(next(iterator)) for _ in range(num_batches)]


def flat(batches):
    return [pair for batch in batches for pair in batch]


def test_pairs_are_two_frames_of_one_video_the_earlier_first():
    source = PairSource(videos(), repeats=100)
    assert len(source) == 500
    pairs = flat([labels({name: image[None] for name, image in source[i].items()}) for i in range(500)])
    assert Counter(video for video, _, _ in pairs) == dict.fromkeys(range(5), 100)
    differ = [first != second for _, first, second in pairs]
    assert 0.94 < np.mean(differ) < 1
    assert all(first <= second for _, first, second in pairs)
    assert {t for _, first, second in pairs for t in (first, second)} == set(range(40))


def test_a_record_is_fixed_and_new_in_every_epoch_and_seed():
    source, again, other = (PairSource(videos(), repeats=20, seed=seed) for seed in (3, 3, 4))
    first = [source.choose(i) for i in range(100)]
    assert first == [again.choose(i) for i in reversed(range(100))][::-1]
    next_epoch = [source.choose(100 + i) for i in range(100)]
    assert [video for video, _ in first] == [video for video, _ in next_epoch]
    for different in (next_epoch, [other.choose(i) for i in range(100)]):
        assert sum(a == b for a, b in zip(first, different, strict=True)) < 5


def test_identities_weigh_the_same_however_many_clips_they_have():
    names = [f"often#{clip}" for clip in range(9)] + ["seldom#0"]
    source = PairSource(NumberedVideos(names), repeats=200, by_identity=True)
    assert len(source) == 400
    counts = Counter(source.choose(i)[0] for i in range(len(source)))
    assert counts[9] == 200
    assert set(counts) == set(range(10)) and min(counts[clip] for clip in range(9)) > 8
    assert len(PairSource(NumberedVideos(names), repeats=200)) == 2000


def test_batches_have_the_right_shape_and_are_deterministic():
    def batches(**options):
        return read(PairBatches(PairSource(videos(), repeats=7), batch_size=4, **options), 20)

    iterator = PairBatches(PairSource(videos(), repeats=7), batch_size=4, seed=0)
    batch = next(iterator)
    assert set(batch) == {"source", "driving"}
    for images in batch.values():
        assert images.shape == (4, 2, 2, 3) and images.dtype == np.uint8
    assert batches(seed=1) == batches(seed=1)
    assert batches(seed=1) != batches(seed=2)


def test_every_epoch_has_all_records_once_in_a_new_order():
    source = PairSource(videos(3), repeats=4)
    pairs = flat(read(PairBatches(source, batch_size=6, seed=0), 4))
    expected = [
        [(video, *times) for video, times in map(source.choose, range(12 * epoch, 12 * epoch + 12))]
        for epoch in range(2)
    ]
    assert sorted(pairs[:12]) == sorted(expected[0]) and sorted(pairs[12:]) == sorted(expected[1])
    assert pairs[:12] != expected[0]
    assert [pair[0] for pair in pairs[:12]] != [pair[0] for pair in pairs[12:]]
    in_order = flat(read(PairBatches(source, batch_size=6, seed=0, shuffle=False), 4))
    assert in_order == expected[0] + expected[1]


def test_finite_epochs_drop_what_fills_no_batch():
    source = PairSource(videos(), repeats=3)
    assert len(list(PairBatches(source, batch_size=4, seed=0, num_epochs=1))) == 3
    assert len(list(PairBatches(source, batch_size=4, seed=0, num_epochs=2))) == 7
    for shard in ((0, 2), (1, 2)):
        assert len(list(PairBatches(source, batch_size=2, seed=0, num_epochs=1, shard=shard))) == 3
    with pytest.raises(UserError, match=r"1 epoch\(s\) of 15 pairs do not fill a batch of 16; expected a smaller"):
        PairBatches(source, batch_size=8, seed=0, num_epochs=1, shard=(0, 2))


def test_shards_share_out_the_batches_of_a_single_reader():
    source = PairSource(videos(3), repeats=4)
    whole = read(PairBatches(source, batch_size=6, seed=5), 6)
    shards = [read(PairBatches(source, batch_size=2, seed=5, shard=(index, 3)), 6) for index in range(3)]
    for step in range(6):
        assert whole[step] == [pair for shard in shards for pair in shard[step]]


@pytest.mark.parametrize("worker_count", [0, 2])
def test_a_restored_reader_goes_on_with_the_very_next_batch(worker_count):
    def reader():
        return PairBatches(
            PairSource(videos(), repeats=3), batch_size=4, seed=0, worker_count=worker_count, shard=(1, 2)
        )

    iterator = reader()
    before = read(iterator, 9)  # into a later epoch
    state = json.dumps(iterator.get_state())
    assert len(state) < 1000
    after = read(iterator, 9)
    restored = reader()
    assert read(restored, 2) == before[:2]
    restored.set_state(json.loads(state))
    assert read(restored, 9) == after
    threads = PairBatches(PairSource(videos(), repeats=3), batch_size=4, seed=0, shard=(1, 2))
    assert read(threads, 18) == before + after


def test_a_reader_goes_on_where_one_with_other_workers_and_shards_was():
    source = PairSource(videos(), repeats=3)
    first = PairBatches(source, batch_size=4, seed=0, worker_count=1)
    read(first, 5)
    state = first.get_state()
    whole = read(first, 3)
    first.close()
    shards = [PairBatches(source, batch_size=2, seed=0, shard=(index, 2)) for index in range(2)]
    for shard in shards:
        shard.set_state(state)
    pairs = [read(shard, 3) for shard in shards]
    for step in range(3):
        assert whole[step] == pairs[0][step] + pairs[1][step]
    with pytest.raises(ValueError, match="no batch of 3 x 1 pairs starts at 20"):
        PairBatches(source, batch_size=3, seed=0).set_state(state)


def test_transferred_batches_are_the_same_and_counted_as_they_are_handed_out():
    source = PairSource(videos(), repeats=3)
    moved = []

    def transfer(batch):
        moved.append(len(moved))
        return {name: jax.device_put(images) for name, images in batch.items()}

    batches = PairBatches(source, batch_size=4, seed=0, transfer=transfer)
    expected = read(PairBatches(source, batch_size=4, seed=0), 6)
    assert read(batches, 3) == expected[:3]
    assert batches.get_state() == {"next_pair": 12}
    time.sleep(0.2)
    assert 4 <= len(moved) <= 6  # two lie ready, and one more may be on its way
    batches.set_state({"next_pair": 8})
    batch = next(batches)
    assert isinstance(batch["source"], jax.Array) and labels(jax.device_get(batch)) == expected[2]
    batches.close()


def test_validation_pairs_are_first_and_later_frames_of_all_videos():
    batches = validation_pairs(videos(5), num_pairs=11, batch_size=4, seed=0)
    assert [batch["source"].shape for batch in batches] == [(4, 2, 2, 3)] * 3
    pairs = flat(map(labels, batches))
    assert all(first == 0 < later for _, first, later in pairs)
    assert sorted(Counter(video for video, _, _ in pairs).values()) == [2, 2, 2, 3, 3]
    again = validation_pairs(videos(5), num_pairs=11, batch_size=4, seed=0)
    assert flat(map(labels, again)) == pairs
    shards = [validation_pairs(videos(5), num_pairs=11, batch_size=2, seed=0, shard=(index, 2)) for index in (0, 1)]
    assert pairs == flat([labels(batch) for step in zip(*shards, strict=True) for batch in step])
    assert len(validation_pairs(videos(1, num_frames=2), num_pairs=3, batch_size=1, seed=0)) == 3


def test_bad_requests_are_refused():
    with pytest.raises(UserError, match=r"data\.repeats is 0; expected at least 1"):
        PairSource(videos(), repeats=0)
