"""The error of one value that cannot be read from its event."""

from __future__ import annotations

from dts_pipeline.errors import PoisonError


class ValueDecodeError(PoisonError):
    """A row whose values cannot be read; it never holds the value.

    `row` is the index in the sequence handed to `decode_rows`, `column` None when the row as a
    whole is at fault. `at` adds where in Kafka the event stands, which only the caller knows.
    """

    def __init__(
        self,
        reason: str,
        *,
        table: str,
        row: int,
        column: str | None,
        remedy: str = "",
        place: dict[str, object] | None = None,
    ) -> None:
        self.reason = reason
        self.table = table
        self.row = row
        self.column = column
        where: dict[str, object] = {**(place or {}), "table": table}
        if column is not None:
            where["column"] = column
        super().__init__("undecodable_value", reason, where=where, remedy=remedy or _REMEDY)

    def at(self, topic: str, partition: int, offset: int) -> ValueDecodeError:
        """The same error with the event's place."""
        return ValueDecodeError(
            self.reason,
            table=self.table,
            row=self.row,
            column=self.column,
            remedy=self.remedy,
            place={"topic": topic, "partition": partition, "offset": offset},
        )


_REMEDY = (
    "Check that the connector's type modes are those the pipeline was told of, and that the "
    "column has not changed its type since."
)
