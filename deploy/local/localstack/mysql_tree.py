"""MySQL from Debian sid, unpacked into a folder of its own.

The machine's own packages stay as they are: apt works on lists, state and cache below our
cache folder, an empty status file makes it fetch MySQL with everything down to libc, and
dpkg-deb only unpacks. The programs run through that libc's own dynamic linker, so neither
root nor chroot is needed. apt checks the packages against Debian's signed index.
"""

import os
import platform
import re
import subprocess
from pathlib import Path

from localstack.account import current_account
from localstack.cache import cache_folder, exclusive, made_whole
from localstack.commands import Command, run
from localstack.errors import StackError
from localstack.output import say

_KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
_PACKAGES = ("mysql-server-core", "mysql-client-core")


def mysql_tree() -> Path:
    """The folder with MySQL's `usr`, downloaded and unpacked if need be."""
    target = cache_folder() / "mysql-sid"
    if target.is_dir():  # it gets its name when it is whole
        return target
    with exclusive(cache_folder() / "mysql.lock"):
        if not target.is_dir():
            say("downloading MySQL from Debian sid")
            with made_whole(target) as folder:
                _unpack(_download(), folder)
                say(f"unpacked {mysql_version(folder)}")
    return target


def mysql_program(tree: Path, name: str) -> list[str]:
    """How to start one of the tree's programs, such as `sbin/mysqld`, from anywhere."""
    libraries = sorted((tree / "usr/lib").glob("*-linux-gnu"))
    linkers = [found for place in ("lib64", "lib") for found in (tree / "usr" / place).glob("ld-*")]
    if not linkers or not libraries:
        raise StackError(f"{tree} holds no usable MySQL: remove it and run `stack setup`")
    return [str(linkers[0]), "--library-path", str(libraries[0]), str(tree / "usr" / name)]


def mysql_version(tree: Path) -> str:
    """What mysqld says of itself, such as `9.7.4-2`."""
    argv = [*mysql_program(tree, "sbin/mysqld"), "--version"]
    done = subprocess.run(argv, capture_output=True, text=True)
    found = re.search(r"Ver (\S+)", done.stdout)
    if found is None:
        raise StackError(f"{argv[-2]} does not run on this machine: {done.stderr.strip()[-300:]}")
    return f"MySQL {found.group(1)}"


def _download() -> list[Path]:
    folder = cache_folder() / "apt-sid"
    for name in ("lists/partial", "archives/partial"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    if not _KEYRING.exists():
        raise StackError(f"{_KEYRING} is missing: install the package debian-archive-keyring")
    mirror = os.environ.get("DTS_LOCAL_DEBIAN_MIRROR") or _own_mirror()
    source = f"deb [signed-by={_KEYRING}] {mirror} sid main\n"
    (folder / "sources.list").write_text(source, encoding="utf-8")
    (folder / "status").write_text("", encoding="utf-8")
    options = _apt_options(folder)
    _apt(folder, "read Debian sid's package lists", (*options, "update"))
    for old in (folder / "archives").glob("*.deb"):
        old.unlink()
    _apt(folder, "download MySQL", (*options, "install", "-y", "--download-only", *_PACKAGES))
    return sorted((folder / "archives").glob("*.deb"))


def _own_mirror() -> str:
    """Where this machine's apt gets Debian from; the archive of sid lies beside its own release."""
    listed = subprocess.run(
        ("apt-get", "indextargets", "--format", "$(REPO_URI) $(CODENAME) $(RELEASE)"),
        capture_output=True,
        text=True,
        check=False,
    )
    for line in listed.stdout.splitlines():
        address, *names = line.split(" ")
        own = address.rstrip("/").endswith("/debian")
        if own and not any(name.endswith("-security") for name in names):
            return address
    raise StackError("apt names no mirror of Debian: give its address in DTS_LOCAL_DEBIAN_MIRROR")


def _apt_options(folder: Path) -> tuple[str, ...]:
    settings = {
        "Dir::Etc::sourcelist": folder / "sources.list",
        "Dir::Etc::sourceparts": "/dev/null",
        "Dir::Etc::preferences": "/dev/null",
        "Dir::Etc::preferencesparts": "/dev/null",
        "Dir::State": folder,
        "Dir::State::lists": folder / "lists",
        "Dir::State::status": folder / "status",
        "Dir::Cache": folder,
        "Dir::Cache::archives": folder / "archives",
        "Dir::Log": folder,
        "APT::Architecture": {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), ""),
        "APT::Install-Recommends": "false",
        "APT::Sandbox::User": current_account().name,
        "Acquire::Languages": "none",
        "APT::Keep-Downloaded-Packages": "true",
    }
    return tuple(part for name, value in settings.items() for part in ("-o", f"{name}={value}"))


def _apt(folder: Path, what: str, arguments: tuple[str, ...]) -> None:
    log = cache_folder() / "logs" / "apt-sid.log"
    run(Command(what, ("apt-get", *arguments), log, current_account(), folder))


def _unpack(packages: list[Path], folder: Path) -> None:
    log = cache_folder() / "logs" / "apt-sid.log"
    for package in packages:
        argv = ("dpkg-deb", "-x", str(package), str(folder))
        run(Command(f"unpack {package.name}", argv, log, current_account(), folder))
        package.unlink()
