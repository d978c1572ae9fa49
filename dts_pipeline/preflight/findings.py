"""What preflight says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from dts_pipeline.core.contract import Difference
from dts_pipeline.core.type_fit import Fit
from dts_pipeline.errors import DtsError


class Severity(StrEnum):
    """How bad a finding is."""

    OK = "ok"
    WARNING = "warning"  # works, but think about it
    ERROR = "error"  # the link must not run, or would lose or change rows


@dataclass(frozen=True)
class Finding:
    """The answer of one check at one place.

    `check` is a stable code, the same as the error's that a run would stop with where there is
    one. `where` names site, link, table, topic or connector. No row value is ever in it.
    """

    check: str
    severity: Severity
    where: Mapping[str, str]
    message: str
    remedy: str = ""
    fit: Fit | None = None

    def to_dict(self) -> dict[str, object]:
        """The finding as `--json` prints it."""
        return {
            "check": self.check,
            "severity": str(self.severity),
            "where": dict(self.where),
            "message": self.message,
            "remedy": self.remedy,
            **({"fit": str(self.fit)} if self.fit else {}),
        }


@dataclass(frozen=True)
class Problem:
    """What a check has found wrong; the registry adds where it looked.

    `code` replaces the check's own code, `where` is added to the check's place.
    """

    severity: Severity
    message: str
    remedy: str
    code: str = ""
    where: Mapping[str, str] = field(default_factory=dict)
    fit: Fit | None = None


SKIP = Problem(Severity.OK, "", "")  # a check's word for "this does not concern the place"


def error(message: str, remedy: str, *, code: str = "", **where: str) -> Problem:
    """A problem for which the link must not run."""
    return Problem(Severity.ERROR, message, remedy, code, where)


def warning(message: str, remedy: str, *, code: str = "", **where: str) -> Problem:
    """A problem to think about."""
    return Problem(Severity.WARNING, message, remedy, code, where)


def of_difference(difference: Difference, *, grave: bool) -> Problem:
    """A difference of the contract: a harmless one is fine, `grave` ones must not run."""
    severity = Severity.ERROR if grave else Severity.WARNING
    where = {"table": difference.table} if difference.table else {}
    if difference.column:
        where["column"] = difference.column
    return Problem(
        Severity.OK if difference.fit is Fit.HARMLESS else severity,
        difference.message,
        difference.remedy,
        difference.code,
        where,
        difference.fit,
    )


def of_error(failed: DtsError, where: Mapping[str, str]) -> Finding:
    """The finding for a server that could not even be asked."""
    place = {**where, **{key: str(value) for key, value in failed.where.items()}}
    return Finding(failed.code, Severity.ERROR, place, failed.message, failed.remedy)
