"""Progress on stderr, so that stdout holds nothing but the one JSON object."""

import json
import sys
import time
from collections.abc import Mapping
from pathlib import Path

_BEGIN = time.monotonic()


def say(text: str) -> None:
    """Print one line of progress with the seconds since this program began."""
    print(f"[{time.monotonic() - _BEGIN:6.1f}s] {text}", file=sys.stderr, flush=True)


def print_json(value: Mapping[str, object]) -> None:
    """Print the command's result on stdout."""
    print(json.dumps(value, indent=2), flush=True)


def tail(path: Path, lines: int = 25) -> str:
    """The last lines of a log, or a word on why there are none."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        return f"(no log: {error.strerror})"
    return "\n".join(text.splitlines()[-lines:]) or "(the log is empty)"
