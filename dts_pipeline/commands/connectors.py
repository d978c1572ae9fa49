"""`dts connectors`: the Debezium connector of every source site, shown or registered."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from rich.console import Console

from dts_pipeline.commands import exits
from dts_pipeline.commands.output import Output
from dts_pipeline.commands.session import Session

if TYPE_CHECKING:
    from dts_pipeline.adapters.connector_setup import Registered


def show(session: Session, output: Output) -> int:
    """Shows each connector's settings as Kafka Connect wants them, secrets as `${NAME}`."""
    from dts_pipeline.adapters.connector_setup import connector_specs

    dialects = {site: db.facts.dialect for site, db in session.databases.items()}
    specs = connector_specs(session.config, dialects)
    output.document({"connectors": {spec.name: dict(spec.settings) for spec in specs.values()}})
    for site, spec in specs.items():
        output.line(f"# {spec.name} (site {site})\n{json.dumps(dict(spec.settings), indent=2)}")
    return exits.DONE


def register(session: Session, output: Output) -> int:
    """Registers or changes each connector, and waits until what is written now is captured.

    A connector begins where the log stands at its first start: what was written before is not
    carried. Raises what `register_connectors` raises; those done before are shown all the same.
    """
    from dts_pipeline.adapters.connector_setup import register_connectors

    done: list[Registered] = []
    console = Console(stderr=True)
    with console.status("registering") as spinner:
        for entry in register_connectors(session.config, session.databases, session.secrets):
            done.append(entry)
            spinner.update(f"{entry.connector} captures site {entry.site}")
            output.line(f"{entry.connector}: captures site {entry.site} ({entry.seconds:.1f} s)")
    output.document({"connectors": [vars(entry) for entry in done]})
    return exits.DONE
