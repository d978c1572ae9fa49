"""What the shell offers for an argument; nothing where dts.yaml cannot be read."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from dts_pipeline.errors import DtsError

if TYPE_CHECKING:
    import click

    from dts_pipeline.config import Config


def links(context: click.Context, _: click.Parameter, begun: str) -> list[str]:
    """Names of links that go on as `begun`."""
    config = _config(context)
    return _going_on(config.resolved_links() if config else (), begun)


def pairs(context: click.Context, _: click.Parameter, begun: str) -> list[str]:
    """Names of pairs."""
    config = _config(context)
    return _going_on(config.pairs if config else (), begun)


def pairs_and_links(context: click.Context, _: click.Parameter, begun: str) -> list[str]:
    """Names of pairs and of one-way links."""
    config = _config(context)
    return _going_on((*config.pairs, *config.links) if config else (), begun)


def _config(context: click.Context) -> Config | None:
    from dts_pipeline.config import load_config

    try:
        return load_config(context.params.get("config") or "dts.yaml")
    except DtsError:
        return None


def _going_on(names: Iterable[str], begun: str) -> list[str]:
    return sorted(name for name in names if name.startswith(begun))
