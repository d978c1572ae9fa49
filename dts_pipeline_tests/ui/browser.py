"""A headless Chromium on Dagster's UI, and the pictures that it takes."""

from __future__ import annotations

import io
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from dts_pipeline_tests.stacks import ROOT
from dts_pipeline_tests.ui.shop import ROW_VALUE

if TYPE_CHECKING:  # `make test` collects this folder too, without the browser's packages
    from playwright.sync_api import Locator, Page

PATIENCE_MS = 180_000
"""How long anything may take to appear; the machine may be busy, nothing is measured here."""
SIZE = (1280, 800)
MOST_BYTES = 200_000
SCRATCH = ROOT / ".local" / "ui"
LOCATION = "dts_pipeline.definitions"


@dataclass
class Browser:
    """One page, and the folder of its pictures."""

    page: Page
    url: str
    pictures: Path
    taken: dict[str, int] = field(default_factory=dict)

    def open(self, path: str) -> None:
        """A page of the UI by its path."""
        self.page.goto(f"{self.url}{path}", timeout=PATIENCE_MS)

    def open_job(self, job: str, tab: str = "") -> None:
        """A job's page: `playground` is the launchpad, `partitions` has the backfills."""
        self.open(f"/locations/{LOCATION}/jobs/{job}/{tab}".rstrip("/"))

    def button(self, name: str) -> Locator:
        """The first button with that text that can be seen."""
        return self.page.get_by_role("button", name=name).filter(visible=True).first

    def sees(self, text: str, *, exact: bool = False) -> None:
        """Waits until the page shows the text somewhere."""
        self.page.get_by_text(text, exact=exact).filter(visible=True).first.wait_for()

    def can_click(self, button: Locator) -> None:
        """Waits until a button can be clicked."""
        from playwright.sync_api import expect

        expect(button).to_be_enabled(timeout=PATIENCE_MS)

    def take(self, name: str) -> None:
        """A picture of what is on the screen, small; no page may show a row's value."""
        from PIL import Image

        self.page.wait_for_timeout(1500)  # what fades in has come
        assert ROW_VALUE not in self.page.content()
        path = self.pictures / f"{name}.png"
        with Image.open(io.BytesIO(self.page.screenshot())) as shot:
            small = shot.convert("RGB").quantize(colors=96, dither=Image.Dither.NONE)
            small.save(path, optimize=True)
        self.taken[name] = path.stat().st_size
        assert self.taken[name] < MOST_BYTES, f"{path} has {self.taken[name]} bytes"


@contextmanager
def open_browser(url: str) -> Iterator[Browser]:
    """Debian's Chromium; it ends with the block."""
    from playwright.sync_api import sync_playwright

    pictures = Path(os.environ.get("DTS_UI_PICTURES") or SCRATCH)
    pictures.mkdir(parents=True, exist_ok=True)
    program = shutil.which("chromium")
    if program is None:
        raise RuntimeError("chromium is missing: `make test-ui` installs it, or names the package")
    with sync_playwright() as playwright:
        # Root's Chromium has no sandbox; the pages are our own.
        flags = ["--no-sandbox"] if os.geteuid() == 0 else []
        chromium = playwright.chromium.launch(
            executable_path=program,
            args=[*flags, "--disable-dev-shm-usage", "--disable-gpu"],
            timeout=PATIENCE_MS,
        )
        try:
            page = chromium.new_page(viewport={"width": SIZE[0], "height": SIZE[1]})
            page.set_default_timeout(PATIENCE_MS)
            yield Browser(page, url, pictures)
        finally:
            chromium.close()
