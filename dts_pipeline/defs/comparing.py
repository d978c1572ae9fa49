"""The jobs that compare and repair sites, and the check of what the last batches carried.

Their results are counts by table; keys stay on the terminal (`dts verify`).
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import dagster as dg

from dts_pipeline.core.links import Link
from dts_pipeline.defs.contract import contract_check, contract_check_key
from dts_pipeline.defs.entries import Entry
from dts_pipeline.defs.failures import failure_of, reported
from dts_pipeline.defs.keys import checkpoint_key
from dts_pipeline.defs.memory import RUN_MEMORY
from dts_pipeline.errors import TerminalError

if TYPE_CHECKING:  # pandas, SQLAlchemy and Kafka's client are left for the run to import
    from dts_pipeline.core.verification import VerifyReport
    from dts_pipeline.stages.touched import TouchedReport

VERIFY_JOB = "verify"
REPAIR_JOB = "repair"
TOUCHED_KEYS = "touched_keys_equal"


@dataclass(frozen=True)
class Parts:
    """What this file adds to the definitions."""

    jobs: list[Any]
    checks: list[dg.AssetChecksDefinition]
    schedules: list[dg.ScheduleDefinition]


def comparing_parts(entries: Mapping[str, Entry]) -> Parts:
    """The jobs `verify` and `repair`, and each link's check with its job and schedule."""
    links = [(link, entry) for entry in entries.values() for link in entry.links]
    jobs = [(link, touched_job(link)) for link, _ in links]
    return Parts(
        [verify_job(entries), repair_job(entries), *(job for _, job in jobs)],
        [c for link, entry in links for c in (touched_check(link, entry), contract_check(link))],
        [touched_schedule(link, job) for link, job in jobs],
    )


def touched_job_name(link: str) -> str:
    """The job that answers the check of a link's last batches."""
    return f"check_{link}"


def verify_job(known: Mapping[str, Entry]) -> dg.JobDefinition:
    """`verify`: fails where keys differ, with the counts in its metadata."""

    @dg.op(
        name="compare_sites",
        config_schema={
            "pair": dg.Field(str, is_required=False, description="A pair or one-way link; or all."),
            "tables": dg.Field([str], default_value=[], description="Only schema.table."),
        },
        required_resource_keys=_resources(known.values()),
        out=dg.Out(dg.Nothing),
    )
    def compare_sites(context: dg.OpExecutionContext) -> None:
        """Compares both sites by checksums, while users write and the links run."""
        with reported(context, getattr(context.resources, RUN_MEMORY), "verify"):
            reports = [
                _compared(context, known[name], context.op_config["tables"])
                for name in _chosen(known, context.op_config.get("pair"))
            ]
        context.add_output_metadata(_metadata(reports))
        different = sum(report.different for report in reports)
        if different:
            raise failure_of(_differ(different))

    @dg.job(
        name=VERIFY_JOB,
        executor_def=dg.in_process_executor,
        description="Compares both sites row by row; fails where keys differ. Writes nothing.",
    )
    def verify() -> None:
        compare_sites()

    return verify


def repair_job(known: Mapping[str, Entry]) -> dg.JobDefinition:
    """`repair`: compares, then makes what differs equal, the chosen side's rows winning."""

    @dg.op(
        name="repair_sites",
        config_schema={
            "pair": dg.Field(str, description="A pair or one-way link."),
            "tables": dg.Field([str], default_value=[], description="Only schema.table."),
            "winner": dg.Field(str, is_required=False, description="The site whose rows win."),
            "execute": dg.Field(bool, default_value=False, description="Write."),
        },
        required_resource_keys=_resources(known.values()),
        out=dg.Out(dg.Nothing),
    )
    def repair_sites(context: dg.OpExecutionContext) -> None:
        """Shows how many keys differ; with `execute` writes the winner's rows."""
        given = context.op_config
        with reported(context, getattr(context.resources, RUN_MEMORY), "repair"):
            [name] = _chosen(known, given["pair"])
            report, counts, mended = _repaired(context, known[name], given)
        context.add_output_metadata({**_metadata([report]), **_written(counts)})
        if not mended:
            raise failure_of(_differ(report.different))

    @dg.job(
        name=REPAIR_JOB,
        executor_def=dg.in_process_executor,
        description="Makes keys equal that a comparison finds different; the named side wins.",
    )
    def repair() -> None:
        repair_sites()

    return repair


def touched_check(link: Link, entry: Entry) -> dg.AssetChecksDefinition:
    """The check of the keys that the link's last batches carried; a warning."""
    back = [other for other in entry.links if other != link]
    own = replace(entry, name=link.name, links=(link, *back))

    @dg.asset_check(
        asset=checkpoint_key(link.name),
        name=TOUCHED_KEYS,
        description="The keys of the last batches are the same at both sites, as far as nothing "
        "newer is under way and no record is open.",
        required_resource_keys=_resources([own]),
    )
    def touched_keys_equal(context) -> dg.AssetCheckResult:  # type: ignore[no-untyped-def]
        from dts_pipeline.stages.at_rest import Patience
        from dts_pipeline.stages.touched import touched

        comparison = own.comparison(context)
        if checkpoint_key(link.name) in (context.run.asset_selection or ()):
            # The UI's Materialize: this run itself holds the lane that would be waited for.
            comparison = replace(comparison, patience=Patience(passed=0.0))
        with reported(context, getattr(context.resources, RUN_MEMORY), "touched"):
            report = touched(comparison)
        return _check_result(report)

    return touched_keys_equal


def touched_job(link: Link) -> "dg.UnresolvedAssetJobDefinition":
    """Answers both checks of one link; apart from its runs, for which the first one waits."""
    key = dg.AssetCheckKey(checkpoint_key(link.name), TOUCHED_KEYS)
    return dg.define_asset_job(
        touched_job_name(link.name),
        selection=dg.AssetSelection.checks(key, contract_check_key(link.name)),
        description=f"Compares the keys that {link.name}'s last batches carried, and the tables.",
        executor_def=dg.in_process_executor,
    )


def touched_schedule(link: Link, job: "dg.UnresolvedAssetJobDefinition") -> dg.ScheduleDefinition:
    """Every ten minutes, on from the start."""
    return dg.ScheduleDefinition(
        name=f"{touched_job_name(link.name)}_schedule",
        job=job,
        cron_schedule="7-59/10 * * * *",
        default_status=dg.DefaultScheduleStatus.RUNNING,
    )


def _resources(entries: Iterable[Entry]) -> set[str]:
    return {RUN_MEMORY}.union(*(entry.resources for entry in entries))


def _chosen(known: Mapping[str, Entry], name: str | None) -> list[str]:
    if name and name not in known:
        raise TerminalError(
            "unknown_link",
            f"there is no pair or one-way link {name}",
            remedy=f"dts.yaml has: {', '.join(sorted(known))}.",
        )
    return [name] if name else sorted(known)


def _compared(context: Any, entry: Entry, tables: Sequence[str]) -> "VerifyReport":
    from dts_pipeline.stages.verify import verify

    return verify(entry.comparison(context), tables, progress=_logged(context))


def _repaired(
    context: Any, entry: Entry, given: Mapping[str, Any]
) -> tuple["VerifyReport", Mapping[str, Mapping[str, int]], bool]:
    from dts_pipeline.stages.repair import all_mended, check_winner, mend
    from dts_pipeline.stages.verify import verify

    comparison = entry.comparison(context)
    winner = check_winner(comparison, given.get("winner"))
    report = verify(comparison, given["tables"], progress=_logged(context))
    if not given["execute"]:
        return report, {}, True
    counts = mend(comparison, report, winner)
    return report, counts, all_mended(counts)


def _logged(context: Any) -> Callable[[str, int, int], None]:
    """Progress as a line in the run's log each time a tenth of a table was read."""
    tenths: dict[str, int] = {}

    def told(table: str, done: int, expected: int) -> None:
        tenth = 10 * done // max(expected, 1)
        if tenth > tenths.get(table, -1):
            tenths[table] = tenth
            context.log.info(f"{table}: {done} of about {expected} rows")

    return told


def _metadata(reports: Sequence["VerifyReport"]) -> dict[str, Any]:
    """Totals, and a row a table; no keys."""
    records = [
        dg.TableRecord(
            {
                "table": table.table,
                "sites": f"{report.sites[0]}, {report.sites[1]}",
                "rows": f"{table.rows[0]}, {table.rows[1]}",
                **table.counts(),
                "not_compared": ", ".join(left_out.column for left_out in table.not_compared),
            }
        )
        for report in reports
        for table in report.tables
    ]
    return {
        "different": sum(report.different for report in reports),
        "moving": sum(report.moving for report in reports),
        "seconds": round(sum(report.seconds for report in reports), 1),
        **({"tables": dg.MetadataValue.table(records)} if records else {}),
    }


def _written(counts: Mapping[str, Mapping[str, int]]) -> dict[str, int]:
    return {f"{kind}/{table}": n for table, by in counts.items() for kind, n in by.items()}


def _differ(count: int) -> TerminalError:
    return TerminalError(
        "sites_differ",
        f"{count} key(s) differ between the sites",
        remedy="`dts verify` names them, `dts repair` makes them equal (docs/verify.md).",
    )


def _check_result(report: "TouchedReport") -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        passed=report.different == 0,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={
            "first_batch": report.batches[0],
            "last_batch": report.batches[1],
            "keys": report.keys,
            "different": report.different,
            "recorded": report.recorded,
            "unjudged": report.unjudged,
            "unjudged_for": report.why or "nothing",
        },
    )
