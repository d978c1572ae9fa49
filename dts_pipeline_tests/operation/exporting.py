"""A running `dts exporter`, and what it serves."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from prometheus_client.parser import text_string_to_metric_families

_ANSWER_SECONDS = 5.0
_DTS = Path(sys.executable).parent / "dts"
Labels = Mapping[str, str]
ANY: Labels = MappingProxyType({})


@dataclass(frozen=True)
class Exporter:
    """Where it listens."""

    url: str

    @property
    def address(self) -> str:
        """HOST:PORT."""
        return self.url.removeprefix("http://").removesuffix("/metrics")

    def text(self) -> str:
        """What one scrape gets."""
        with urllib.request.urlopen(self.url, timeout=_ANSWER_SECONDS) as answer:
            return str(answer.read().decode())

    def samples(self) -> list[tuple[str, dict[str, str], float]]:
        """Name, labels and value of everything served."""
        return [
            (sample.name, dict(sample.labels), sample.value)
            for family in text_string_to_metric_families(self.text())
            for sample in family.samples
        ]

    def values(self, name: str, labels: Labels = ANY) -> list[float]:
        """The values of a metric with these labels, among others."""
        return [
            value
            for own, given, value in self.samples()
            if own == name and labels.items() <= given.items()
        ]

    def value(self, name: str, labels: Labels = ANY) -> float:
        """The one value of a metric with these labels."""
        (value,) = self.values(name, labels)
        return value


@contextlib.contextmanager
def exporting(
    config: Path, environment: Mapping[str, str], interval: float = 0.2
) -> Iterator[Exporter]:
    """An exporter at a free port for the time of the block; it must end by SIGTERM, well."""
    words = ["--listen", "127.0.0.1:0", "--interval", str(interval), "--config", str(config)]
    process = subprocess.Popen(
        [str(_DTS), "exporter", "--json", *words],
        stdout=subprocess.PIPE,
        env={**os.environ, **environment},
        text=True,
    )
    assert process.stdout is not None
    try:
        lines = ""
        while "}" not in lines:
            line = process.stdout.readline()
            assert line, "the exporter has ended"
            lines += line
        yield Exporter(json.loads(lines)["listening"])
    finally:
        process.terminate()
        assert process.wait(30) == 0
