"""`dts` in a process that carries out the orders of `faults` for the link that it syncs.

`python -m dts_pipeline_tests.faults.faulty_sync sync LINK …`
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from dts_pipeline.cli import main
from dts_pipeline.core import points
from dts_pipeline_tests.faults.orders import FAULTS, Faults

if __name__ == "__main__":
    faults = Faults(Path(os.environ[FAULTS]))
    points.install(lambda point: faults.meet(sys.argv[2], point))
    main()
