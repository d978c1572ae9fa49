"""Reconcile (rule R4): the one mechanism that makes keys equal outside a batch and closes records.

A round goes through fixed phases; `Round` holds them in order and decides at the end. Why each is
needed stands with it. The caller does what a phase asks for, on real servers (`stages.reconcile`)
or in a model, and reports it; a phase reported out of order is a mistake in the caller.

1. `marked`: a watermark is written at each site, BEFORE any row is read there: every change of a
   row that the reading does not show stands behind it in the site's own log.
2. `read`: the rows of the keys at both sites.
3. `caught_up`: both links have applied everything up to those watermarks.
4. `held`: both lanes' checkpoints are locked, so no batch is applied any more.
5. `marked_again`: second watermarks; both logs are read up to them. A key with any event, marked
   or not, behind its first watermark starts over: its reading is not what the sites hold.
6. `outcomes`: keys that are equal may have the records closed that were open when the round began,
   no later ones; where the sites differ the winner's row is written at the other site, marked and
   guarded by every value read, and the records stay open for another round.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Any

import numpy as np
import numpy.typing as npt

from dts_pipeline.core.conflicts import source_wins
from dts_pipeline.core.links import Policy


class Phase(IntEnum):
    """How far a round is."""

    BEGUN = 0
    MARKED = 1
    READ = 2
    CAUGHT_UP = 3
    HELD = 4
    MARKED_AGAIN = 5


class Outcome(IntEnum):
    """What becomes of a key at the end of a round."""

    AGAIN = 0  # something happened to it meanwhile: it starts over
    EQUAL = 1  # the same at both sites, and nothing is on its way: its records may close
    FIRST = 2  # the first site's row is written at the second
    SECOND = 3  # the second site's row is written at the first
    UNDECIDED = 4  # different, and the policy is `fail`


@dataclass(frozen=True)
class Readings:
    """What both sites hold; one element a key in each array.

    `first_found`, `second_found`: bool, whether the site has the row. `equal`: bool, byte by byte,
    two absent rows included. `newer`: int64, 1, 0 or -1: the first site's version is later, equal
    or earlier (0 without a version column).
    """

    first_found: npt.NDArray[np.bool_]
    second_found: npt.NDArray[np.bool_]
    equal: npt.NDArray[np.bool_]
    newer: npt.NDArray[np.int64]


@dataclass(frozen=True)
class Round:
    """One round over a set of keys of one table.

    `policy` decides where the sites differ; with None the round only fills: a row that one site
    lacks is written there, and what both have differently is UNDECIDED. `first_site` names the site
    whose rows are the readings' first. `first_marks` and `second_marks` are whatever the caller
    uses for a watermark a site.
    """

    policy: Policy | None
    first_site: str
    phase: Phase = Phase.BEGUN
    first_marks: Any = None
    readings: Readings | None = None
    second_marks: Any = None

    def marked(self, marks: Any) -> Round:
        """The first watermarks are written."""
        return replace(self._after(Phase.BEGUN), phase=Phase.MARKED, first_marks=marks)

    def read(self, readings: Readings) -> Round:
        """The rows were read, each site's after its watermark."""
        return replace(self._after(Phase.MARKED), phase=Phase.READ, readings=readings)

    def caught_up(self) -> Round:
        """Both links have applied everything up to the first watermarks."""
        return replace(self._after(Phase.READ), phase=Phase.CAUGHT_UP)

    def held(self) -> Round:
        """Both lanes' checkpoint rows are locked."""
        return replace(self._after(Phase.CAUGHT_UP), phase=Phase.HELD)

    def marked_again(self, marks: Any) -> Round:
        """The second watermarks are written."""
        return replace(self._after(Phase.HELD), phase=Phase.MARKED_AGAIN, second_marks=marks)

    def outcomes(self, touched: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
        """The `Outcome` of each key.

        `touched`: bool, the keys with an event in either log between the two watermarks.
        """
        readings = self._after(Phase.MARKED_AGAIN).readings
        assert readings is not None
        if self.policy is None:
            return np.where(touched, Outcome.AGAIN, fill(readings))
        return np.where(touched, Outcome.AGAIN, decide(self.policy, self.first_site, readings))

    def _after(self, phase: Phase) -> Round:
        if self.phase is not phase:
            raise ValueError(f"a round in phase {self.phase.name} cannot go on from {phase.name}")
        return self


def decide(policy: Policy, first_site: str, readings: Readings) -> npt.NDArray[np.int64]:
    """EQUAL, FIRST, SECOND or UNDECIDED for each key, as both links would decide it."""
    if policy.kind == "fail":
        different = np.full(len(readings.equal), Outcome.UNDECIDED, dtype=np.int64)
    else:
        wins = source_wins(
            policy,
            first_site,
            is_delete=~readings.first_found,
            found=readings.second_found,
            newer=readings.newer,
        )
        different = np.where(wins, Outcome.FIRST, Outcome.SECOND).astype(np.int64)
    return np.where(readings.equal, Outcome.EQUAL, different)


def fill(readings: Readings) -> npt.NDArray[np.int64]:
    """FIRST or SECOND where one site lacks the row; EQUAL, or UNDECIDED where both have one."""
    alone = np.where(readings.first_found, Outcome.FIRST, Outcome.SECOND)
    both = readings.first_found & readings.second_found
    different = np.where(both, Outcome.UNDECIDED, alone)
    return np.where(readings.equal, Outcome.EQUAL, different).astype(np.int64)
