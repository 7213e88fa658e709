"""The one exception that a command turns into a line for its user, and a hint that many of those lines end with."""


class UserError(Exception):
    """A mistake that the user can mend: bad input, a bad option, a file that is missing.

    The message is one line that says what was wrong, what was expected and what to do. Commands print it on stderr and
    exit with status 2. Everything else that is raised is a fault of this package and keeps its traceback.
    """


def install_hint(extra: str) -> str:
    """How to get an extra's packages: from the clone, since no index has this package.

    Args:
        extra: as in setup.cfg, such as "eval".
    """
    return f"pip install '.[{extra}]' in the clone"
