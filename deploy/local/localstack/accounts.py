"""The database accounts of a site, each with its least privileges: the one place for them.

`dts` is the pipeline's, `debezium` the connector's, `app` stands for the applications and
for the tests, which may do anything.
"""

from collections.abc import Mapping

_DATA = "SELECT, INSERT, UPDATE, DELETE"


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
        *pipeline_grants(kind, mark),
        *connector_grants(kind),
    ]


def pipeline_grants(kind: str, mark: str) -> list[str]:
    """What the pipeline needs: rows of shop, its ledger in dts, and the origin stamp.

    PROCESS and the binlog's state are read by preflight.
    """
    monitor = {"mariadb": "BINLOG MONITOR", "mysql": "REPLICATION CLIENT"}[kind]
    stamp = {"mariadb": "BINLOG REPLAY", "mysql": "REPLICATION_APPLIER"}[kind]
    return [
        f"GRANT {_DATA}, CREATE TEMPORARY TABLES ON shop.* TO 'dts'@'%'",
        f"GRANT {_DATA}, CREATE, ALTER, INDEX, DROP, CREATE TEMPORARY TABLES ON dts.* TO 'dts'@'%'",
        f"GRANT PROCESS, {monitor} ON *.* TO 'dts'@'%'",
        *([f"GRANT {stamp} ON *.* TO 'dts'@'%'"] if mark == "origin" else []),
    ]


def connector_grants(kind: str) -> list[str]:
    """What Debezium's connector needs (its manual, "Creating a user")."""
    monitor = {"mariadb": "BINLOG MONITOR", "mysql": "REPLICATION CLIENT"}[kind]
    return [
        f"GRANT RELOAD, SHOW DATABASES, REPLICATION SLAVE, {monitor} ON *.* TO 'debezium'@'%'",
        "GRANT SELECT, LOCK TABLES ON shop.* TO 'debezium'@'%'",
        "GRANT SELECT, LOCK TABLES ON dts.* TO 'debezium'@'%'",
    ]


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
