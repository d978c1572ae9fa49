"""The command blocks of the documents."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = (
    ROOT / "README.md",
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "deploy").glob("*/README.md")),
)
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def blocks(path: Path, language: str) -> list[str]:
    """A document's blocks in that language, as they stand there."""
    return [body for kind, body in _BLOCK.findall(path.read_text()) if kind == language]


def commands(path: Path) -> Iterator[str]:
    """A document's commands, one a line, without the remarks behind them."""
    for block in blocks(path, "sh"):
        for line in block.splitlines():
            words = shlex.split(line, comments=True, posix=False)
            if words:
                yield " ".join(words)
