"""Checks of the connector's settings that change, drop or rename what arrives."""

from __future__ import annotations

from dts_pipeline.adapters.connect_api import RegisteredConnector
from dts_pipeline.core.connector_config import JSON_CONVERTER
from dts_pipeline.core.decode_modes import ValueModes, lossy_modes
from dts_pipeline.core.schema import Table
from dts_pipeline.preflight.facts import Facts
from dts_pipeline.preflight.findings import error, warning
from dts_pipeline.preflight.registry import Problems, connector_check

_REGISTER = "Run `dts connectors --register`."
_ADJUSTED = frozenset({"date", "datetime", "timestamp", "year"})
_STANDARD_NAMING = "io.debezium.schema.SchemaTopicNamingStrategy"
_DANGEROUS_TRANSFORMS = (
    "ExtractNewRecordState",
    "ByLogicalTableRouter",
    "RegexRouter",
    "TimestampRouter",
    "Filter",
    "ContentBasedRouter",
    "EventRouter",
    "ReplaceField",
    "MaskField",
    "ValueToKey",
    "ExtractField",
    "Flatten",
    "Cast",
    "TimestampConverter",
    "HoistField",
    "ExtractChangedRecordState",
    "PartitionRouting",
    "SchemaChangeEventFilter",
    "TimezoneConverter",
    "DropFields",
)


def _tables(facts: Facts, site: str) -> list[Table]:
    found = {t.full_name: t for link in facts.links_from(site) for t in facts.carried(link)}
    return [found[name] for name in sorted(found)]


@connector_check("lossy_mode", "the type modes keep every value")
def modes(facts: Facts, site: str, connector: RegisteredConnector) -> Problems:
    """Modes that lose values; a run asks Connect for the others and reads with them."""
    found = ValueModes.of(connector.settings)
    sentences: dict[str, None] = {}
    for table in _tables(facts, site) or [Table("", "", (), ())]:
        sentences |= dict.fromkeys(lossy_modes(found, table))
    for sentence in sentences:
        yield error(sentence, f"What arrived so already stays so: compare both sites. {_REGISTER}")


@connector_check("time_adjuster", "years below 100 arrive as they are")
def time_adjuster(facts: Facts, site: str, connector: RegisteredConnector) -> Problems:
    """Tried: DATE 0012-01-01 arrives as 2012-01-01 with Debezium's default."""
    on = connector.settings.get("enable.time.adjuster", "true").lower() == "true"
    dated = [
        table.full_name
        for table in _tables(facts, site)
        if any(column.data_type in _ADJUSTED for column in table.columns)
    ]
    if on and dated:
        yield error(
            "enable.time.adjuster is not false: years 0 to 99 arrive as 1970 to 2069 "
            f"({len(dated)} table(s), {dated[0]} among them)",
            f"Set it to false. {_REGISTER}",
        )


@connector_check("null_replaced", "NULL stays NULL")
def null_replaced(_facts: Facts, _site: str, connector: RegisteredConnector) -> Problems:
    """A column with a DEFAULT would arrive as that DEFAULT instead of NULL."""
    settings = connector.settings
    for role in ("value", "key"):
        name = f"{role}.converter.replace.null.with.default"
        if f"{role}.converter" in settings and settings.get(name, "true").lower() != "false":
            yield error(
                f"{name} is not false: NULL arrives as the column's DEFAULT",
                f"Set it to false; rows that were NULL may have arrived wrong. {_REGISTER}",
            )


@connector_check("converter_unread", "keys and values arrive as JSON")
def converters(_facts: Facts, _site: str, connector: RegisteredConnector) -> Problems:
    """The pipeline reads JSON, with or without schemas."""
    for role in ("key", "value"):
        found = connector.settings.get(f"{role}.converter")
        if found is None:
            yield warning(
                f"{role}.converter is the worker's, whose settings cannot be seen: it must be "
                "JsonConverter with replace.null.with.default=false",
                f"Spell the converter in the connector's own settings. {_REGISTER}",
                code="converter_unknown",
            )
        elif found.rpartition(".")[2] != JSON_CONVERTER.rpartition(".")[2]:
            yield error(
                f"{role}.converter is {found}, which the pipeline does not read",
                f"Use {JSON_CONVERTER}. {_REGISTER}",
            )


@connector_check("operations_skipped", "no kind of change is left out")
def skipped(facts: Facts, site: str, connector: RegisteredConnector) -> Problems:
    """Debezium leaves truncates out by default."""
    value = connector.settings.get("skipped.operations", "t").lower()
    letters = {part.strip() for part in value.split(",")}
    lost = sorted(letters & {"c", "u", "d"})
    if lost:
        yield error(
            f"skipped.operations leaves out {', '.join(lost)}: those changes are lost",
            f"Set it to none. {_REGISTER}",
        )
    if "t" in letters and any(link.truncate == "stop" for link in facts.links_from(site)):
        yield error(
            "skipped.operations leaves out truncates, Debezium's default: a TRUNCATE at the source "
            "would pass unseen instead of stopping the link",
            f"Set it to none, or `truncate: ignore` in dts.yaml. {_REGISTER}",
            code="truncate_unseen",
        )


@connector_check("events_dropped", "an event that cannot be read stops the connector")
def failures(_facts: Facts, _site: str, connector: RegisteredConnector) -> Problems:
    """Settings that pass over what they cannot read."""
    expected = {
        "event.processing.failure.handling.mode": "fail",
        "event.deserialization.failure.handling.mode": "fail",
        "inconsistent.schema.handling.mode": "fail",
        "errors.tolerance": "none",
        "schema.history.internal.skip.unparseable.ddl": "false",
    }
    for name, wanted in expected.items():
        value = connector.settings.get(name, wanted).lower()
        if value != wanted:
            yield error(
                f"{name} is {value}: what cannot be read is passed over",
                f"Set it to {wanted}, and compare both sites. {_REGISTER}",
            )


@connector_check("columns_changed", "columns arrive whole and under their names")
def columns(_facts: Facts, _site: str, connector: RegisteredConnector) -> Problems:
    """Settings that leave out, mask, cut or rename."""
    for name, value in sorted(connector.settings.items()):
        touches = name in ("column.include.list", "column.exclude.list") or name.startswith(
            ("column.mask.", "column.truncate.")
        )
        renames = name == "field.name.adjustment.mode" and value != "none"
        if touches or renames or (name == "message.key.columns" and value):
            yield error(f"{name} changes what arrives of a row", f"Leave it out. {_REGISTER}")
        if name in ("converters", "post.processors") and value:
            yield warning(
                f"{name} is set: values may arrive in a form that the pipeline misreads",
                f"Leave it out. {_REGISTER}",
                code="values_converted",
            )


@connector_check("topic_naming", "topics have Debezium's own names")
def naming(_facts: Facts, _site: str, connector: RegisteredConnector) -> Problems:
    """The pipeline looks for `<prefix>.<schema>.<table>`."""
    expected = {"topic.delimiter": ".", "topic.naming.strategy": _STANDARD_NAMING}
    for name, wanted in expected.items():
        if connector.settings.get(name, wanted) != wanted:
            yield error(f"{name} is not {wanted}", f"Leave it out. {_REGISTER}")


@connector_check("transforms_present", "no transformation touches the events")
def transforms(_facts: Facts, _site: str, connector: RegisteredConnector) -> Problems:
    """Transformations change, route or drop events before Kafka."""
    names = [n.strip() for n in connector.settings.get("transforms", "").split(",") if n.strip()]
    for name in names:
        kind = connector.settings.get(f"transforms.{name}.type", "").split("$")[0]
        simple = kind.rpartition(".")[2]
        say = error if simple in _DANGEROUS_TRANSFORMS else warning
        yield say(
            f"the transformation {name} ({simple}) may change, route or drop events",
            f"Leave it out; the pipeline needs Debezium's whole envelope. {_REGISTER}",
        )
