"""A link's rate: how long a batch has to wait for the one before it.

Between batches only, never inside a transaction, and by the ledger, so that it holds from run to
run: after a batch of n events comes none for n / `max_events_per_second` seconds.
"""

from __future__ import annotations

import time

from dts_pipeline.adapters.figures import last_batch
from dts_pipeline.core.batches import Checkpoint
from dts_pipeline.stages.runtime import LinkRuntime


def keeps_pace(runtime: LinkRuntime, checkpoint: Checkpoint, deadline: float) -> bool:
    """Waits until the next batch may come; False, at once, where that is past the deadline.

    `deadline` is in seconds of the monotonic clock.
    """
    rate = runtime.link.max_events_per_second
    if rate is None:
        return True
    last = last_batch(runtime.target, checkpoint.link, checkpoint.lane)
    if last is None:
        return True
    events, passed = last
    wait = events / rate - passed
    if time.monotonic() + wait > deadline:
        return False
    if wait > 0:
        time.sleep(wait)
    return True
