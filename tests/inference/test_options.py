import pytest

from motion_transformer_jax.errors import UserError
from motion_transformer_jax.inference.options import PLAIN, AnimationOptions


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"fps": 0}, "the frame rate is 0; expected between"),
        ({"fps": float("nan")}, "the frame rate is nan; expected between"),
        ({"multiply": -0.1}, "multiplied by -0.1; expected between 0 and 5"),
        ({"multiply": float("nan")}, "multiplied by nan"),
        ({"best_frame": -1}, "the best frame is -1; expected auto or a frame's number from 0"),
        ({"best_frame": 1.5}, "the best frame is 1.5; expected auto"),
        ({"best_frame": "last"}, "the best frame is 'last'; expected auto"),
        ({"start": -1}, "the start is at -1 seconds; expected 0 or more"),
        ({"start": float("inf")}, "the start is at inf"),
        ({"end": 0}, "the end is at 0 seconds; expected more than the start, 0"),
        ({"start": 3, "end": 2}, "the end is at 2 seconds; expected more than the start, 3"),
        ({"end": float("nan")}, "the end is at nan"),
        ({"driving_size": (0, 5)}, "0x5 pixels; expected 1 to 8192 a side"),
        ({"driving_size": (640, 9000)}, "640x9000 pixels"),
    ],
)
def test_numbers_out_of_range(options, message):
    with pytest.raises(UserError, match=message):
        AnimationOptions(**options)


def test_the_edges_of_the_ranges():
    assert AnimationOptions(multiply=0, fps=1000, driving_size=(8192, 1)) != PLAIN == AnimationOptions()
