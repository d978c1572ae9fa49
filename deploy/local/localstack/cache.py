"""Where downloads are kept for the next start."""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from localstack.account import require_reachable, service_account

#: The folder `deploy/local`, with pom.xml, jars.sha256 and log4j2.properties.
SOURCE = Path(__file__).resolve().parent.parent


def cache_folder() -> Path:
    """DTS_LOCAL_CACHE, or ~/.cache/dts-local; for root /var/cache/dts-local.

    Root's home is closed to the servers' user, which must read the jars.
    """
    named = os.environ.get("DTS_LOCAL_CACHE")
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "dts-local"
    folder = Path(named) if named else Path("/var/cache/dts-local") if os.geteuid() == 0 else home
    folder.mkdir(parents=True, exist_ok=True)
    require_reachable(folder.absolute(), service_account(), "DTS_LOCAL_CACHE=FOLDER")
    return folder.absolute()


@contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Hold a lock file; a second command waits until the first is done."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextmanager
def made_whole(target: Path) -> Iterator[Path]:
    """A folder to fill that becomes `target` only when the block ends well."""
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    try:
        yield partial
        partial.chmod(0o755)
        if target.exists():
            shutil.rmtree(target)
        partial.rename(target)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
