"""How values get from op to op: through the run's own memory, a batch only once."""

from __future__ import annotations

from typing import Any

import dagster as dg

RUN_MEMORY = "run_memory"


class Handoff:
    """A batch on its way to exactly one reader; nothing that keeps the Handoff keeps its frame.

    An op takes the batch out of it itself: Dagster keeps a step's inputs until the garbage
    collector comes by, and by then another batch or two are there.
    """

    def __init__(self, batch: Any) -> None:
        self._batch: Any = batch

    def take(self) -> Any:
        """The batch; None once it was taken."""
        batch, self._batch = self._batch, None
        return batch

    @property
    def is_taken(self) -> bool:
        """Whether the batch is gone."""
        return self._batch is None


class RunMemory(dg.IOManager):
    """Keeps values as long as the run's process; lets go of a `Handoff`'s batch once it is read.

    `gave_up` is set when a stage failed or is to be repeated: later slots then read nothing, so
    that no frame waits beside the one that is repeated and one failure is reported once.
    """

    def __init__(self) -> None:
        self._values: dict[tuple[str, ...], Any] = {}
        self.gave_up = False

    def handle_output(self, context: dg.OutputContext, obj: Any) -> None:
        """Keeps `obj` under its step, output and mapping key."""
        self._values[tuple(context.get_identifier())] = obj

    def load_input(self, context: dg.InputContext) -> Any:
        """The value; a `Handoff` is forgotten here.

        Raises dg.Failure (not retried) where this process never held the value or gave it away.
        """
        assert context.upstream_output is not None, "values come from ops of the same run"
        identifier = tuple(context.get_identifier())
        value = self._values.get(identifier)
        if isinstance(value, Handoff):
            del self._values[identifier]
        if value is None or (isinstance(value, Handoff) and value.is_taken):
            raise _gone(context.upstream_output.run_id)
        return value


def _gone(run_id: str) -> dg.Failure:
    return dg.Failure(
        description=f"frames of run {run_id} lived in its memory: re-execute all steps",
        metadata={
            "code": "frames_gone",
            "remedy": "Choose 'Re-execute all', or wait for the next scheduled run; the ledger "
            "knows what was applied, so nothing is applied twice.",
        },
        allow_retries=False,
    )


@dg.io_manager(description="Values between ops, in the memory of the run's process.")
def run_memory(_context: dg.InitResourceContext) -> RunMemory:
    """A memory of its own for each run."""
    return RunMemory()
