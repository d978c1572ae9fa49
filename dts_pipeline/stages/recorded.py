"""Which keys have an open record in `dts.conflict`: differences that are known already."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from dts_pipeline.adapters.reconcile_records import OWN_KEYS, open_records
from dts_pipeline.core.row_values import from_json
from dts_pipeline.stages.at_rest import decoded
from dts_pipeline.stages.compare import TableComparison
from dts_pipeline.stages.runtime import LinkRuntime

_AT_MOST = 200_000


def recorded(
    links: Sequence[LinkRuntime], table: TableComparison, keys: pd.DataFrame
) -> npt.NDArray[np.bool_]:
    """For each key whether a record is open at either site."""
    found = np.zeros(len(keys), dtype=np.bool_)
    if keys.empty:
        return found
    for index, runtime in enumerate(links):
        source, target = table.pair.tables[:: 1 - 2 * index]
        records = open_records(runtime.target, runtime.link.name, _AT_MOST, table=table.pair.name)
        names = source.primary_key
        own = [from_json(names, r.key_json) for r in records if r.kind in OWN_KEYS]
        theirs = [r.key_json.encode() for r in records if r.kind not in OWN_KEYS]
        frame = pd.concat(
            [
                pd.DataFrame(own, columns=list(names), dtype=object),
                decoded(runtime, list(dict.fromkeys(theirs)), source, target)[list(names)],
            ],
            ignore_index=True,
        )
        found |= table.readers[1 - index].same_rows(keys, frame)
    return found
