"""Checks of the topics that a link reads."""

from __future__ import annotations

from dts_pipeline.core.links import Link
from dts_pipeline.core.message_size import can_exceed
from dts_pipeline.preflight.facts import Facts
from dts_pipeline.preflight.findings import error, warning
from dts_pipeline.preflight.registry import Problems, topic_check

_DAY_MS = 86_400_000


def _topics(facts: Facts, link: Link) -> list[str]:
    names = [link.transaction_topic, *(link.topic_of(t.full_name) for t in facts.carried(link))]
    return [name for name in names if name in (facts.topics or {})]


@topic_check("topic_missing", "the transaction topic is there")
def transaction_topic(facts: Facts, link: Link) -> Problems:
    """A pair's batches end at the end of source transactions."""
    if link.pair and link.transaction_topic not in (facts.topics or {}):
        yield error(
            "the source's transaction topic does not exist",
            "Register the connector (`dts connectors --register`, which makes the topic), and "
            "check the site's topic_prefix.",
            topic=link.transaction_topic,
        )


@topic_check("topic_compacted", "no topic is compacted")
def compaction(facts: Facts, link: Link) -> Problems:
    """Kafka's compaction removes befores and marks."""
    for name in _topics(facts, link):
        topic = (facts.topics or {})[name]
        if topic.compacted:
            say = error if link.pair else warning
            yield say(
                f"cleanup.policy is {topic.cleanup_policy}: older changes of a key, and with them "
                "marks and rows before the change, disappear",
                "Set cleanup.policy=delete on the topic; if it was compacted already, compare both "
                "sites.",
                topic=name,
            )


@topic_check("topic_retention", "topics keep their messages for a day or longer")
def retention(facts: Facts, link: Link) -> Problems:
    """A link that is paused or down for longer loses changes."""
    for name in _topics(facts, link):
        topic = (facts.topics or {})[name]
        if 0 <= topic.retention_ms < _DAY_MS:
            yield warning(
                f"retention.ms keeps messages for {topic.retention_ms / 3_600_000:.1f} hours: a "
                "link that stands still for longer loses changes and stops for good",
                "Raise the topic's retention.ms to some days.",
                topic=name,
            )


@topic_check("topic_message_limit", "topics take what connectors send")
def message_limit(facts: Facts, link: Link) -> Problems:
    """A topic that was made by hand has the broker's limit, 1 MiB by default."""
    sent = facts.config.connect.max_message_bytes if facts.config.connect else 0
    tables = {link.topic_of(table.full_name): table for table in facts.carried(link)}
    for name, table in tables.items():
        topic = (facts.topics or {}).get(name)
        limit = topic.max_message_bytes if topic else sent
        if limit < sent and can_exceed(table, limit):
            yield warning(
                f"max.message.bytes is {limit}, less than the {sent} that a connector may send: a "
                "large row stops the connector",
                "Run `dts connectors --register`, or raise the topic's max.message.bytes.",
                topic=name,
            )
