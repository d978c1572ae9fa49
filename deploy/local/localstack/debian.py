"""Debian packages that the servers need: found, or installed by root, or named."""

import os
import re
import shutil
import subprocess
from pathlib import Path

from localstack.account import current_account
from localstack.cache import cache_folder
from localstack.clocks import has_library
from localstack.commands import Command, run
from localstack.errors import StackError
from localstack.output import say

_JAVA_AT_LEAST = 17  # Kafka 4's broker and Connect need it
_NONINTERACTIVE = {"DEBIAN_FRONTEND": "noninteractive"}


def require_packages(flavour: str, *, clocks: bool = False) -> None:
    """Make sure that Java, Maven and (where a site is MariaDB) MariaDB's programs are there.

    clocks: libfaketime, too, for servers whose clocks can be set.

    mariadb-server-core holds the server's programs without a system service, so nothing
    starts by itself.
    """
    missing = missing_packages(flavour, clocks=clocks)
    if not missing:
        return
    names = " ".join(missing)
    if os.geteuid() != 0:
        raise StackError(
            f"missing Debian packages: {names}. Install them: "
            f"sudo apt-get install --no-install-recommends {names}"
        )
    say(f"installing {names}")
    _install(missing)
    still = missing_packages(flavour, clocks=clocks)
    if still:
        raise StackError(f"installed, but programs are still missing of: {' '.join(still)}")


def missing_packages(flavour: str, *, clocks: bool = False) -> list[str]:
    """The names of the packages whose programs cannot be found."""
    missing = []
    if _java_version() < _JAVA_AT_LEAST:
        missing.append("default-jre-headless")
    if shutil.which("mvn") is None:
        missing.append("maven")
    if flavour in ("mariadb", "mixed"):
        missing += _missing_of_mariadb()
    if clocks and not has_library():
        missing.append("libfaketime")
    return missing


def program(name: str) -> str:
    """The path of a program that may lie in /usr/sbin, which users seldom have in PATH."""
    path = os.environ.get("PATH", "") + ":/usr/sbin:/sbin:/usr/local/sbin"
    found = shutil.which(name, path=path)
    if found is None:
        raise StackError(f"program {name} not found; run `stack setup`")
    return found


def _missing_of_mariadb() -> list[str]:
    packages = {
        "mariadb-server-core": ("mariadbd", "mariadb-install-db"),
        "mariadb-client-core": ("mariadb",),
    }
    return [name for name, programs in packages.items() if not all(map(_has_program, programs))]


def _has_program(name: str) -> bool:
    try:
        program(name)
    except StackError:
        return False
    return True


def _java_version() -> int:
    if shutil.which("java") is None:
        return 0
    done = subprocess.run(["java", "-version"], capture_output=True, text=True)
    found = re.search(r'version "(\d+)', done.stderr)
    return int(found.group(1)) if found else 0


def _install(names: list[str]) -> None:
    """apt-get install; with fresh lists when the ones at hand do not do.

    `apt-get update` fails when any source of the machine fails, also one that has nothing
    to do with these packages: only the install that follows decides.
    """
    install = ("apt-get", "install", "-y", "--no-install-recommends", *names)
    try:
        _apt(install, "install packages from the package lists at hand")
    except StackError:
        try:
            _apt(("apt-get", "update"), "update the package lists")
        except StackError:
            say("apt-get update failed in part; going on with what it found")
        _apt(install, f"install {' '.join(names)}")


def _apt(argv: tuple[str, ...], what: str) -> None:
    log = cache_folder() / "logs" / "apt.log"
    run(Command(what, argv, log, current_account(), Path("/"), _NONINTERACTIVE))
