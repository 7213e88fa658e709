import base64
import io
import re

import numpy as np
from PIL import Image
from tiny_model import random_frames

from motion_transformer_jax.web.animation import DrawnFrame
from motion_transformer_jax.web.progress import draw_preparation, draw_progress

IMAGE = random_frames(1)[0]


def test_a_frame_is_shown():
    panel = draw_progress(DrawnFrame(11, 48, IMAGE), rate=3.0)
    assert "Frame 12 of 48 · 3 frames/s · 12 s left" in panel
    assert 'aria-valuenow="25"' in panel and "width: 25%" in panel
    data = base64.b64decode(re.search(r"base64,([^\"]*)", panel)[1])
    shown = np.asarray(Image.open(io.BytesIO(data)), np.float32)
    assert shown.shape == IMAGE.shape and np.abs(shown - IMAGE).mean() < 30


def test_a_large_frame_is_sent_small():
    panel = draw_progress(DrawnFrame(0, 1, np.zeros((2000, 1000, 3), np.uint8)), rate=None)
    shown = Image.open(io.BytesIO(base64.b64decode(re.search(r"base64,([^\"]*)", panel)[1])))
    assert shown.size == (300, 600)


def test_what_is_not_known_is_not_told():
    assert '<p role="status">Frame 1 of 48</p>' in draw_progress(DrawnFrame(0, 48, IMAGE), rate=None)
    panel = draw_progress(DrawnFrame(11, None, IMAGE), rate=3.0)
    assert ">Frame 12 · 3 frames/s<" in panel and "aria-valuenow" not in panel
    assert "aria-valuenow" not in draw_preparation(3.2)


def test_more_frames_than_were_announced():
    assert "Frame 50 of 50 · 3 frames/s · 0 s left" in draw_progress(DrawnFrame(49, 48, IMAGE), rate=3.0)
