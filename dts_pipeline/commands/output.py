"""What the terminal shows: tables for people, one JSON document for programs, errors for both."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from dts_pipeline.errors import DtsError


@dataclass(frozen=True)
class Output:
    """Where a command's results go: to people, or with `as_json` to a program."""

    as_json: bool

    def document(self, data: object) -> None:
        """The one JSON document of a command, on stdout; nothing without `--json`."""
        if self.as_json:
            click.echo(json.dumps(data, indent=2, default=str))

    def line(self, text: str) -> None:
        """A line for people, on stdout."""
        if not self.as_json:
            click.echo(text)

    def table(self, title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        """A table for people; whole numbers stand to the right."""
        if self.as_json:
            return
        table = table_of(title, columns, rows)
        console = Console()
        if not console.is_terminal:
            console.width = 10_000  # nothing is folded in a pipe: lines can be searched
        console.print(table)

    def error(self, error: DtsError) -> None:
        """An error as one block on stderr, or with `--json` as an object on stdout."""
        if self.as_json:
            self.document({"error": error.to_dict()})
        else:
            click.echo(error_block(error), err=True)


def table_of(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> Table:
    """What `Output.table` prints."""
    table = Table(title=title or None, title_justify="left", title_style="bold")
    for index, column in enumerate(columns):
        numbers = all(isinstance(row[index], int | float) for row in rows)
        table.add_column(column, justify="right" if numbers and rows else "left")
    for row in rows:
        # Text: a server's words must not be read as markup.
        table.add_row(*(Text(_cell(value)) for value in row))
    return table


def error_block(error: DtsError) -> str:
    """What happened, its code, where, and what to do next, each on a line of its own."""
    lines = [f"error: {error.message.strip()}", f"  code:  {error.code}"]
    if error.where:
        lines.append(f"  where: {place(error.where)}")
    if error.remedy:
        lines.append(f"  next:  {error.remedy}")
    return "\n".join(lines)


def place(where: Mapping[str, object]) -> str:
    """`key=value`, separated by blanks."""
    return " ".join(f"{key}={value}" for key, value in where.items())


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:,.1f}"
    return f"{value:,}" if isinstance(value, int) else str(value)
