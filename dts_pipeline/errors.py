"""The errors of the pipeline: one tree, each with a stable code, a place and a remedy.

A message never contains a row's values, keys or a secret; it names tables, columns, topics,
partitions and offsets instead.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence


class DtsError(Exception):
    """What happened (`message`), where (`where`), and what to do next (`remedy`).

    `code` is stable: scripts may match on it. Raised once, at the place that knows.
    """

    def __init__(
        self,
        code: str,
        message: str,
        *,
        where: Mapping[str, object] | None = None,
        remedy: str = "",
    ) -> None:
        self.code = code
        self.message = message
        self.where: dict[str, object] = dict(where or {})
        self.remedy = remedy
        super().__init__(str(self))

    def __str__(self) -> str:
        place = " ".join(f"{key}={value}" for key, value in self.where.items())
        parts = [f"[{self.code}] {self.message}", f"({place})" if place else "", self.remedy]
        return " ".join(part for part in parts if part)

    def to_dict(self) -> dict[str, object]:
        """The error as `--json` prints it."""
        return {
            "code": self.code,
            "message": self.message,
            "where": {key: str(value) for key, value in self.where.items()},
            "remedy": self.remedy,
        }


class TransientError(DtsError):
    """Worth repeating as it is: a deadlock, a lost connection, a broker that is away."""


class TerminalError(DtsError):
    """Repeating cannot help; somebody has to do what `remedy` says."""


class PoisonError(TerminalError):
    """One event that cannot be decoded or written; `where` names topic, partition and offset."""


class ConfigError(TerminalError):
    """dts.yaml is wrong; `problems` holds every mistake as (path, message)."""

    def __init__(self, problems: Sequence[tuple[str, str]], *, source: str = "dts.yaml") -> None:
        self.problems = list(problems)
        lines = "\n".join(f"  {path}: {message}" for path, message in self.problems)
        super().__init__(
            "config_invalid",
            f"{source} has {len(self.problems)} mistake(s):\n{lines}\n",
            remedy="Mend each path above; docs/configuration.md describes every key.",
        )

    def to_dict(self) -> dict[str, object]:
        """The error with every mistake as a `{path, message}` object."""
        problems = [{"path": path, "message": message} for path, message in self.problems]
        return super().to_dict() | {"problems": problems}
