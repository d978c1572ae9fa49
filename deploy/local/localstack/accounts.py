"""The database accounts of a site: the one place for them.

`dts` is the pipeline's and `debezium` the connector's: they may do what `dts init --print` says for
a pair over `shop.*`, and nothing else. `app` stands for the applications and for the tests, which
may do anything.
"""

import sys
from collections.abc import Mapping
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))  # core/ is plain Python

from dts_pipeline.core.grants import Account, SiteUse, grants_script
from dts_pipeline.core.links import MarkKind
from dts_pipeline.core.schema import Dialect

PIPELINE, CONNECTOR = Account("dts"), Account("debezium")


def account_statements(kind: str, mark: str, passwords: Mapping[str, str]) -> list[str]:
    """SQL that makes a fresh server's databases and accounts, one statement an item.

    kind: mariadb | mysql. mark: origin | comment. passwords: by account, hexadecimal digits.
    """
    return [
        "SET sql_log_bin=0",
        *_cleared_root(kind, passwords["root"]),
        "CREATE DATABASE IF NOT EXISTS shop",
        "CREATE DATABASE IF NOT EXISTS dts",
        *(
            f"CREATE USER IF NOT EXISTS '{name}'@'%' IDENTIFIED BY '{passwords[name]}'"
            for name in ("app", "dts", "debezium")
        ),
        "GRANT ALL PRIVILEGES ON *.* TO 'app'@'%' WITH GRANT OPTION",
        # `dts init` has not run yet, and a right is given only on a table that is there; it stays
        # when the table goes.
        "CREATE TABLE dts.watermark (id INT PRIMARY KEY)",
        *printed_grants(kind, mark),
        "DROP TABLE dts.watermark",
    ]


def printed_grants(kind: str, mark: str, tables: str = "shop.*") -> list[str]:
    """The GRANTs of `dts init --print` for a site that both links of a pair use."""
    use = SiteUse(Dialect(kind), MarkKind(mark), (tables,))
    script = grants_script(PIPELINE, CONNECTOR, use)
    return [line.rstrip(";") for line in script.splitlines() if line.startswith("GRANT ")]


def _cleared_root(kind: str, password: str) -> list[str]:
    """One root, with a password; MariaDB's anonymous users would shadow 'dts'@'%'."""
    cleared = (
        [
            "DELETE FROM mysql.global_priv WHERE User='' OR (User='root' AND Host<>'localhost')",
            "FLUSH PRIVILEGES",
        ]
        if kind == "mariadb"
        else []
    )
    return [*cleared, f"ALTER USER 'root'@'localhost' IDENTIFIED BY '{password}'"]
