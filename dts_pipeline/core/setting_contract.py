"""Whether a connector's settings let every change through as the source wrote it.

Names and defaults are those of Debezium's MySQL and MariaDB connectors and of Kafka Connect's JSON
converter.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from dts_pipeline.core.connector_config import JSON_CONVERTER
from dts_pipeline.core.contract import Difference
from dts_pipeline.core.decode_modes import ValueModes, lossy_modes
from dts_pipeline.core.schema import Table
from dts_pipeline.core.type_fit import Fit

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


@dataclass(frozen=True)
class Capture:
    """A connector's settings, the tables that it is to capture, and whether TRUNCATE matters.

    `truncates_matter` is false where dts.yaml says `truncate: ignore`.
    """

    settings: Mapping[str, str]
    tables: Sequence[Table]
    truncates_matter: bool = True


def compare_settings(capture: Capture) -> list[Difference]:
    """What the settings do to events of the tables; the differences name no table.

    IMPOSSIBLE: nothing readable arrives. LOSSY and `silent`: changes are lost or altered without
    an error. LOSSY otherwise: they may be, which cannot be seen from the settings.
    """
    return [difference for rule in RULES for difference in rule(capture)]


def modes(capture: Capture) -> Iterator[Difference]:
    """Type modes that lose values; a run asks Connect for the others and reads with them."""
    found = ValueModes.of(capture.settings)
    sentences: dict[str, None] = {}
    for table in capture.tables or [Table("", "", (), ())]:
        sentences |= dict.fromkeys(lossy_modes(found, table))
    for sentence in sentences:
        yield _altered(
            "lossy_mode", sentence, "What arrived so already stays so: compare both sites."
        )


def time_adjuster(capture: Capture) -> Iterator[Difference]:
    """Tried: DATE 0012-01-01 arrives as 2012-01-01 with Debezium's default."""
    on = capture.settings.get("enable.time.adjuster", "true").lower() == "true"
    dated = [
        table.full_name
        for table in capture.tables
        if any(column.data_type in _ADJUSTED for column in table.columns)
    ]
    if on and dated:
        yield _altered(
            "time_adjuster",
            "enable.time.adjuster is not false: years 0 to 99 arrive as 1970 to 2069 "
            f"({len(dated)} table(s), {dated[0]} among them)",
            "Set it to false.",
        )


def null_replaced(capture: Capture) -> Iterator[Difference]:
    """A column with a DEFAULT would arrive as that DEFAULT instead of NULL."""
    for role in ("value", "key"):
        name = f"{role}.converter.replace.null.with.default"
        if (
            f"{role}.converter" in capture.settings
            and capture.settings.get(name, "true").lower() != "false"
        ):
            yield _altered(
                "null_replaced",
                f"{name} is not false: NULL arrives as the column's DEFAULT",
                "Set it to false; rows that were NULL may have arrived wrong.",
            )


def converters(capture: Capture) -> Iterator[Difference]:
    """The pipeline reads JSON, with or without schemas."""
    for role in ("key", "value"):
        found = capture.settings.get(f"{role}.converter")
        if found is None:
            yield _unsure(
                "converter_unknown",
                f"{role}.converter is the worker's, whose settings cannot be seen: it must be "
                "JsonConverter with replace.null.with.default=false",
                "Spell the converter in the connector's own settings.",
            )
        elif found.rpartition(".")[2] != JSON_CONVERTER.rpartition(".")[2]:
            yield _unreadable(
                "converter_unread",
                f"{role}.converter is {found}, which the pipeline does not read",
                f"Use {JSON_CONVERTER}.",
            )


def skipped(capture: Capture) -> Iterator[Difference]:
    """Kinds of change that are left out; Debezium leaves truncates out by default."""
    value = capture.settings.get("skipped.operations", "t").lower()
    letters = {part.strip() for part in value.split(",")}
    lost = sorted(letters & {"c", "u", "d"})
    if lost:
        yield _altered(
            "operations_skipped",
            f"skipped.operations leaves out {', '.join(lost)}: those changes are lost",
            "Set it to none.",
        )
    if "t" in letters and capture.truncates_matter:
        yield _altered(
            "truncate_unseen",
            "skipped.operations leaves out truncates, Debezium's default: a TRUNCATE at the source "
            "would pass unseen instead of stopping the link",
            "Set it to none, or `truncate: ignore` in dts.yaml.",
        )


def failures(capture: Capture) -> Iterator[Difference]:
    """Settings that pass over what they cannot read."""
    expected = {
        "event.processing.failure.handling.mode": "fail",
        "event.deserialization.failure.handling.mode": "fail",
        "inconsistent.schema.handling.mode": "fail",
        "errors.tolerance": "none",
        "schema.history.internal.skip.unparseable.ddl": "false",
    }
    for name, wanted in expected.items():
        value = capture.settings.get(name, wanted).lower()
        if value != wanted:
            yield _altered(
                "events_dropped",
                f"{name} is {value}: what cannot be read is passed over",
                f"Set it to {wanted}, and compare both sites.",
            )


def columns(capture: Capture) -> Iterator[Difference]:
    """Settings that leave out, mask, cut or rename."""
    for name, value in sorted(capture.settings.items()):
        touches = name in ("column.include.list", "column.exclude.list") or name.startswith(
            ("column.mask.", "column.truncate.")
        )
        renames = name == "field.name.adjustment.mode" and value != "none"
        if touches or renames or (name == "message.key.columns" and value):
            yield _altered(
                "columns_changed", f"{name} changes what arrives of a row", "Leave it out."
            )
        if name in ("converters", "post.processors") and value:
            yield _unsure(
                "values_converted",
                f"{name} is set: values may arrive in a form that the pipeline misreads",
                "Leave it out.",
            )


def naming(capture: Capture) -> Iterator[Difference]:
    """The pipeline looks for `<prefix>.<schema>.<table>`."""
    expected = {"topic.delimiter": ".", "topic.naming.strategy": _STANDARD_NAMING}
    for name, wanted in expected.items():
        if capture.settings.get(name, wanted) != wanted:
            yield _unreadable("topic_naming", f"{name} is not {wanted}", "Leave it out.")


def transforms(capture: Capture) -> Iterator[Difference]:
    """Transformations change, route or drop events before Kafka."""
    names = [n.strip() for n in capture.settings.get("transforms", "").split(",") if n.strip()]
    for name in names:
        kind = capture.settings.get(f"transforms.{name}.type", "").split("$")[0]
        simple = kind.rpartition(".")[2]
        say = _altered if simple in _DANGEROUS_TRANSFORMS else _unsure
        yield say(
            "transforms_present",
            f"the transformation {name} ({simple}) may change, route or drop events",
            "Leave it out; the pipeline needs Debezium's whole envelope.",
        )


def _altered(code: str, message: str, remedy: str) -> Difference:
    return Difference(Fit.LOSSY, code, "", None, message, f"{remedy} {_REGISTER}", silent=True)


def _unsure(code: str, message: str, remedy: str) -> Difference:
    return Difference(Fit.LOSSY, code, "", None, message, f"{remedy} {_REGISTER}")


def _unreadable(code: str, message: str, remedy: str) -> Difference:
    return Difference(Fit.IMPOSSIBLE, code, "", None, message, f"{remedy} {_REGISTER}")


RULES: tuple[Callable[[Capture], Iterator[Difference]], ...] = (
    modes,
    time_adjuster,
    null_replaced,
    converters,
    skipped,
    failures,
    columns,
    naming,
    transforms,
)
