"""The one exception that a command turns into a line for its user."""


class UserError(Exception):
    """A mistake that the user can mend: bad input, a bad option, a file that is missing.

    The message is one line that says what was wrong, what was expected and what to do. Commands print it on stderr and
    exit with status 2. Everything else that is raised is a fault of this package and keeps its traceback.
    """
