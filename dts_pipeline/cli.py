"""`dts`: reads arguments and the environment; dts_pipeline/commands does the work.

Exit status: 0 done, 1 found something that wants attention, 2 could not do it, 130 broken off.
An error is one block on stderr; with `--json` it is `{"error": {"code", "message", "where",
"remedy"}}` on stdout.
"""

from __future__ import annotations

import functools
import json
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Never

import click

from dts_pipeline import __version__
from dts_pipeline.commands import completion, exits
from dts_pipeline.commands.output import Output
from dts_pipeline.commands.session import Session
from dts_pipeline.errors import DtsError, TerminalError

if TYPE_CHECKING:
    from dts_pipeline.core.selection import Selection

_Body = Callable[..., int]


class Commands(click.Group):
    """A group whose every ending is an exit status and, on failure, one error block."""

    def main(  # type: ignore[override]
        self, args: Sequence[str] | None = None, prog_name: str | None = None, **extra: Any
    ) -> Never:
        """Runs one command and exits."""
        arguments = list(sys.argv[1:] if args is None else args)
        output = Output(as_json="--json" in arguments)
        extra["standalone_mode"] = False
        try:
            status = super().main(arguments, prog_name or "dts", **extra)
        except click.exceptions.NoArgsIsHelpError as error:
            error.show()
            sys.exit(exits.FAILED)
        except click.ClickException as error:
            output.error(_usage(error))
            sys.exit(exits.FAILED)
        except (click.Abort, KeyboardInterrupt):
            output.error(TerminalError("interrupted", "broken off", remedy=_INTERRUPTED))
            sys.exit(exits.INTERRUPTED)
        except DtsError as error:
            _trace(arguments)
            output.error(error)
            sys.exit(exits.FAILED)
        except Exception as error:
            _trace(arguments)
            output.error(_unexpected(error))
            sys.exit(exits.FAILED)
        sys.exit(status or exits.DONE)


_INTERRUPTED = "Nothing is half-written: a batch is one transaction. Start it again."


def _usage(error: click.ClickException) -> TerminalError:
    return TerminalError(
        "usage", error.format_message(), remedy="`dts COMMAND --help` shows what there is."
    )


def _unexpected(error: Exception) -> TerminalError:
    """An error that nobody foresaw, without its text: that can hold row values."""
    return TerminalError(
        "internal_error",
        f"dts met an unexpected {type(error).__name__}",
        remedy="This is a mistake in the pipeline. --debug shows where; look through its text "
        "before you pass it on, it can hold row values.",
    )


def _trace(arguments: Sequence[str]) -> None:
    if "--debug" in arguments:
        traceback.print_exc()


def _command(body: _Body) -> _Body:
    """Adds the options of every command and hands over a Session and an Output."""

    @click.option(
        "--config",
        type=click.Path(path_type=Path),
        envvar="DTS_CONFIG",
        default=Path("dts.yaml"),
        show_envvar=True,
        show_default=True,
        help="The configuration.",
    )
    @click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
    @click.option("--debug", is_flag=True, expose_value=False, help="Tracebacks on stderr.")
    @functools.wraps(body)
    def run(config: Path, as_json: bool, **arguments: Any) -> int:
        return body(Session(config, os.environ), Output(as_json), **arguments)

    return run


def _ranged(body: _Body) -> _Body:
    """Adds the options that name a range, the same everywhere, and hands over a Selection."""

    @click.option("--topic", "topics", multiple=True, help="A topic; the next three go with it.")
    @click.option("--partition", "partitions", multiple=True, type=int, help="Default: 0.")
    @click.option("--from", "froms", multiple=True, type=int, help="The first offset.")
    @click.option("--until", "untils", multiple=True, type=int, help="The offset after the last.")
    @click.option("--since", help="Instead: from this time (ISO, UTC) on.")
    @click.option("--until-time", help="Up to this time; default: what Kafka holds now.")
    @click.option("--table", "tables", multiple=True, help="Only schema.table; patterns work.")
    @functools.wraps(body)
    def run(session: Session, output: Output, **arguments: Any) -> int:
        from dts_pipeline.core.selection import parse_selection

        words = ("topics", "partitions", "froms", "untils", "since", "until_time", "tables")
        named = {word: arguments.pop(word) for word in words}
        return body(session, output, selection=parse_selection(**named), **arguments)

    return run


_ABOUT = """\b
Files and environment:
  dts.yaml      the configuration; --config FILE or DTS_CONFIG names another
  ${NAME}       secrets stand in dts.yaml by name, their values in the environment
  DAGSTER_HOME  where given, runs of `dts sync` are seen in Dagster's UI

\b
Exit status: 0 done, 1 found something that wants attention, 2 could not do it,
130 broken off. With --json, stdout is one JSON document, also for an error:
{"error": {"code", "message", "where", "remedy"}}.

\b
A new pair, step by step:
  dts init --print          what the administrators of the servers have to run
  dts init                  makes the ledger
  dts preflight             looks for what would stop a link or lose rows
  dts connectors --register captures what is written from now on
  dts status                where every link stands

\b
Completion (bash; also zsh and fish): eval "$(_DTS_COMPLETE=bash_source dts)"
"""


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]}, epilog=_ABOUT)
@click.version_option(__version__, prog_name="dts")
def main() -> None:
    """Keeps MySQL and MariaDB servers that all take writes equal."""


@main.command("config-schema")
def config_schema() -> None:
    """Print the JSON Schema of dts.yaml, for editors and checks."""
    from dts_pipeline.commands.config_schema import config_schema as schema

    click.echo(json.dumps(schema(), indent=2))


@main.command()
@click.option("--print", "only_print", is_flag=True, help="Show the SQL and GRANTs; run nothing.")
@_command
def init(session: Session, output: Output, only_print: bool) -> int:
    """Make the ledger at every site.

    Harmless where it is there already. All sites get one installation id; status 2 if two of
    them belong to different installations.
    """
    from dts_pipeline.commands import init as command

    return (command.print_sql if only_print else command.init)(session, output)


@main.command()
@click.option("--all", "everything", is_flag=True, help="Also list what is in order.")
@_command
def preflight(session: Session, output: Output, everything: bool) -> int:
    """Look for what would stop a link or lose rows.

    Asks every site, Kafka and Connect, and changes nothing. Status 1 if there is an error;
    warnings do not count.
    """
    from dts_pipeline.commands import preflight as command

    return command.preflight(session, output, everything=everything)


@main.command()
@click.option("--register", is_flag=True, help="Register them with Kafka Connect.")
@_command
def connectors(session: Session, output: Output, register: bool) -> int:
    """Show or register the Debezium connectors.

    With --register, each is created or changed, and waited for until it really captures.
    """
    from dts_pipeline.commands import connectors as command

    return (command.register if register else command.show)(session, output)


@main.command()
@click.argument("link", shell_complete=completion.links)
@click.option("--until-caught-up", is_flag=True, help="Repeat until nothing is left in Kafka.")
@click.option("--lane", help="Only this one of the link's lanes.")
@_command
def sync(
    session: Session, output: Output, link: str, lane: str | None, until_caught_up: bool
) -> int:
    """Run LINK's job in this process, of each of its lanes in turn.

    Status 1 if the link is paused. The run is seen in Dagster's UI when DAGSTER_HOME is set.
    """
    from dts_pipeline.commands import sync as command

    return command.sync(session, output, link, lane=lane, until_caught_up=until_caught_up)


@main.command()
@click.option("--watch", "watching", is_flag=True, help="Show it again and again, until Ctrl-C.")
@click.option(
    "--interval",
    default=5.0,
    show_default=True,
    type=click.FloatRange(min=0.1),
    help="Seconds between two looks of --watch.",
)
@_command
def status(session: Session, output: Output, watching: bool, interval: float) -> int:
    """Show where every link stands.

    Goes on without a server that is down, and says which. Status 1 if a link is paused, has
    open conflicts or its last run failed, or a server does not answer; 2 if no link could be read.
    """
    from dts_pipeline.commands import status as command

    if watching and output.as_json:
        raise click.UsageError("--watch is for people; a program asks again")
    return command.watch(session, interval) if watching else command.status(session, output)


@main.command()
@click.option("--listen", default="127.0.0.1:9808", show_default=True, help="HOST:PORT.")
@click.option(
    "--interval",
    default=15.0,
    show_default=True,
    type=click.FloatRange(min=0.1),
    help="Seconds between two readings of a ledger.",
)
@_command
def exporter(session: Session, output: Output, listen: str, interval: float) -> int:
    """Serve the ledgers' figures to Prometheus.

    Runs until SIGTERM or Ctrl-C. Only reads; a server that does not answer is shown by
    `dts_link_up` and hides no other link.
    """
    from dts_pipeline.commands import exporter as command

    return command.exporter(session, output, listen=listen, interval=interval)


@main.command()
@click.argument("pair", required=False, shell_complete=completion.pairs)
@click.option("--carry", is_flag=True, help="Run the links' batches in this process meanwhile.")
@_command
def settle(session: Session, output: Output, pair: str | None, carry: bool) -> int:
    """Close records of conflicts by making their keys equal at both sites.

    One PAIR or all. Waits for the scheduled runs to carry what is on its way; --carry carries it
    here. Status 1 if a record stays open.
    """
    from dts_pipeline.commands import settle as command

    return command.settle(session, output, pair, carry=carry)


@main.command()
@click.argument("link", shell_complete=completion.links)
@click.option("--to", help="`latest`, or a time (ISO, UTC): what comes to Kafka from then on.")
@click.option("--execute", is_flag=True, help="Move it; without, only show what it passes over.")
@click.option("--lane", help="This one of the link's lanes; needed where there are several.")
@_command
def checkpoint(
    session: Session, output: Output, link: str, to: str | None, execute: bool, lane: str | None
) -> int:
    """Show LINK's checkpoint, or move it on, under a new generation.

    What lies between is not carried: compare the sites afterwards (`dts verify`). A checkpoint
    does not move back: `dts replay` makes right what a past range touched.
    """
    from dts_pipeline.commands import checkpoint as command

    if execute and to is None:
        raise click.UsageError("--execute needs --to")
    return command.checkpoint(session, output, link, to, execute, lane)


@main.command()
@click.argument("link", shell_complete=completion.links)
@click.option("--lane", help="Only this one of the link's lanes.")
@_command
def pause(session: Session, output: Output, link: str, lane: str | None) -> int:
    """Let LINK's runs write nothing."""
    from dts_pipeline.commands.pause import set_paused

    return set_paused(session, output, link, lane, paused=True)


@main.command()
@click.argument("link", shell_complete=completion.links)
@click.option("--lane", help="Only this one of the link's lanes.")
@_command
def resume(session: Session, output: Output, link: str, lane: str | None) -> int:
    """Let LINK's runs write again."""
    from dts_pipeline.commands.pause import set_paused

    return set_paused(session, output, link, lane, paused=False)


@main.command()
@click.argument("link", shell_complete=completion.links)
@click.option("--policy", help="Try another policy, such as '{site: a}'.")
@click.option("--limit", default=20, show_default=True, help="How many keys to show.")
@_command
@_ranged
def preview(
    session: Session,
    output: Output,
    link: str,
    selection: Selection,
    policy: str | None,
    limit: int,
) -> int:
    """Show what a range of LINK would do at the target right now.

    Without a range: what lies past the checkpoint. Writes nothing and locks no row. Status 1 if
    both sides changed a key of the range.
    """
    from dts_pipeline.commands import preview as command

    return command.preview(session, output, link, selection, policy=policy, limit=limit)


@main.command()
@click.argument(
    "name",
    metavar="[PAIR_OR_LINK]",
    required=False,
    shell_complete=completion.pairs_and_links,
)
@click.option("--table", "tables", multiple=True, help="Only schema.table; may be repeated.")
@click.option("--resume", is_flag=True, help="Go on where a comparison was broken off.")
@click.option("--carry", is_flag=True, help="Run the links' batches in this process meanwhile.")
@click.option("--limit", default=20, show_default=True, help="How many keys to show a table.")
@_command
def verify(
    session: Session,
    output: Output,
    name: str | None,
    tables: tuple[str, ...],
    resume: bool,
    carry: bool,
    limit: int,
) -> int:
    """Compare both sites row by row, by checksums, while users write.

    A pair, a one-way link, or everything. Rows on their way are waited for: the links must run,
    by their schedule or by --carry.
    Status 1 if keys differ; 2 if none does but some were written to whenever they were looked at.
    """
    from dts_pipeline.commands import verify as command

    return command.verify(
        session, output, name, tables=tables, resume=resume, carry=carry, limit=limit
    )


@main.command()
@click.argument("link", shell_complete=completion.links)
@click.option("--execute", is_flag=True, help="Do it; without, only show what it would take on.")
@click.option("--policy", help="Instead of 'the source wins', such as '{newest: updated_at}'.")
@click.option("--carry", is_flag=True, help="Run the pair's batches in this process meanwhile.")
@_command
@_ranged
def replay(
    session: Session,
    output: Output,
    link: str,
    selection: Selection,
    execute: bool,
    policy: str | None,
    carry: bool,
) -> int:
    """Make right at LINK's target what a past range touched.

    With the rows of today, never the range's own; the checkpoint does not move, and syncing goes
    on. On a pair this waits for the scheduled runs; --carry runs them here. Status 1 if some keys
    could not be made equal.
    """
    from dts_pipeline.commands import replay as command

    return command.replay(
        session, output, link, selection, policy=policy, execute=execute, carry=carry
    )


@main.command()
@click.argument("name", metavar="PAIR_OR_LINK", shell_complete=completion.pairs_and_links)
@click.option("--table", "tables", multiple=True, help="Only schema.table; may be repeated.")
@click.option("--winner", help="The site whose rows win; of a one-way link it is the source.")
@click.option("--execute", is_flag=True, help="Write; without it only shown.")
@click.option("--resume", is_flag=True, help="Go on where a comparison was broken off.")
@click.option("--carry", is_flag=True, help="Run the links' batches in this process meanwhile.")
@click.option("--limit", default=20, show_default=True, help="How many keys to show a table.")
@_command
def repair(
    session: Session,
    output: Output,
    name: str,
    tables: tuple[str, ...],
    winner: str | None,
    execute: bool,
    resume: bool,
    carry: bool,
    limit: int,
) -> int:
    """Make the keys equal that a comparison finds different.

    Compares as `dts verify` does, then with --execute writes the winner's rows at the other site,
    while users write. Status 1 if keys are left different.
    """
    from dts_pipeline.commands import repair as command

    return command.repair(
        session,
        output,
        name,
        tables=tables,
        winner=winner,
        execute=execute,
        resume=resume,
        carry=carry,
        limit=limit,
    )


@main.command()
@click.argument("name", metavar="PAIR_OR_LINK", shell_complete=completion.pairs_and_links)
@click.option("--table", "tables", multiple=True, help="Only schema.table; may be repeated.")
@click.option("--from", "source", help="The site that has the data; else told by which is empty.")
@click.option("--execute", is_flag=True, help="Write; without it only shown.")
@click.option("--status", is_flag=True, help="Show how far the load of each table is.")
@click.option("--carry", is_flag=True, help="Run the links' batches in this process meanwhile.")
@_command
def load(
    session: Session,
    output: Output,
    name: str,
    tables: tuple[str, ...],
    source: str | None,
    execute: bool,
    status: bool,
    carry: bool,
) -> int:
    """Give a site the rows that it lacks, while users write.

    Shows by table what would be done, with --execute does it, and compares at the end. Broken off
    at any point, the same command goes on there. The links must run, by their schedule or by
    --carry. Status 1 if keys are left different, or with --status if a load is open.
    """
    from dts_pipeline.commands import load as command

    return command.load(
        session,
        output,
        name,
        tables=tables,
        source=source,
        execute=execute,
        status=status,
        carry=carry,
    )


@main.group(invoke_without_command=True)
@click.option("--link", help="Only what this link recorded.")
@click.option("--table", help="Only schema.table.")
@click.option("--kind", help="Only this kind, such as update_update or unique.")
@click.option(
    "--state",
    type=click.Choice(["open", "closed", "all"]),
    default="open",
    show_default=True,
    help="Only records that are open or closed.",
)
@click.option("--limit", default=50, show_default=True, help="How many records to show.")
@_command
def conflicts(
    session: Session,
    output: Output,
    link: str | None,
    table: str | None,
    kind: str | None,
    state: str,
    limit: int,
) -> int:
    """List what both sites disputed, the newest first.

    Status 1 if an open record is among them. `dts conflicts show SITE:NUMBER` shows one.
    """
    if click.get_current_context().invoked_subcommand:
        return exits.DONE
    from dts_pipeline.adapters.conflict_list import Filter
    from dts_pipeline.commands import conflicts as command

    return command.conflicts(session, output, link, Filter(table, kind, state), limit)


@conflicts.command("show")
@click.argument("number", metavar="ID")
@_command
def show_conflict(session: Session, output: Output, number: str) -> int:
    """Show a record's rows before, after and found, side by side."""
    from dts_pipeline.commands import conflicts as command

    return command.show(session, output, number)


@main.group()
def quarantine() -> None:
    """Look after keys that could not be decoded or written (`on_poison: quarantine`)."""


@quarantine.command("list")
@click.option("--link", help="Only what this link holds.")
@_command
def list_quarantine(session: Session, output: Output, link: str | None) -> int:
    """List them, without keys and values. Status 1 if there are any."""
    from dts_pipeline.commands import quarantine as command

    return command.list_quarantine(session, output, link)


@quarantine.command("retry")
@click.argument("number", metavar="ID")
@click.option("--carry", is_flag=True, help="Run the pair's batches in this process meanwhile.")
@_command
def retry_quarantine(session: Session, output: Output, number: str, carry: bool) -> int:
    """Make a key right with the source's row, and take it out.

    Status 1 if it has to stay, because its row kept changing.
    """
    from dts_pipeline.commands import quarantine as command

    return command.retry(session, output, number, carry=carry)


@quarantine.command("discard")
@click.argument("number", metavar="ID")
@_command
def discard_quarantine(session: Session, output: Output, number: str) -> int:
    """Give a key's held changes up: the target's row stays."""
    from dts_pipeline.commands import quarantine as command

    return command.discard(session, output, number)


@main.command(context_settings={"ignore_unknown_options": True})  # a key can be -1
@click.argument("table")
@click.argument("key")
@click.option("--since", help="Only what came to Kafka from this time (ISO, UTC) on.")
@click.option("--limit", default=100, show_default=True, help="How many events, the newest.")
@_command
def trace(
    session: Session, output: Output, table: str, key: str, since: str | None, limit: int
) -> int:
    """Show what touched the row KEY of TABLE, through every link.

    KEY is a JSON object of the primary key's columns, or the bare value of a single one. Status 1
    if Kafka no longer holds a part.
    """
    from dts_pipeline.commands import trace as command

    return command.trace(session, output, table, key, since=since, limit=limit)


if __name__ == "__main__":
    main()
