"""A filesystem of a few megabytes, which a test may fill up."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from dts_pipeline_tests.stacks import ROOT

sys.path.insert(0, str(ROOT / "deploy" / "local"))

from localstack.account import own_folder, service_account

VARIABLE = "DTS_TEST_SMALL_DISK"
_SIZE = 64 * 2**20
_LARGEST = 512 * 2**20
_LEFT = 256 * 1024
_CANNOT = (
    "this test needs a small filesystem to fill up, and mounting one is not allowed here: run it "
    f"as root, or name an empty folder on a filesystem of 64 to 512 MB in {VARIABLE}"
)


@dataclass(frozen=True)
class SmallDisk:
    """`folder` is for the server; what fills the disk up lies beside it."""

    root: Path

    @property
    def folder(self) -> Path:
        return self.root / "server"

    @contextlib.contextmanager
    def full(self) -> Iterator[None]:
        """Leaves a quarter of a megabyte for the time of the block."""
        filler = self.root / "filler"
        found = os.statvfs(self.root)
        size = found.f_bavail * found.f_frsize - _LEFT
        with filler.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, size)
        try:
            yield
        finally:
            filler.unlink()


@contextlib.contextmanager
def small_disk(place: Path) -> Iterator[SmallDisk]:
    """Mounted at `place` if that is permitted, else the one that the environment names.

    A machine that has neither fails the test: nothing was shown there.
    """
    given = os.environ.get(VARIABLE)
    if given:
        found = os.statvfs(given)
        if found.f_blocks * found.f_frsize > _LARGEST:
            pytest.fail(f"{VARIABLE} names a filesystem of more than {_LARGEST >> 20} MB")
        yield _prepared(Path(given))
        return
    mount = ["mount", "-t", "tmpfs", "-o", f"size={_SIZE},mode=0755", "tmpfs", str(place)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.fail(_CANNOT)
    try:
        yield _prepared(place)
    finally:
        subprocess.run(["umount", str(place)], check=True)


def _prepared(root: Path) -> SmallDisk:
    disk = SmallDisk(root)
    own_folder(disk.folder, service_account())
    return disk
