"""How the two sides stand: rows and checksums of every table, batches of every link."""

from __future__ import annotations

from dataclasses import dataclass

from demoshop.setting import SITES, Setting
from demoshop.shop import fingerprint_sql


@dataclass(frozen=True)
class Side:
    """One side: (rows, checksum) by table, and the last batch of each link that writes here."""

    tables: dict[str, tuple[int, str]]
    batches: dict[str, int]


@dataclass(frozen=True)
class Picture:
    """Both sides at about the same moment."""

    sides: dict[str, Side]

    @property
    def is_equal(self) -> bool:
        """Whether every table has the same rows on both sides."""
        return self.sides["a"].tables == self.sides["b"].tables

    @property
    def rows(self) -> int:
        """The rows of side a."""
        return sum(rows for rows, _ in self.sides["a"].tables.values())


def picture(setting: Setting) -> Picture:
    """Reads both sides."""
    return Picture({site: _side(setting, site) for site in SITES})


def _side(setting: Setting, site: str) -> Side:
    with setting.connect(site) as connection, connection.cursor() as cursor:
        tables = {}
        for table, query in list(fingerprint_sql(connection)):
            cursor.execute(query)
            rows, total = cursor.fetchone() or (0, 0)
            tables[table] = (int(rows), f"{int(total or 0) % 2**40:010x}")
        cursor.execute("SELECT link, batch FROM dts.checkpoint")
        return Side(tables, {str(link): int(batch) for link, batch in cursor.fetchall()})
