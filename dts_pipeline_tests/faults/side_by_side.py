"""Threads of a test whose errors are kept, and end all of them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any


@dataclass
class SideBySide:
    """Threads that look at `ended` now and then; `failures` holds what went wrong."""

    ended: threading.Event = field(default_factory=threading.Event)
    failures: list[BaseException] = field(default_factory=list)

    def start(self, target: Callable[..., None], *arguments: Any) -> threading.Thread:
        """Runs it in a thread; its error ends the others, too."""

        def guarded() -> None:
            try:
                target(*arguments)
            except BaseException as error:
                self.failures.append(error)
                self.ended.set()

        thread = threading.Thread(target=guarded, daemon=True)
        thread.start()
        return thread
