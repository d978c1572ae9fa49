"""The exit statuses of `dts`."""

from __future__ import annotations

DONE = 0
"""Done, and nothing to look at."""
FOUND = 1
"""Done, and something wants attention; each command's help says what."""
FAILED = 2
"""Could not be done; the error says why."""
INTERRUPTED = 130
"""Broken off by Ctrl-C."""
