"""A folder on a disk of its own, so small that a server fills it."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class SmallDisk:
    """A tmpfs on `folder`, which belongs to whom the folder belonged to."""

    folder: Path

    def resize(self, size: str) -> None:
        """Gives it another size (`16m`): as if somebody had made room, or taken it."""
        _mount("-o", f"remount,size={size}", str(self.folder))

    def fill(self) -> None:
        """Leaves nothing."""
        with contextlib.suppress(OSError), (self.folder / "ballast").open("wb", 0) as ballast:
            while ballast.write(b"\0" * 4096):
                pass

    def free(self) -> None:
        """Gives back what `fill` took."""
        (self.folder / "ballast").unlink()


@contextlib.contextmanager
def small_disk(folder: Path, size: str) -> Iterator[SmallDisk]:
    """The disk for the time of the block; what lies in the folder is hidden meanwhile.

    Fails where mounting is not permitted: a disk that is not full shows nothing.
    """
    found = os.stat(folder)
    _mount("-t", "tmpfs", "-o", f"size={size},mode=0777", "tmpfs", str(folder))
    try:
        shutil.chown(folder, found.st_uid, found.st_gid)
        yield SmallDisk(folder)
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def _mount(*words: str) -> None:
    done = subprocess.run(["mount", *words], capture_output=True, text=True)
    assert done.returncode == 0, f"this test has to mount a small disk, as root: {done.stderr}"
