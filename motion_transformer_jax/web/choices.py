"""What a visitor chose, and the command's options that it means."""

from dataclasses import dataclass
from typing import Literal

from motion_transformer_jax.inference.options import PLAIN, AnimationOptions
from motion_transformer_jax.inference.retarget import Mode

FORMATS = ("mp4", "webm", "gif")


@dataclass(frozen=True)
class Choices:
    """The values of the settings on the page, as they come from the browser.

    Attributes:
        checkpoint: The model's name.
        mode, crop, driving_crop, paste_back, smooth: As the options have them.
        find_best_frame: Measure relative motion from the driving frame nearest to the picture's pose, not from the
            first.
        side_by_side: Show picture, clip and result in a row.
        multiply: As the options have it; other motion than relative does not look at it.
        form: The result's ending, one of `FORMATS`.
    """

    checkpoint: str
    mode: Mode
    find_best_frame: bool
    side_by_side: bool
    crop: Literal["auto", "none"]
    driving_crop: Literal["auto", "none"]
    paste_back: bool
    smooth: bool
    multiply: float
    form: str

    def __post_init__(self):
        """Raises a ValueError for a format that is not offered: it becomes part of a file's name."""
        if self.form not in FORMATS:
            raise ValueError(f"the format is '{self.form}'; expected one of {', '.join(FORMATS)}")

    def options(self) -> AnimationOptions:
        """The options that are meant.

        Raises:
            UserError: A number is out of its range.
        """
        relative = self.mode == "relative"
        return AnimationOptions(
            mode=self.mode,
            best_frame="auto" if relative and self.find_best_frame else None,
            multiply=self.multiply if relative else PLAIN.multiply,
            smooth=self.smooth,
            crop=self.crop,
            driving_crop=self.driving_crop,
            paste_back=self.paste_back,
            view="side-by-side" if self.side_by_side else "result",
        )
