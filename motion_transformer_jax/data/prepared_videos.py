"""Videos of a prepared dataset: any frame by one random read, without loading the rest."""

import os
from pathlib import Path

import numpy as np
import tensorflow_datasets as tfds

from motion_transformer_jax.data.frame_records import decode_frame
from motion_transformer_jax.data.prepared_dataset import NAME, open_dataset
from motion_transformer_jax.errors import UserError

_INFO = "dataset_info.json"


class PreparedVideos:
    """The videos of one split.

    Attributes:
      names: of the videos.
      pairs: (source, driving) names to animate, as the dataset's CSV file had them; of the test split.
      size: side of the frames in pixels.
    """

    def __init__(self, folder: str | os.PathLike, *, split: str, size: int | None = None):
        """Open a dataset; no frame is read.

        Args:
          folder: as `find_prepared` returns it.
          split: "train" or "test".
          size: that the frames must have; None: any.

        Raises:
          UserError: the dataset is of another size or version, or damaged.
        """
        self._folder = os.fspath(folder)
        builder = open_dataset(folder)
        metadata = builder.info.metadata
        self.size: int = metadata["size"]
        if size not in (None, self.size):
            raise UserError(
                f"{folder} holds frames of {self.size} px but model.image_size={size}; "
                f"prepare the dataset with --size {size}, or set model.image_size={self.size}"
            )
        videos = metadata["videos"][split]
        self.names = [video["name"] for video in videos]
        self.pairs = [tuple(pair) for pair in metadata["pairs"]] if split == "test" else []
        self._first = np.array([video["first"] for video in videos])
        self._num_frames = np.array([video["frames"] for video in videos])
        self._frames = builder.as_data_source(split, decoders={"image": tfds.decode.SkipDecoding()})

    def num_frames(self, index: int) -> int:
        """Number of frames of a video, at least 2."""
        return int(self._num_frames[index])

    def frame(self, index: int, t: int) -> np.ndarray:
        """Frame `t` of a video as uint8 `[size, size, 3]`; IndexError outside.

        Raises:
          UserError: its record is damaged.
        """
        if not 0 <= t < self._num_frames[index]:
            raise IndexError(f"frame {t} of {self.names[index]}, which has {self._num_frames[index]}")
        try:
            return decode_frame(self._frames[int(self._first[index]) + t]["image"], self.size)
        except (UserError, RuntimeError, ValueError, LookupError, TypeError) as error:  # TFDS's and ArrayRecord's own
            reason = " ".join(str(error).split())[:200]
            raise UserError(
                f"{self._folder}: frame {t} of {self.names[index]} cannot be read ({reason}); "
                "remove the dataset, and prepare it again with `motrans prepare`"
            ) from error


def find_prepared(folder: str | os.PathLike) -> Path | None:
    """The prepared dataset in a folder: `prepare`'s --out, or the dataset's own folder.

    Returns:
      The dataset's own folder; None where there is no sign of one.

    Raises:
      UserError: there are several, or one that is not finished.
    """
    folder = Path(folder)
    if (folder / _INFO).is_file():
        return folder
    root = folder / NAME
    versions = sorted(path.parent for path in root.glob(f"*/[0-9]*/{_INFO}"))
    configs = {path.parent.name: path for path in versions}  # the newest version of each
    if len(configs) > 1:
        raise UserError(f"{folder} holds several datasets; choose one, such as {next(iter(configs.values()))}")
    if not configs and any(root.glob("*/*.shards")):
        raise UserError(f"{folder} holds a dataset whose preparation is not finished; run the same `prepare` again")
    return next(iter(configs.values()), None)


def require_prepared(folder: str | os.PathLike) -> Path:
    """As `find_prepared`, but a folder without a dataset is a UserError."""
    found = find_prepared(folder)
    if found is None:
        raise UserError(f"{folder} holds no prepared dataset; expected what `motrans prepare` had as --out")
    return found
