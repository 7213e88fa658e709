"""A training that stands still ends, and shows where it stood."""

import faulthandler
import sys


class Watchdog:
    """Ends the process where nothing happens for too long: stacks of all threads on stderr, exit status 1.

    A process that waits for ever for another one holds a whole pod; ended, it can be started again.
    """

    def __init__(self, minutes: float):
        """Watch from now on; 0: never."""
        self._seconds = 60 * minutes
        self.feed()

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        faulthandler.cancel_dump_traceback_later()

    def feed(self) -> None:
        """Tell that something has happened."""
        if self._seconds:
            faulthandler.dump_traceback_later(self._seconds, exit=True, file=sys.__stderr__)
