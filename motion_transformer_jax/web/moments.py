"""Moments of a stream whose length nobody knows, kept in little memory."""

from typing import Generic, TypeVar

import numpy as np

_Item = TypeVar("_Item")

_SPARE = 4  # times as many are kept as are chosen from them


class Moments(Generic[_Item]):
    """Keeps some items of a stream, at even distances from its first to its last."""

    def __init__(self, count: int):
        """Keeps nothing yet.

        Args:
            count: How many to choose at the end, at least 2.
        """
        self._count, self._step, self._length = count, 1, 0
        self._kept: dict[int, _Item] = {}
        self._last: _Item | None = None

    def add(self, item: _Item) -> None:
        """Takes the next item."""
        if self._length % self._step == 0:
            self._kept[self._length] = item
        if len(self._kept) > _SPARE * self._count:
            self._step *= 2
            self._kept = {index: kept for index, kept in self._kept.items() if index % self._step == 0}
        self._last = item
        self._length += 1

    def choose(self) -> list[_Item]:
        """The first, the last, and what lies nearest to even distances between them; all if there are no more."""
        last = self._length - 1
        items = self._kept | ({last: self._last} if self._length else {})
        places = np.linspace(0, last, min(self._count, self._length)).round()
        return [items[min(items, key=lambda index: abs(index - place))] for place in places.tolist()]
