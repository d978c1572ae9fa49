"""The cases of `cases/`: one folder each, with what to create and what to change.

| file | what |
|---|---|
| `create.sql` | tables, and rows that both sites have from the start; run at both sites |
| `create.b.sql` | stands in for `create.sql` at site b |
| `change.sql` | run at the source; `-- next batch` begins a part, in the session as at first |
| `only.txt` | the flavours that have the types, one a line; without it all |
| `expect.sql` | SELECTs that must each give 1, at both sites, after the last part |
| `expect.target.sql` | the same, at the target only |
| `expect.differs` | `table.column`, one a line: not compared, as events cannot tell it |
| `expect.records` | `kind decision` of the records that the change must leave, one a line |
| `expect.refused` | the contract's code of the refusal: nothing is carried |

A statement ends with `;` at the end of a line. A line of SQL may begin with `-- mariadb:` or
`-- mysql:`: it is for that kind of server only; a record may begin with `mariadb: ` or `mysql: `:
it is due where the source is of that kind. Tables are named so that no two cases share one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

CASES = Path(__file__).parent / "cases"
_FOR_ONE_KIND = re.compile(r"-- (mariadb|mysql): (.*)")


@dataclass(frozen=True)
class Case:
    """One folder."""

    path: Path

    @property
    def name(self) -> str:
        return self.path.name

    @cached_property
    def flavours(self) -> frozenset[str]:
        """The flavours it runs on."""
        return frozenset(self._lines("only.txt") or ("mariadb", "mysql", "mixed"))

    @property
    def refused(self) -> str | None:
        """The contract's code, of a case that is not carried."""
        return next(iter(self._lines("expect.refused")), None)

    @property
    def differs(self) -> frozenset[str]:
        """`table.column` that are not compared."""
        return frozenset(self._lines("expect.differs"))

    def records(self, kind: str) -> list[str]:
        """The records that are due where the source is of that kind, each `kind decision`."""
        lines = [line.rpartition(": ") for line in self._lines("expect.records")]
        return [record for only, _, record in lines if only in ("", kind)]

    def create(self, side: str, kind: str) -> list[str]:
        """The statements of site `a` or `b`, a server of that kind."""
        own = self.path / f"create.{side}.sql"
        return statements((own if own.exists() else self.path / "create.sql").read_text(), kind)

    def parts(self, kind: str) -> list[list[str]]:
        """The changes, part by part."""
        text = (self.path / "change.sql").read_text()
        return [statements(part, kind) for part in text.split("-- next batch\n")]

    def expectations(self, kind: str, target: bool) -> list[str]:
        """The SELECTs that must give 1 at a site."""
        names = ("expect.sql", "expect.target.sql") if target else ("expect.sql",)
        paths = [self.path / name for name in names]
        return [s for p in paths if p.exists() for s in statements(p.read_text(), kind)]

    def _lines(self, name: str) -> list[str]:
        path = self.path / name
        return path.read_text().split("\n")[:-1] if path.exists() else []


def statements(text: str, kind: str) -> list[str]:
    """The statements of a file that are meant for that kind of server."""
    found, lines = [], []
    for line in text.split("\n"):
        match = _FOR_ONE_KIND.fullmatch(line)
        if match and match[1] != kind:
            continue
        if match or not line.startswith("-- "):
            lines.append(match[2] if match else line)
        if lines and lines[-1].endswith(";"):
            found.append("\n".join(lines)[:-1].strip())
            lines = []
    if "".join(lines).strip():
        raise ValueError("the last statement has no `;` at the end of its line")
    return found


def all_cases() -> list[Case]:
    """Every case, by name."""
    return [Case(path) for path in sorted(CASES.iterdir()) if path.is_dir()]
