"""Pictures and clips for users who have none at hand: puppets that no training has seen.

They come with the package; `python -m motion_transformer_jax.data.examples` draws them anew.
"""

from dataclasses import dataclass
from pathlib import Path

from motion_transformer_jax.bundled import EXAMPLES
from motion_transformer_jax.data.puppets import PuppetVideos
from motion_transformer_jax.data.video_writer import write_image, write_video
from motion_transformer_jax.errors import UserError

_PUPPETS = PuppetVideos(split="test", num_identities=6, clips_per_identity=5, num_frames=50, size=256)
_POSED = ("id0003#dance-2", "id0005#walk-0", "id0007#walk-0", "id0011#walk-0")
_MOVING = ("id0001#wave-3", "id0009#dance-4", "id0003#squat-3", "id0001#turn-2")


@dataclass(frozen=True)
class Examples:
    """Files to choose from.

    Attributes:
        pictures: Images.
        clips: Videos.
    """

    pictures: list[Path]
    clips: list[Path]


def list_examples(folder: Path) -> Examples:
    """Lists the pictures (*.png) and clips (*.mp4) in a folder, by name.

    Raises:
        UserError: There is no such folder, or nothing of the kind in it.
    """
    if not folder.is_dir():
        raise UserError(f"there is no folder {folder}; expected one of pictures (*.png) and clips (*.mp4)")
    examples = Examples(sorted(folder.glob("*.png")), sorted(folder.glob("*.mp4")))
    if not (examples.pictures or examples.clips):
        raise UserError(f"{folder} has no pictures (*.png) and no clips (*.mp4); expected examples to choose from")
    return examples


def draw_examples(folder: Path) -> None:
    """Writes the examples that come with the package into a folder, which is made where it is missing."""
    folder.mkdir(parents=True, exist_ok=True)
    numbers = {name: index for index, name in enumerate(_PUPPETS.names)}
    for i, name in enumerate(_POSED, 1):
        write_image(folder / f"puppet-{i}.png", _PUPPETS.frame(numbers[name], 0))
    for name in _MOVING:
        motion = name.partition("#")[2].partition("-")[0]
        write_video(folder / f"{motion}.mp4", _PUPPETS.clip(numbers[name]).frames, fps=_PUPPETS.fps)


if __name__ == "__main__":
    draw_examples(EXAMPLES)
