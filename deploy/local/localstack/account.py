"""The system user that runs the servers."""

import os
import pwd
import subprocess
from dataclasses import dataclass
from pathlib import Path

from localstack.errors import StackError

SERVICE_USER = "dts-local"


@dataclass(frozen=True)
class Account:
    """A system user; `switch` says whether this program must change to it."""

    name: str
    uid: int
    gid: int
    switch: bool


def current_account() -> Account:
    """Whoever runs this program."""
    uid = os.geteuid()
    try:
        name = pwd.getpwuid(uid).pw_name
    except KeyError:
        name = str(uid)
    return Account(name, uid, os.getegid(), switch=False)


def service_account() -> Account:
    """The servers' user: root makes and takes `dts-local`, anybody else stays who they are."""
    if os.geteuid() != 0:
        return current_account()
    try:
        entry = pwd.getpwnam(SERVICE_USER)
    except KeyError:
        _add_service_user()
        entry = pwd.getpwnam(SERVICE_USER)
    return Account(entry.pw_name, entry.pw_uid, entry.pw_gid, switch=True)


def _add_service_user() -> None:
    argv = ["useradd", "--system", "--user-group", "--no-create-home", "--home-dir", "/nonexistent"]
    done = subprocess.run(
        [*argv, "--shell", "/usr/sbin/nologin", SERVICE_USER], capture_output=True, text=True
    )
    if done.returncode not in (0, 9):  # 9: the name exists by now
        raise StackError(f"useradd {SERVICE_USER} failed: {done.stderr.strip()}")


def require_reachable(path: Path, account: Account, option: str) -> None:
    """Refuse a folder that the servers' user cannot enter (one below /root, for example)."""
    if not account.switch:
        return
    done = subprocess.run(
        ["/usr/bin/test", "-x", str(path)],
        user=account.uid,
        group=account.gid,
        extra_groups=[],
        cwd="/",
    )
    if done.returncode != 0:
        raise StackError(
            f"user {account.name} cannot enter {path}: a folder above it is closed to others. "
            f"Choose another place with {option}"
        )


def own_folder(path: Path, account: Account) -> Path:
    """Make a private folder of the servers' user."""
    path.mkdir(parents=True, exist_ok=True)
    if account.switch:
        os.chown(path, account.uid, account.gid)
    path.chmod(0o700)
    return path


def write_private(path: Path, text: str, account: Account) -> None:
    """Write a file that only `account` (and root) can read."""
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        if account.switch:
            os.fchown(file.fileno(), account.uid, account.gid)
        file.write(text)
