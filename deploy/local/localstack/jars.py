"""The jars of Kafka, Kafka Connect and Debezium, from Maven, with their sums checked."""

import hashlib
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from localstack.account import current_account
from localstack.cache import SOURCE, cache_folder, exclusive, made_whole
from localstack.commands import Command, run
from localstack.errors import StackError
from localstack.output import say

KAFKA = Path("kafka")
PLUGINS = Path("plugins")


@dataclass(frozen=True)
class Jars:
    """A list of jars: pom.xml names them, jars.sha256 beside it holds their sums.

    sets: the pom's profile, the folder its jars go to, what Maven is told to leave out.
    """

    what: str
    source: Path
    sets: tuple[tuple[str, Path, tuple[str, ...]], ...]

    @property
    def pom(self) -> Path:
        """What Maven reads."""
        return self.source / "pom.xml"

    @property
    def sums(self) -> Path:
        """The committed sums."""
        return self.source / "jars.sha256"


SERVERS = Jars(
    "jars",
    SOURCE,
    (
        ("kafka", KAFKA, ()),
        ("debezium", PLUGINS / "debezium", ("-DexcludeGroupIds=org.apache.kafka,org.slf4j",)),
    ),
)
_CLASHING = "org.apache.kafka,org.slf4j,com.fasterxml.jackson.core,org.lz4,org.xerial.snappy"
#: Debezium's JDBC sink, a plugin folder of its own.
SINK = Jars(
    "sink",
    SOURCE / "sink",
    (("sink", Path("debezium-jdbc"), (f"-DexcludeGroupIds={_CLASHING},com.github.luben",)),),
)


def jars_folder(jars: Jars = SERVERS) -> Path:
    """The folder with checked jars, downloaded if need be; its name follows the list of sums."""
    name = hashlib.sha256(jars.sums.read_bytes() + jars.pom.read_bytes()).hexdigest()[:12]
    target = cache_folder() / f"{jars.what}-{name}"
    if not target.is_dir():  # it gets its name when it is whole
        with exclusive(cache_folder() / "jars.lock"):
            if not target.is_dir():
                say(f"downloading what {jars.pom} names")
                with made_whole(target) as folder:
                    download(folder, jars)
                    check_sums(folder, jars.sums)
    check_sums(target, jars.sums)
    return target


def download(folder: Path, jars: Jars) -> None:
    """Let Maven copy each set of jars into its place below `folder`."""
    for profile, place, options in jars.sets:
        argv = ("mvn", "-q", "-B", "-f", str(jars.pom), f"-P{profile}")
        run(
            Command(
                f"download the jars of {profile}",
                (
                    *(*argv, "dependency:copy-dependencies", "-DincludeScope=runtime"),
                    *(f"-DoutputDirectory={folder / place}", *options),
                ),
                cache_folder() / "logs" / "maven.log",
                current_account(),
                SOURCE,
                {"HOME": str(Path.home()), "MAVEN_OPTS": os.environ.get("MAVEN_OPTS", "")},
            )
        )


def sums_of(folder: Path) -> dict[str, str]:
    """SHA-256 of every jar below `folder`, by its path there."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*.jar"))
    }


def read_sums(path: Path) -> dict[str, str]:
    """The committed list, in the form of sha256sum(1)."""
    pairs = (line.split(maxsplit=1) for line in path.read_text(encoding="utf-8").splitlines())
    return {name: digest for digest, name in pairs}


def check_sums(folder: Path, sums: Path) -> None:
    """Refuse a folder whose jars are not exactly those of the list."""
    wanted, found = read_sums(sums), sums_of(folder)
    wrong = sorted(n for n in wanted.keys() | found.keys() if wanted.get(n) != found.get(n))
    if wrong:
        raise StackError(
            f"{len(wrong)} jars differ from {sums.name} (missing, unknown or another sum), first "
            f"{wrong[0]}. Remove {folder} and try again; if it stays so, do not use them"
        )


def write_sums() -> int:
    """Download afresh and write the lists anew (after a change of a pom.xml); how many jars."""
    count = 0
    for jars in (SERVERS, SINK):
        with tempfile.TemporaryDirectory(prefix=".jars-new.", dir=cache_folder()) as folder:
            download(Path(folder), jars)
            found = sums_of(Path(folder))
        text = "".join(f"{d}  {n}\n" for n, d in sorted(found.items()))
        jars.sums.write_text(text, encoding="utf-8")
        count += len(found)
    return count
