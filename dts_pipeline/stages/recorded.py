"""Which keys have an open record in `dts.conflict`: differences that are known already."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from dts_pipeline.adapters.reconcile_records import OWN_KEYS, open_records
from dts_pipeline.core.row_values import from_json
from dts_pipeline.stages.at_rest import decoded, source_table
from dts_pipeline.stages.compare import TableComparison
from dts_pipeline.stages.runtime import LinkRuntime

_AT_MOST = 200_000


def recorded(
    links: Sequence[LinkRuntime], table: TableComparison, keys: pd.DataFrame
) -> npt.NDArray[np.bool_]:
    """For each key whether a record is open at either site, of any of these links.

    The first link is from the first site compared to the second.
    """
    found = np.zeros(len(keys), dtype=np.bool_)
    if keys.empty:
        return found
    sites = links[0].source.site, links[0].target.site
    for runtime in links:
        if runtime.target.site not in sites:
            continue
        at = sites.index(runtime.target.site)
        target, source = table.pair.tables[at], source_table(runtime, links[0], table)
        records = open_records(runtime.target, runtime.link.name, _AT_MOST, table=table.pair.name)
        names = target.primary_key
        own = [from_json(names, r.key_json) for r in records if r.kind in OWN_KEYS]
        theirs = [r.key_json.encode() for r in records if r.kind not in OWN_KEYS]
        frame = pd.concat(
            [
                pd.DataFrame(own, columns=list(names), dtype=object),
                decoded(runtime, list(dict.fromkeys(theirs)), source, target)[list(names)],
            ],
            ignore_index=True,
        )
        found |= table.readers[at].same_rows(keys, frame)
    return found
