"""Videos and pictures inside the report's page: which ones, and how many bytes of them."""

import base64
import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, zip_longest
from pathlib import Path
from urllib.parse import quote

from motion_transformer_jax.atomic import system_errors
from motion_transformer_jax.reporting.results import SystemResult, VideoResult

_RANKED_BY = "l1"
_ANIMATION = "animation"  # how captions of cross-identity animation begin
_TYPES = {".mp4": "video/mp4", ".png": "image/png"}


@dataclass(frozen=True)
class Medium:
    """A video or picture of one system.

    Attributes:
        system: its name.
        link: address of the file relative to the page; "" where it is not there.
        data: the file as a data URI; "" where the page has no room for it.
        video: what was measured of the video; None for pictures.
    """

    system: str
    link: str
    data: str
    video: VideoResult | None = None


@dataclass(frozen=True)
class Group:
    """What the systems made of one video, or their pictures of one kind."""

    title: str
    media: list[Medium]

    @property
    def inline(self) -> bool:
        """Whether the page holds all of them that there are."""
        return all(medium.data for medium in self.media if medium.link)


class Room:
    """The bytes that a page has left for files inside it."""

    def __init__(self, folder: Path, num_bytes: int):
        """Takes the report's folder, and how many bytes of its files may go into the page."""
        self._folder, self._left = folder, num_bytes

    def place(self, title: str, files: Sequence[tuple[str, str | None, VideoResult | None]]) -> Group:
        """Places (system, file, video) of a group: all of them or, where there is no room, only links."""
        paths = [self._folder / file if file else None for _, file, _ in files]
        sizes = [path.stat().st_size if path is not None and path.is_file() else None for path in paths]
        needed = sum(size for size in sizes if size is not None)
        fits = needed <= self._left
        self._left -= needed if fits else 0
        media = []
        for (system, file, video), path, size in zip(files, paths, sizes, strict=True):
            there = size is not None
            media.append(Medium(system, link(file) if there else "", _data_uri(path) if there and fits else "", video))
        return Group(title, media)


def link(file: str) -> str:
    """Address of a file that is named relative to the page: names of videos may hold # and ?."""
    return quote(file)


def rank_videos(systems: Sequence[SystemResult]) -> list[str]:
    """Names of videos from the worst to the best by L1, its mean over the systems; those without are left out."""
    found: dict[str, list[float]] = {}
    for system in systems:
        for video in system.videos:
            found.setdefault(video.name, []).append(video.metrics.get(_RANKED_BY, math.nan))
    means = {name: math.fsum(values) / len(values) for name, values in found.items()}
    return sorted((name for name in means if math.isfinite(means[name])), key=lambda name: (-means[name], name))


def place_extremes(systems: Sequence[SystemResult], room: Room, count: int) -> tuple[list[Group], list[Group]]:
    """The `count` worst and the `count` best videos, each with what every system made of it; no video is in both."""
    ranked = rank_videos(systems)
    worst = ranked[:count]
    best = [name for name in ranked[::-1][:count] if name not in worst]
    results = [(system.name, {video.name: video for video in system.videos}) for system in systems]
    placed: dict[str, Group] = {}
    # In turn, so that a page without room for all of them has some of each.
    for name in filter(None, chain.from_iterable(zip_longest(worst, best))):
        found = [(system, videos[name]) for system, videos in results if name in videos]
        placed[name] = room.place(name, [(system, video.clip, video) for system, video in found])
    return [placed[name] for name in worst], [placed[name] for name in best]


def place_pictures(systems: Sequence[SystemResult], room: Room) -> tuple[list[Group], list[Group]]:
    """Pictures by caption, those of all systems together: first of cross-identity animation, then the others.

    Where there is a video of the same name it goes before its picture.
    """
    captions = list(dict.fromkeys(caption for system in systems for caption in system.pictures))
    animation = [caption for caption in captions if caption.startswith(_ANIMATION)]
    others = [caption for caption in captions if not caption.startswith(_ANIMATION)]
    return _place_captions(animation, systems, room), _place_captions(others, systems, room)


def _place_captions(captions: Sequence[str], systems: Sequence[SystemResult], room: Room) -> list[Group]:
    groups = []
    for caption in captions:
        files = [(system.name, system.pictures[caption], None) for system in systems if caption in system.pictures]
        videos = [(name, Path(file).with_suffix(".mp4").as_posix(), None) for name, file, _ in files]
        moving = room.place(f"{caption} (video)", videos)
        groups += [moving] if any(medium.link for medium in moving.media) else []
        groups.append(room.place(caption, files))
    return groups


def _data_uri(path: Path) -> str:
    with system_errors(path):
        content = path.read_bytes()
    return f"data:{_TYPES[path.suffix.lower()]};base64,{base64.b64encode(content).decode()}"
