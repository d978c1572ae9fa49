"""What a stack is, kept in DIR/stack.json (mode 0600, it holds passwords)."""

import base64
import json
import secrets
import socket
import uuid
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from localstack.account import current_account, write_private
from localstack.errors import StackError

SITES = ("a", "b", "c")
FLAVOURS = {
    "mariadb": ("mariadb", "mariadb"),
    "mysql": ("mysql", "mysql"),
    "mixed": ("mariadb", "mysql"),
}
ACCOUNTS = ("root", "app", "dts", "debezium")
_PORT_NAMES = ("site_a", "site_b", "site_c", "kafka", "controller", "connect")
# Below Linux's range for outgoing connections (32768 and up): while a server is stopped
# nobody is given its port by accident.
_PORTS = range(13000, 32000)


@dataclass(frozen=True)
class Settings:
    """What the user chose; a stack that exists keeps them."""

    flavour: str
    mark: str
    fast: bool
    server_options: tuple[str, ...]
    kafka_options: tuple[str, ...]
    sink: bool = False
    connect_options: tuple[str, ...] = ()
    clocks: bool = False
    third_site: str = ""

    @property
    def kinds(self) -> dict[str, str]:
        """`mariadb` or `mysql` by site; the third is there only if asked for."""
        kinds = (*FLAVOURS[self.flavour], *filter(None, [self.third_site]))
        return dict(zip(SITES, kinds, strict=False))

    def options_of(self, site: str) -> dict[str, str]:
        """The extra server settings of one site (`a:name=value`)."""
        own = (text.partition(":")[2] for text in self.server_options if text[:2] == f"{site}:")
        return pairs(tuple(own))


@dataclass(frozen=True)
class Stack:
    """One stack: where it lies, its settings, ports and passwords (by site and account)."""

    directory: Path
    settings: Settings
    ports: dict[str, int]
    passwords: dict[str, dict[str, str]]
    cluster_id: str

    @property
    def kinds(self) -> dict[str, str]:
        """`mariadb` or `mysql` by site."""
        return self.settings.kinds

    @property
    def bootstrap(self) -> str:
        """Kafka's bootstrap.servers."""
        return f"127.0.0.1:{self.ports['kafka']}"

    @property
    def connect_url(self) -> str:
        """Kafka Connect's REST address."""
        return f"http://127.0.0.1:{self.ports['connect']}"

    def placed(self, texts: Sequence[str]) -> dict[str, str]:
        """`name=value` texts as a dictionary; `{kafka}`, `{controller}`, `{connect}` are ports."""
        found = pairs(texts)
        for port in ("kafka", "controller", "connect"):
            found = {k: v.replace(f"{{{port}}}", str(self.ports[port])) for k, v in found.items()}
        return found

    def log(self, name: str) -> Path:
        """The log file of one process."""
        return self.directory / "logs" / f"{name}.log"


def pairs(texts: Sequence[str]) -> dict[str, str]:
    """`name=value` texts as a dictionary."""
    return {name: value for name, _, value in (text.partition("=") for text in texts)}


def new_stack(directory: Path, settings: Settings) -> Stack:
    """A stack with free ports and new passwords; nothing is written yet."""
    return Stack(
        directory,
        settings,
        dict(zip(_PORT_NAMES, free_ports(len(_PORT_NAMES)), strict=True)),
        {site: {name: secrets.token_hex(16) for name in ACCOUNTS} for site in SITES},
        new_cluster_id(),
    )


def new_cluster_id() -> str:
    """A Kafka id; one that begins with a dash would be read as an option."""
    while True:
        text = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode("ascii").rstrip("=")
        if not text.startswith("-"):
            return text


def free_ports(count: int) -> list[int]:
    """Loopback ports that nothing listens on, each different."""
    found: set[int] = set()
    for _ in range(len(_PORTS)):
        port = secrets.choice(_PORTS)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        found.add(port)
        if len(found) == count:
            return sorted(found)
    raise StackError(f"no {count} free ports between {_PORTS[0]} and {_PORTS[-1]}")


def save(stack: Stack) -> None:
    """Write DIR/stack.json."""
    value = {**asdict(stack), "directory": str(stack.directory)}
    write_private(_path(stack.directory), json.dumps(value, indent=2), current_account())


def load(directory: Path) -> Stack | None:
    """The stack in a folder, or None where there is none."""
    try:
        value = json.loads(_path(directory).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except PermissionError as error:
        raise StackError(f"{_path(directory)} belongs to another user") from error
    settings = value["settings"]
    for name in ("server_options", "kafka_options", "connect_options"):
        settings[name] = tuple(settings.get(name, ()))
    return Stack(
        directory, Settings(**settings), value["ports"], value["passwords"], value["cluster_id"]
    )


def _path(directory: Path) -> Path:
    return directory / "stack.json"
