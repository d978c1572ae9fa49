"""The check that both sites' tables and the connector's settings still fit each other."""

from typing import TYPE_CHECKING

import dagster as dg

from dts_pipeline.core.links import Link
from dts_pipeline.defs.failures import reported
from dts_pipeline.defs.keys import checkpoint_key
from dts_pipeline.defs.memory import RUN_MEMORY
from dts_pipeline.defs.resources import runtime_key

if TYPE_CHECKING:  # pandas, SQLAlchemy and Kafka's client are left for the run to import
    from dts_pipeline.core.contract import Difference
    from dts_pipeline.stages.contract import ContractReport

CONTRACT = "contract"


def contract_check_key(link: str) -> dg.AssetCheckKey:
    """The key of a link's check."""
    return dg.AssetCheckKey(checkpoint_key(link), CONTRACT)


def contract_check(link: Link) -> dg.AssetChecksDefinition:
    """An error for what stops the next run, a warning for what only some rows would suffer from."""

    @dg.asset_check(
        asset=checkpoint_key(link.name),
        name=CONTRACT,
        description="Tables of both sites and the connector's settings let every value arrive.",
        required_resource_keys={RUN_MEMORY, runtime_key(link.name)},
    )
    def contract(context) -> dg.AssetCheckResult:  # type: ignore[no-untyped-def]
        from dts_pipeline.stages.contract import contract as compared

        with reported(context, getattr(context.resources, RUN_MEMORY), "contract"):
            report = compared(getattr(context.resources, runtime_key(link.name)))
        return _result(report)

    return contract


def _result(report: "ContractReport") -> dg.AssetCheckResult:
    counts = {"harmless": 0, "lossy": 0, "impossible": 0}
    for difference in report.differences:
        counts[difference.fit] += 1
    stops = bool(report.grave or report.missing)
    return dg.AssetCheckResult(
        passed=not (stops or counts["lossy"]),
        severity=dg.AssetCheckSeverity.ERROR if stops else dg.AssetCheckSeverity.WARN,
        metadata={
            "tables": report.tables,
            **counts,
            "missing_at_target": ", ".join(report.missing) or "none",
            "connector_settings": "compared" if report.settings_seen else "not seen",
            "differences": dg.MetadataValue.table(
                [_record(difference, report.grave) for difference in report.differences],
                dg.TableSchema([dg.TableColumn(name) for name in _COLUMNS]),
            ),
        },
    )


_COLUMNS = ("table", "column", "code", "fit", "stops", "why", "next")


def _record(difference: "Difference", grave: "tuple[Difference, ...]") -> dg.TableRecord:
    stops = "yes" if difference in grave else "no"
    return dg.TableRecord(
        dict(
            zip(
                _COLUMNS,
                (
                    difference.table,
                    difference.column or "",
                    difference.code,
                    str(difference.fit),
                    stops,
                    difference.message,
                    difference.remedy,
                ),
                strict=True,
            )
        )
    )
