"""What can go wrong in the demo."""


class DemoError(Exception):
    """The demo can't go on; the text says why."""
