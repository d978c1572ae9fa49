"""The command line of `stack`."""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from localstack import lifecycle
from localstack.database import client_argv
from localstack.errors import StackError
from localstack.interrupts import INTERRUPTS
from localstack.jars import write_sums
from localstack.output import print_json, say, tail
from localstack.stackfile import FLAVOURS, SITES, Settings
from localstack.supervisor import NAMES

_DEFAULT_DIR = Path(__file__).resolve().parents[3] / ".local" / "stack"


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; 0 done, 1 not all well (status), 2 could not do it, 130 broken off."""
    arguments = _parser().parse_args(argv)
    INTERRUPTS.install()
    try:
        return _run(arguments)
    except (StackError, OSError) as error:
        print(f"stack: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stack: broken off", file=sys.stderr)
        return 130


def _run(arguments: argparse.Namespace) -> int:
    directory = Path(arguments.dir).absolute()
    match arguments.command:
        case "setup":
            lifecycle.set_up(arguments.flavour)
        case "sums":
            say(f"wrote the sums of {write_sums()} jars")
        case "up":
            print_json(lifecycle.up(directory, _settings(arguments)))
        case "down":
            lifecycle.down(directory, purge=arguments.purge)
        case "status":
            found = lifecycle.status(directory)
            print_json(found)
            return 0 if all(entry["answers"] for entry in found.values()) else 1
        case "logs":
            print(tail(lifecycle.require_stack(directory).log(arguments.name), arguments.lines))
        case "sql":
            _exec_client(directory, arguments)
        case "start":
            lifecycle.start_one(directory, arguments.name)
        case "stop":
            lifecycle.stop_one(directory, arguments.name)
        case "pause":
            lifecycle.pause_one(directory, arguments.name)
        case "kill":
            lifecycle.kill_one(directory, arguments.name)
        case "clock":
            lifecycle.set_one_clock(directory, arguments.name, arguments.seconds)
    return 0


def _settings(arguments: argparse.Namespace) -> Settings:
    return Settings(
        flavour=arguments.flavour,
        mark=arguments.mark,
        fast=arguments.fast,
        server_options=tuple(arguments.server_option),
        kafka_options=tuple(arguments.kafka_option),
        sink=arguments.sink,
        connect_options=tuple(arguments.connect_option),
        clocks=arguments.clocks,
        third_site=arguments.third_site or "",
    )


def _exec_client(directory: Path, arguments: argparse.Namespace) -> None:
    """Become the site's own command-line client."""
    argv = client_argv(lifecycle.require_stack(directory), arguments.site, admin=arguments.admin)
    os.execv(argv[0], [*argv, *arguments.rest])


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="stack", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    place = argparse.ArgumentParser(add_help=False)
    place.add_argument(
        "--dir", default=str(_DEFAULT_DIR), help="the stack's folder (default: %(default)s)"
    )
    flavour = argparse.ArgumentParser(add_help=False, parents=[place])
    flavour.add_argument("--flavour", choices=sorted(FLAVOURS), default="mariadb")
    commands.add_parser("setup", parents=[flavour], help="only install and download")
    commands.add_parser("sums", parents=[place], help="write jars.sha256 anew (maintainers)")
    _add_up(commands.add_parser("up", parents=[flavour], help="start a stack, print its JSON"))
    down = commands.add_parser("down", parents=[place], help="end a stack")
    down.add_argument("--purge", action="store_true", help="remove its data too")
    commands.add_parser("status", parents=[place], help="JSON by process")
    logs = commands.add_parser("logs", parents=[place], help="the end of a process's log")
    logs.add_argument("name", choices=NAMES)
    logs.add_argument("--lines", type=int, default=200)
    for name, text in (
        ("start", "start again, or go on"),
        ("stop", "end in order"),
        ("kill", "SIGKILL"),
        ("pause", "SIGSTOP"),
    ):
        one = commands.add_parser(name, parents=[place], help=f"one process: {text}")
        one.add_argument("name", choices=NAMES)
    clock = commands.add_parser("clock", parents=[place], help="set one process's clock")
    clock.add_argument("name", choices=NAMES)
    clock.add_argument("seconds", type=int, help="how far from the machine's, such as -3600")
    sql = commands.add_parser("sql", parents=[place], help="a site's command-line client")
    sql.add_argument("site", choices=SITES)
    sql.add_argument("--admin", action="store_true", help="as root instead of app")
    sql.add_argument("rest", nargs="*", help="the client's own arguments, after --")
    return parser


def _add_up(up: argparse.ArgumentParser) -> None:
    up.add_argument("--mark", choices=("origin", "comment"), default="origin")
    up.add_argument(
        "--fast",
        action="store_true",
        help="for tests, not for benchmarks: quick start, relaxed durability",
    )
    up.add_argument(
        "--sink",
        action="store_true",
        help="Connect has Debezium's JDBC sink too, for the benchmark",
    )
    up.add_argument(
        "--clocks", action="store_true", help="each process has a clock that `clock` sets"
    )
    up.add_argument(
        "--third-site",
        choices=("mariadb", "mysql"),
        help="a site c, which dts.yaml's pair is not of",
    )
    up.add_argument(
        "--server-option",
        action="append",
        default=[],
        type=_server_option,
        metavar="SITE:NAME=VALUE",
        help="an extra setting of one database server (repeatable)",
    )
    up.add_argument(
        "--kafka-option",
        action="append",
        default=[],
        type=_option,
        metavar="NAME=VALUE",
        help="an extra setting of the broker (repeatable)",
    )
    up.add_argument(
        "--connect-option",
        action="append",
        default=[],
        type=_option,
        metavar="NAME=VALUE",
        help="an extra setting of the Connect worker (repeatable)",
    )


def _option(text: str) -> str:
    name, equals, _ = text.partition("=")
    if not name or not equals or "\n" in text:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE")
    return text


def _server_option(text: str) -> str:
    site, colon, rest = text.partition(":")
    if site not in SITES or not colon:
        raise argparse.ArgumentTypeError(f"{text!r} does not begin with a site, such as a:")
    return f"{site}:{_option(rest)}"
