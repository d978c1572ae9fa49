"""A server of the stack: how it is prepared, started, asked and stopped."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from localstack.account import Account
from localstack.commands import Command


@dataclass(frozen=True)
class Service:
    """One long-running process of a stack."""

    name: str
    argv: tuple[str, ...]
    cwd: Path
    log: Path
    account: Account
    #: Writes folders and settings files; called before every start.
    configure: Callable[[], None]
    #: Commands for a fresh data folder, run before the first start.
    prepare: tuple[Command, ...]
    #: An empty text when the server does its work, otherwise why not.
    ask: Callable[[], str]
    #: Called once, when a fresh server has answered.
    settle: Callable[[], None] = lambda: None
    #: More variables of its environment.
    env: Mapping[str, str] = field(default_factory=dict)
    stop_seconds: float = 30
