"""The job `load_<name>`: what `dts load --execute` does, with each table's outcome as metadata."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import dagster as dg

from dts_pipeline.core.load import LoadState, TableLoad, as_data
from dts_pipeline.defs.entries import Entry
from dts_pipeline.defs.failures import failure_of, reported
from dts_pipeline.defs.memory import RUN_MEMORY
from dts_pipeline.errors import TerminalError


def load_job_name(name: str) -> str:
    """The job that loads a pair or one-way link."""
    return f"load_{name}"


def load_jobs(entries: Mapping[str, Entry]) -> list[dg.JobDefinition]:
    """A job for each pair and each one-way link."""
    return [_load_job(entry) for entry in entries.values()]


def _load_job(entry: Entry) -> dg.JobDefinition:
    @dg.op(
        name=f"load_tables_of_{entry.name}",
        config_schema={
            "tables": dg.Field([str], default_value=[], description="Only schema.table."),
            "from": dg.Field(str, is_required=False, description="The site that has the data."),
        },
        required_resource_keys={RUN_MEMORY, *entry.resources},
        out=dg.Out(dg.Nothing),
    )
    def load_tables(context: dg.OpExecutionContext) -> None:
        """Gives each site the rows that it lacks; a run after one that was ended goes on there."""
        from dts_pipeline.stages.load import plan_load, run_load

        given = context.op_config
        with reported(context, getattr(context.resources, RUN_MEMORY), "load"):
            plan = plan_load(entry.comparison(context), given["tables"], given.get("from"))
            ended = run_load(plan, progress=_logged(context))
        context.add_output_metadata(_metadata(ended))
        left = sum(table.state is not LoadState.DONE for table in ended)
        if left:
            raise failure_of(_is_left(entry.name, left))

    @dg.job(
        name=load_job_name(entry.name),
        executor_def=dg.in_process_executor,
        description="Gives a site the rows that it lacks, while users write; ended at any point, "
        "the next run goes on there (docs/load.md).",
    )
    def load() -> None:
        load_tables()

    return load


def _logged(context: Any) -> Callable[[TableLoad], None]:
    """A line in the run's log each time a twentieth of a table was read, or its state changed."""
    told: dict[str, tuple[LoadState, int]] = {}

    def tell(load: TableLoad) -> None:
        now = load.state, int(load.percent // 5)
        if told.get(load.table) != now:
            told[load.table] = now
            context.log.info(
                f"{load.table}: {load.state.value}, {load.rows} of about {load.expected} rows "
                f"({load.percent:.1f} %), {load.rate:.0f} rows/s"
            )

    return tell


def _metadata(ended: Sequence[TableLoad]) -> dict[str, Any]:
    """Totals, and a row a table; no keys."""
    records = [dg.TableRecord({**as_data(table), "from": table.source or ""}) for table in ended]
    return {
        "rows": sum(table.rows for table in ended),
        "written": sum(table.counts["written"] for table in ended),
        "left": sum(table.left for table in ended),
        **({"tables": dg.MetadataValue.table(records)} if records else {}),
    }


def _is_left(name: str, tables: int) -> TerminalError:
    return TerminalError(
        "load_left",
        f"{tables} table(s) are not equal yet at the end of the load",
        where={"name": name},
        remedy="`dts verify` names the keys (docs/load.md); run the load again when they rest.",
    )
