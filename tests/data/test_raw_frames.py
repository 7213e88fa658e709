import io
import os

import numpy as np
import pytest

from motion_transformer_jax.data.raw_frames import read_raw_frames, write_raw_frames
from motion_transformer_jax.errors import UserError

FRAMES = np.random.default_rng(0).integers(0, 256, (3, 4, 6, 3), np.uint8)


def test_round_trip():
    stream = io.BytesIO()
    write_raw_frames(stream, (frame[:, ::-1] for frame in FRAMES))
    assert stream.getvalue() == FRAMES[:, :, ::-1].tobytes()
    stream.seek(0)
    np.testing.assert_array_equal(list(read_raw_frames(stream, (6, 4))), FRAMES[:, :, ::-1])


def test_a_frame_cut_short_is_left_out(caplog):
    frames = list(read_raw_frames(io.BytesIO(FRAMES.tobytes()[:-1]), (6, 4)))
    np.testing.assert_array_equal(frames, FRAMES[:2])
    assert "cut short: 71 of 72 bytes" in caplog.text


def test_each_frame_is_written_at_once():
    stream = io.BufferedWriter(io.BytesIO(), buffer_size=1 << 20)

    def frames():
        for count, frame in enumerate(FRAMES):
            assert len(stream.raw.getvalue()) == count * frame.size
            yield frame

    write_raw_frames(stream, frames())


def test_a_reader_who_has_gone():
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "wb", buffering=0) as stream, pytest.raises(UserError, match="nobody reads"):
        write_raw_frames(stream, FRAMES)
