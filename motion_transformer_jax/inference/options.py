"""What can be asked of an animation, in one place."""

from dataclasses import dataclass
from typing import Literal

from motion_transformer_jax.data.video_writer import FPS_RANGE
from motion_transformer_jax.errors import UserError
from motion_transformer_jax.inference.crop import Crop
from motion_transformer_jax.inference.retarget import Mode, check_motion

View = Literal["result", "side-by-side", "overlay"]

_MAX_SIDE = 8192


@dataclass(frozen=True)
class AnimationOptions:
    """How a source is animated and what is written; the defaults are the plain command's.

    Attributes:
        mode, adapt_scale: As `Animator.animate_with_details` takes them; None: the engine's, and "absolute" for a still
            driving image, of which relative motion knows no change.
        best_frame: As there; None: 0.
        multiply: Strengthens relative motion, from 0 to 5.
        smooth: Take the jitter out of the driving motions (`smoothing.py`).
        crop: The square of the source that is animated: "auto", around the subject; "none", the largest in the middle;
            or (left, top, width, height) in pixels, as `choose_box` takes it.
        driving_crop: The same of the driving video, of one size in all its frames; "auto" follows the subject through a
            video, and stays where it was in the first frame of a pipe or a camera.
        paste_back: Put the result back into the whole source picture.
        view: What is written: the result, source | driving | result, or the result with its keypoints.
        fps: Frames per second of the result, whose duration stays that of the driving video; a folder of frames, a film
            strip and raw frames, which have no rate, are taken at this one. None: the driving video's, else 25.
        start, end: Seconds of the driving video between which it is taken; None: to its end.
        driving_size: (width, height) of raw driving frames, or what a camera is asked for.
        live: Of raw driving frames take the newest whenever the model is ready for one, as of a camera's.
        sound: Keep the driving video's sound, in mp4 and webm.
        lossless: Keep every value of every pixel, in mp4 and webm.
        label: Say in the file's metadata that it is synthetic.
        overwrite: Replace an older folder of frames whoever made them, as `check_replaceable` takes it.
    """

    mode: Mode | None = None
    adapt_scale: bool | None = None
    best_frame: int | Literal["auto"] | None = None
    multiply: float = 1.0
    smooth: bool = False
    crop: Crop = "none"
    driving_crop: Crop = "none"
    paste_back: bool = False
    view: View = "result"
    fps: float | None = None
    start: float = 0.0
    end: float | None = None
    driving_size: tuple[int, int] | None = None
    live: bool = False
    sound: bool = True
    lossless: bool = False
    label: bool = True
    overwrite: bool = False

    def __post_init__(self):
        """Raises a UserError where a number is out of its range."""
        if self.fps is not None and not FPS_RANGE[0] <= self.fps <= FPS_RANGE[1]:
            raise UserError(f"the frame rate is {self.fps:g}; expected between {FPS_RANGE[0]} and {FPS_RANGE[1]}")
        check_motion(best_frame=self.best_frame, multiply=self.multiply)
        if not 0 <= self.start < float("inf"):
            raise UserError(f"the start is at {self.start:g} seconds; expected 0 or more")
        if self.end is not None and not self.start < self.end < float("inf"):
            raise UserError(f"the end is at {self.end:g} seconds; expected more than the start, {self.start:g}")
        if self.driving_size is not None and not 1 <= min(self.driving_size) <= max(self.driving_size) <= _MAX_SIDE:
            width, height = self.driving_size
            raise UserError(f"driving frames are {width}x{height} pixels; expected 1 to {_MAX_SIDE} a side")


PLAIN = AnimationOptions()
