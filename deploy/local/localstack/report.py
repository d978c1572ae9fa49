"""What a started stack hands over: dts.yaml, env.sh and the JSON object on stdout."""

import shlex
from pathlib import Path

from localstack.account import current_account, write_private
from localstack.stackfile import Stack

#: Belongs to no server: the GTID domain that the pipeline's own writes carry on MariaDB.
_MARK_DOMAIN_ID = 4711


def write_config(stack: Stack) -> Path:
    """Write DIR/dts.yaml and DIR/env.sh (the variables that dts.yaml names; mode 0600)."""
    path = stack.directory / "dts.yaml"
    path.write_text(render_config(stack), encoding="utf-8")
    exports = {"DTS_CONFIG": str(path), **environment(stack)}
    text = "".join(f"export {name}={shlex.quote(value)}\n" for name, value in exports.items())
    write_private(stack.directory / "env.sh", text, current_account())
    return path


def render_config(stack: Stack) -> str:
    """dts.yaml for this stack."""
    needs_domain = stack.settings.mark == "origin" and "mariadb" in stack.kinds.values()
    return "\n".join(
        [
            "# Written by deploy/local/stack.",
            f'kafka: {{bootstrap.servers: "{stack.bootstrap}"}}',
            f'connect: {{url: "{stack.connect_url}"}}',
            "sites:",
            *(line for site in stack.kinds for line in _site_lines(stack, site)),
            f"mark: {stack.settings.mark}",
            "pairs:",
            "  shop:",
            "    sites: [a, b]",
            '    tables: ["shop.*"]',
            *([f"    mark_domain_id: {_MARK_DOMAIN_ID}"] if needs_domain else []),
            "    conflicts: {policy: {site: a}}",
            "batch: {max_events: 200000, max_bytes: 256MiB, max_seconds: 50}",
            'schedule: {cron: "* * * * *"}',
            "",
        ]
    )


def _site_lines(stack: Stack, site: str) -> list[str]:
    name = site.upper()
    return [
        f"  {site}:",
        "    host: 127.0.0.1",
        f"    port: {stack.ports[f'site_{site}']}",
        "    user: dts",
        f'    password: "${{DTS_{name}_PASSWORD}}"',
        f"    topic_prefix: {site}",
        f'    connector: {{user: debezium, password: "${{DTS_{name}_CONNECTOR_PASSWORD}}"}}',
    ]


def environment(stack: Stack) -> dict[str, str]:
    """The variables that dts.yaml names."""
    found = {}
    for site in stack.kinds:
        found[f"DTS_{site.upper()}_PASSWORD"] = stack.passwords[site]["dts"]
        found[f"DTS_{site.upper()}_CONNECTOR_PASSWORD"] = stack.passwords[site]["debezium"]
    return found


def describe(stack: Stack) -> dict[str, object]:
    """The JSON object that `stack up` prints."""
    return {
        "config": str(stack.directory / "dts.yaml"),
        "env": environment(stack),
        "sites": {
            site: {
                "host": "127.0.0.1",
                "port": stack.ports[f"site_{site}"],
                "user": "app",
                "password": stack.passwords[site]["app"],
                "kind": stack.kinds[site],
            }
            for site in stack.kinds
        },
        "kafka": stack.bootstrap,
        "connect": stack.connect_url,
        "flavour": stack.settings.flavour,
        "mark": stack.settings.mark,
        "dir": str(stack.directory),
        "admin": {site: f"{stack.directory}/site_{site}/admin.cnf" for site in stack.kinds},
    }
