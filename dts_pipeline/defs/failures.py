"""DtsErrors as Dagster shows them, and back again."""

from __future__ import annotations

import contextlib
import traceback
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import dagster as dg

from dts_pipeline.defs.memory import RunMemory
from dts_pipeline.errors import (
    ConfigError,
    DtsError,
    PoisonError,
    TerminalError,
    TransientError,
)

ERROR_KEY = "dts_error"
_KINDS: dict[str, type[DtsError]] = {
    kind.__name__: kind for kind in (DtsError, TransientError, TerminalError, PoisonError)
}


@contextlib.contextmanager
def reported(
    context: dg.OpExecutionContext,
    memory: RunMemory,
    stage: str,
    waits: Sequence[float] = (),
    note: Callable[[DtsError], None] = lambda error: None,
) -> Iterator[None]:
    """Turns what a stage raises into Dagster's words, without causes: they can quote row values.

    A TransientError asks for a retry, after each of `waits` seconds in turn; all else, and one
    more, is a Failure that is not retried, which `note` is told. Either way later slots of the run
    read nothing.
    """
    try:
        yield
    except Exception as error:
        memory.gave_up = True
        problem = problem_of(error, stage)
    else:
        return
    if isinstance(problem, TransientError) and context.retry_number < len(waits):
        context.log.warning(str(problem))
        raise dg.RetryRequested(len(waits), waits[context.retry_number]) from _bare(problem)
    note(problem)
    raise failure_of(problem) from None


def problem_of(error: Exception, stage: str) -> DtsError:
    """The error itself, or what stands for one that nobody foresaw."""
    return error if isinstance(error, DtsError) else _internal(error, stage)


def failure_of(error: DtsError) -> dg.Failure:
    """The Failure that shows `error` in the UI and carries it to `error_of`."""
    data = error.to_dict()
    kind = "ConfigError" if isinstance(error, ConfigError) else _kind_of(error)
    place = " ".join(f"{key}={value}" for key, value in error.where.items())
    return dg.Failure(
        description=error.message,
        metadata={
            "code": error.code,
            "where": place,
            "remedy": error.remedy,
            ERROR_KEY: dg.MetadataValue.json({**data, "kind": kind}),
        },
        allow_retries=False,
    )


def error_of(failure: dg.DagsterEvent) -> DtsError | None:
    """The DtsError behind a step's failure event; None where there is none."""
    data = failure.step_failure_data.user_failure_data
    entry = data.metadata.get(ERROR_KEY) if data else None
    if isinstance(entry, dg.JsonMetadataValue) and isinstance(entry.data, dict):
        return _rebuilt(entry.data)
    if data and data.description:
        code = data.metadata.get("code")
        remedy = data.metadata.get("remedy")
        return TerminalError(
            str(code.value) if code else "run_failed",
            data.description,
            remedy=str(remedy.value) if remedy else "",
        )
    return None


def _rebuilt(data: dict[str, Any]) -> DtsError:
    if data["kind"] == "ConfigError":
        return ConfigError([(p["path"], p["message"]) for p in data.get("problems", [])])
    return _KINDS[data["kind"]](
        data["code"], data["message"], where=data["where"], remedy=data["remedy"]
    )


def _kind_of(error: DtsError) -> str:
    return next(kind.__name__ for kind in type(error).__mro__ if kind.__name__ in _KINDS)


def _bare(error: DtsError) -> DtsError:
    """The error without the exceptions that led to it; Dagster would store their texts."""
    error.__cause__ = error.__context__ = None
    return error


def _internal(error: Exception, stage: str) -> TerminalError:
    """An error that nobody foresaw: its type and place, not its text, which can hold values."""
    frames = traceback.extract_tb(error.__traceback__)[-6:]
    path = " < ".join(f"{f.name} ({Path(f.filename).name}:{f.lineno})" for f in frames[::-1])
    return TerminalError(
        "internal_error",
        f"{stage} met an unexpected {type(error).__name__}",
        where={"at": path},
        remedy="This is a mistake in the pipeline: report it with the place above. "
        "Its text is withheld, it can hold row values.",
    )
