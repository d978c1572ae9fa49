"""Makes the accounts of dts.yaml at every site, with the GRANTs of `dts init --print`, and `app`.

Runs once, before `dts init`, and again at every `docker compose up`: then it changes passwords to
those of the environment. Reads DTS_<SITE>_ROOT_PASSWORD and DTS_APP_PASSWORD too.
"""

from __future__ import annotations

import os
import re

import pymysql
from sqlalchemy.dialects import mysql

from dts_pipeline.adapters.ledger_tables import create_statements
from dts_pipeline.config import Config, SiteConfig, load_config, resolve_secrets, secret_value
from dts_pipeline.core.grants import (
    Account,
    SiteUse,
    connector_grants,
    pipeline_grants,
    preflight_grants,
)
from dts_pipeline.core.schema import Dialect


def main() -> None:
    """Every site of dts.yaml in turn."""
    config = load_config(os.environ["DTS_CONFIG"])
    secrets = resolve_secrets(config, os.environ)
    for name, site in config.sites.items():
        with _root(name, site) as connection, connection.cursor() as cursor:
            cursor.execute("SET SESSION sql_log_bin=0")
            cursor.execute("SELECT VERSION()")
            (version,) = cursor.fetchone() or ("",)
            dialect = Dialect.MARIADB if "MariaDB" in version else Dialect.MYSQL
            for user, password in _passwords(site, secrets).items():
                cursor.execute(
                    f"CREATE USER IF NOT EXISTS '{user}'@'%%' IDENTIFIED BY %s", password
                )
                cursor.execute(f"ALTER USER '{user}'@'%%' IDENTIFIED BY %s", password)
            for statement in create_statements(mysql.dialect()):
                cursor.execute(statement)  # first: a GRANT names one of its tables
            for statement in _statements(config, name, dialect):
                cursor.execute(statement)
        print(f"site {name}: accounts are there", flush=True)


def _root(name: str, site: SiteConfig) -> pymysql.connections.Connection:
    password = os.environ[f"DTS_{name.upper()}_ROOT_PASSWORD"]
    return pymysql.connect(
        host=site.host, port=site.port, user="root", password=password, autocommit=True
    )


def _passwords(site: SiteConfig, secrets: dict[str, str]) -> dict[str, str]:
    """By account; `app` stands for the application whose rows are carried."""
    accounts = [site, *([site.connector] if site.connector else [])]
    found = {own.user: secret_value(own.password, secrets) for own in accounts}
    found["app"] = os.environ["DTS_APP_PASSWORD"]
    for user in found:
        if not re.fullmatch(r"\w+", user):
            raise SystemExit(f"accounts: the name {user!r} is not plain letters and digits")
    return found


def _statements(config: Config, name: str, dialect: Dialect) -> list[str]:
    site = config.sites[name]
    use = SiteUse.of(name, config.resolved_links().values(), dialect, config.mark)
    pipeline = Account(site.user)
    schemas = sorted({p.partition(".")[0] for p in (*use.written, *use.read)})
    return [
        *pipeline_grants(pipeline, use),
        *preflight_grants(pipeline, use),
        *connector_grants(Account(site.connector.user) if site.connector else pipeline, use),
        *(f"CREATE DATABASE IF NOT EXISTS `{schema}`" for schema in schemas if schema.isalnum()),
        *(f"GRANT ALL ON `{schema}`.* TO 'app'@'%'" for schema in schemas if schema.isalnum()),
    ]


if __name__ == "__main__":
    main()
