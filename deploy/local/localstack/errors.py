"""The one error of this package that a user is meant to read."""


class StackError(Exception):
    """What went wrong and what to do next; printed without a traceback."""
