"""What the demo prints."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from demoshop.compare import Picture

CONSOLE = Console(highlight=False)
_BEGAN = time.monotonic()


def say(text: str) -> None:
    """Prints lines as they are."""
    CONSOLE.print(text, markup=False)


def step(text: str) -> None:
    """Prints a step and how long the demo has run."""
    CONSOLE.print(f"[bold]== {text}[/bold] [dim]({time.monotonic() - _BEGAN:.0f} s)[/dim]")


def board(now: Picture, what: str) -> Table:
    """Both sides, table by table."""
    table = Table(title=what, title_justify="left", title_style="bold")
    for column in ("table", "rows a", "rows b", "checksum a", "checksum b", ""):
        table.add_column(column, justify="right" if column.startswith("rows") else "left")
    for name, (rows, checksum) in now.sides["a"].tables.items():
        other_rows, other = now.sides["b"].tables[name]
        same = (rows, checksum) == (other_rows, other)
        word = "[green]equal[/green]" if same else "[yellow]different[/yellow]"
        table.add_row(name, f"{rows:,}", f"{other_rows:,}", checksum, other, word)
    batches = {**now.sides["a"].batches, **now.sides["b"].batches}
    table.caption = "batches: " + (
        ", ".join(f"{link} {number}" for link, number in sorted(batches.items())) or "none yet"
    )
    return table
