"""What the UI says of an asset, in Markdown: what it is, what its figures mean, what to do next."""

from __future__ import annotations

from collections.abc import Mapping

from dts_pipeline.core.links import Link, Policy

_STEPS = """\
1. **plan_ranges** reads the checkpoint from the ledger at {target}, and how far Kafka is.
2. **pull** reads whole source transactions from there on.
3. **normalize** makes one row of each event and recognises the pipeline's own writes by their mark.
4. **drop_marked** keeps what users wrote after the last marked event of a key.
5. **compact** leaves at most one change a key.
6. **apply** writes changes, conflict records and the moved checkpoint in ONE transaction.
7. **record** materializes this asset and those of the tables that were written.

Steps 2 to 6 are repeated, a batch each time, until nothing is left or the run's time is up.\
"""
_FIGURES = {
    "`lag_seconds`": "everything committed at {source} longer ago than this is applied",
    "`behind_offsets`": "row events that were in Kafka when the run began and are not applied yet",
    "`events`, `marked`, `changes`": "row events read; those among them that the pipeline itself "
    "had caused; what was left to be written",
    "`conflicts`, `open_conflicts`": "keys that both sides had changed; records that wait to be "
    "settled",
    "`ranges`, `offsets`": "the offsets that this run applied; where the next one begins",
    "`tables`": "what was done to each table",
    "`recorded`, `open_records`": "records of conflicts by table and kind: made by this run; open "
    "after it",
    "`seconds/…`": "the time that each step took",
}
_REMEDIES = {
    "a failed run": "Its error has a code, the place and a remedy; `docs/operations.md` has all "
    "codes. Nothing is half done: the next run goes on from the ledger.",
    "`open_conflicts` grows": "`dts conflicts --link {link}` shows the rows. The job `settle` "
    "closes what the policy decides.",
    "`lag_seconds` grows": "`dts status`, then the newest runs of `{job}`.",
    "rows that are missing here": "`dts trace TABLE KEY` tells where a row went; the job "
    "`preview_{link}` what a range of offsets would do; `replay_{link}` makes it right.",
}


def checkpoint_description(link: Link, job: str) -> str:
    """The checkpoint asset's page: where whoever is called at night begins."""
    names = {"source": link.source, "target": link.target, "link": link.name, "job": job}
    return "\n\n".join(
        [
            f"How far the changes of **{link.source}** are applied at **{link.target}**. Each "
            f"materialization is a run of `{job}` that came to its end; it mirrors the ledger in "
            f"schema `dts` at {link.target}, which is the truth.",
            _settings(link),
            "### When something is wrong",
            _table("you see", "do", _REMEDIES).format(**names),
            "### What the figures mean",
            _table("figure", "meaning", _FIGURES).format(**names),
            "### What a run does",
            _STEPS.format(**names),
        ]
    )


def source_description(link: Link, pattern: str) -> str:
    """What users write; nobody materializes it."""
    return (
        f"`{pattern}` as users write it at **{link.source}**. Nothing is materialized here: it "
        "stands for the tables at the beginning of the lineage."
    )


def topic_description(link: Link, pattern: str) -> str:
    """Debezium's topics."""
    return (
        f"The row changes of `{pattern}` that Debezium reads from the binlog of **{link.source}**, "
        f"one topic a table (`{link.source_prefix}.schema.table`). "
        "`dts connectors` shows whether its connector runs."
    )


def target_description(link: Link, pattern: str) -> str:
    """What a link writes."""
    return (
        f"`{pattern}` as `{link.name}` writes it at **{link.target}**. Materialized by the runs "
        "that wrote rows here, with how many; `tables` has them by table."
    )


def _table(left: str, right: str, rows: Mapping[str, str]) -> str:
    lines = [f"| {name} | {text} |" for name, text in rows.items()]
    return "\n".join([f"| {left} | {right} |", "|---|---|", *lines])


def _settings(link: Link) -> str:
    left_out = [f"`{pattern}`" for pattern in link.excluded]
    tables = ", ".join(f"`{pattern}`" for pattern in link.tables)
    filtered = [f"`{table}`" for table in link.filters]
    lines = [
        f"**Tables** {tables}"
        + (f", without {', '.join(left_out)}" if left_out else "")
        + (f"; of {', '.join(filtered)} only the rows that `where` names" if filtered else ""),
        f"**Conflicts** {_policy(link)}",
        f"**Loops** are prevented by the mark `{link.mark.value}`"
        + (f"; the way back is `{link.reverse}`" if link.pair else ""),
    ]
    return "\n".join(f"- {line}" for line in lines)


def _policy(link: Link) -> str:
    if link.policy is None:
        return f"are not looked for: rows at {link.target} are overwritten"
    own = [f"`{table}`: {_decided(policy)}" for table, policy in link.table_policies.items()]
    return "; ".join([_decided(link.policy), *own])


def _decided(policy: Policy) -> str:
    if policy.kind == "site":
        return f"the row of {policy.site} wins"
    if policy.kind == "newest":
        return f"the row with the later `{policy.column}` wins, ties go to {policy.site}"
    return "nobody decides: a record stays open until the rows are made equal by hand"
