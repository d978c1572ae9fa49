"""`dts preflight`: everything that would stop a link or lose rows, before the first row."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from dts_pipeline.commands import exits
from dts_pipeline.commands.output import Output, place
from dts_pipeline.commands.session import Session

if TYPE_CHECKING:
    from dts_pipeline.preflight import Finding

_SAID_ALWAYS = frozenset({"mark_choice"})


def preflight(session: Session, output: Output, *, everything: bool) -> int:
    """Shows what was found, errors first; FOUND if there is an error.

    What is in order is only counted, unless `everything` is asked for.
    """
    from dts_pipeline.preflight import run_preflight

    findings = run_preflight(session.config, session.secrets)
    counts = Counter(str(finding.severity) for finding in findings)
    totals = {severity: counts[severity] for severity in ("error", "warning", "ok")}
    output.document({"findings": [f.to_dict() for f in findings], "counts": totals})
    for finding in findings:
        if everything or finding.severity != "ok" or finding.check in _SAID_ALWAYS:
            output.line(_block(finding))
    fine = "" if everything else " (--all lists them)"
    output.line(
        f"{totals['error']} error(s), {totals['warning']} warning(s), {totals['ok']} in order{fine}"
    )
    return exits.FOUND if totals["error"] else exits.DONE


def _block(finding: Finding) -> str:
    lines = [f"{finding.severity}: {finding.message}", _check_line(finding)]
    if finding.where:
        lines.append(f"  where: {place(finding.where)}")
    if finding.remedy:
        lines.append(f"  next:  {finding.remedy}")
    return "\n".join(lines)


def _check_line(finding: Finding) -> str:
    return f"  check: {finding.check}" + (f" ({finding.fit})" if finding.fit else "")
