"""`make bench`: how fast this pipeline is beside other ways to carry the same changes.

Exit status: 0 measured, 2 could not be done, or a result was wrong.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from benchmarks import report
from benchmarks.backlog import measure_backlog
from benchmarks.capture import measure_capture
from benchmarks.contenders.autocommit import Autocommit
from benchmarks.contenders.jdbc_sink import JdbcSink
from benchmarks.contenders.pipeline import Pipeline
from benchmarks.errors import BenchError
from benchmarks.lanes import measure_lanes
from benchmarks.latency import measure_latency
from benchmarks.measure import Contender, measure
from benchmarks.record import make_numbers, recorded
from benchmarks.report import Measured
from benchmarks.setting import ROOT, Setting, running
from benchmarks.startup import measure_startup
from benchmarks.workloads import WORKLOADS
from dts_pipeline.errors import DtsError

_CONTENDERS = ("pipeline", "sink", "autocommit")
_PARTS = ("capture", "startup", "backlog", "lanes", "latency")


def main(argv: Sequence[str] | None = None) -> int:
    """Measures what the arguments name, and writes report.md, results.json and plot.png."""
    arguments = parse(argv)
    out = Path(arguments.out).absolute()
    out.mkdir(parents=True, exist_ok=True)
    about = report.facts(_command(sys.argv[1:] if argv is None else argv))
    measured: list[Measured] = []
    parts: list[str] = []
    try:
        for target in arguments.targets:
            with running(target, arguments.stack) as setting:
                about[f"{target}'s version"] = setting.target_version()
                for each in _workloads(arguments, setting, out):
                    measured.append(each)
                    _write(out, about, measured, parts)
                parts += _parts(arguments, setting, out)
                _write(out, about, measured, parts)
    except (BenchError, DtsError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 2
    print(out / "report.md")
    return 0


def _workloads(arguments: argparse.Namespace, setting: Setting, out: Path) -> Iterator[Measured]:
    sizes = {
        name: WORKLOADS[name].sample if arguments.sample else WORKLOADS[name].events
        for name in arguments.workloads
    }
    for site in "ab":
        make_numbers(setting, site, max(sizes.values(), default=1))
    for name, size in sizes.items():
        workload = WORKLOADS[name].make(size)
        _say(f"recording {name}: {workload.what}")
        with recorded(setting, workload) as recording:
            runs = measure(recording, _contenders(arguments, out), arguments.repeat, _say)
        yield Measured(setting.target_kind, name, workload.what, runs)


def _contenders(arguments: argparse.Namespace, out: Path) -> list[Contender]:
    found: list[Contender] = []
    if "pipeline" in arguments.contenders:
        found += [
            Pipeline(out, detect == "on", form, staging, arguments.profile)
            for form in arguments.forms
            for detect in arguments.detect
            for staging in arguments.staging
            if form == "plain" or staging == "auto"  # the two have nothing to do with each other
        ]
    if "sink" in arguments.contenders:
        found.append(JdbcSink(dict(text.split("=", 1) for text in arguments.sink_setting)))
    if "autocommit" in arguments.contenders:
        found.append(Autocommit(out))
    return found


def _parts(arguments: argparse.Namespace, setting: Setting, out: Path) -> list[str]:
    found = []
    if "capture" in arguments.parts:
        _say("capture")
        found.append(measure_capture(setting, sample=arguments.sample))
    if "startup" in arguments.parts:
        _say("start-up")
        found.append(measure_startup(setting, out, arguments.repeat))
    if "backlog" in arguments.parts:
        _say("backlog")
        found.append(measure_backlog(setting, out, sample=arguments.sample))
    if "lanes" in arguments.parts:
        _say("lanes")
        found.append(measure_lanes(setting, out, arguments.repeat, sample=arguments.sample))
    if "latency" in arguments.parts:
        _say("delay")
        found.append(measure_latency(setting, out, sample=arguments.sample))
    return found


def _write(
    out: Path, about: dict[str, str], measured: Sequence[Measured], parts: Sequence[str]
) -> None:
    """The report so far: a bench that is broken off leaves what it has measured."""
    (out / "report.md").write_text(report.markdown(about, measured, parts), encoding="utf-8")
    report.write_json(out / "results.json", about, measured)
    if measured:
        from benchmarks.plot import draw  # matplotlib takes seconds to import

        draw(out / "plot.png", measured)


def _command(arguments: Sequence[str]) -> str:
    return shlex.join(["python", "-m", "benchmarks", *arguments])


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _names(known: Sequence[str]) -> Callable[[str], list[str]]:
    def parse(text: str) -> list[str]:
        names = text.replace(",", " ").split()
        unknown = sorted(set(names) - set(known))
        if unknown:
            raise argparse.ArgumentTypeError(f"{unknown[0]!r}: choose from {', '.join(known)}")
        return names

    return parse


def parse(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The arguments; naming only workloads, or only parts, leaves the other kind out."""
    arguments = _parser().parse_args(argv)
    if arguments.workloads is None and arguments.parts is None:
        arguments.workloads, arguments.parts = list(WORKLOADS), list(_PARTS)
    arguments.workloads = arguments.workloads or []
    arguments.parts = arguments.parts or []
    return arguments


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    for option, known in (("workloads", tuple(WORKLOADS)), ("parts", _PARTS)):
        parser.add_argument(
            f"--{option}",
            type=_names(known),
            help=f"of {', '.join(known)}; default: all, none where the other is given",
        )
    for option, known in (
        ("targets", ("mysql", "mariadb")),
        ("contenders", _CONTENDERS),
        ("detect", ("off", "on")),
        ("forms", ("plain", "schemas")),
        ("staging", ("auto", "insert")),
    ):
        parser.add_argument(
            f"--{option}",
            type=_names(known),
            default=list(known),
            help=f"of {', '.join(known)}; default: all",
        )
    parser.add_argument("--repeat", type=int, default=5, help="rounds; default: %(default)s")
    parser.add_argument("--sample", action="store_true", help="a twentieth of the events")
    parser.add_argument("--profile", action="store_true", help="a profile of each pipeline run")
    parser.add_argument(
        "--sink-setting",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="laid over the JDBC sink's settings (repeatable)",
    )
    parser.add_argument("--stack", type=Path, help="JSON of a running stack (`stack up --sink`)")
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    default = str(ROOT / ".local" / "bench" / stamp)
    parser.add_argument("--out", default=default, help="folder for the report (%(default)s)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
