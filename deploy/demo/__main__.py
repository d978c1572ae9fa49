"""`make demo`: two servers that both take writes, kept equal by scheduled Dagster runs.

Exit status: 0 equal, or ended by Ctrl-C; 1 not equal; 2 could not be done.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from demoshop.children import Children, interruptible
from demoshop.errors import DemoError
from demoshop.play import check, watch
from demoshop.setting import Setting
from demoshop.show import say

_ROOT = Path(__file__).resolve().parents[2]


def main() -> int:
    """Sets everything up, plays, and takes everything down again."""
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__)
    parser.add_argument("--flavour", choices=("mariadb", "mysql", "mixed"), default="mariadb")
    parser.add_argument("--check", action="store_true", help="unattended: check, then exit")
    arguments = parser.parse_args()
    children = Children()
    setting = Setting(_ROOT, arguments.flavour, children)
    with interruptible() as interrupts:
        try:
            setting.up()
            return check(setting) if arguments.check else watch(setting)
        except DemoError as error:
            say(f"demo: {error}")
            return 2
        except KeyboardInterrupt:
            say("ending")
            return 130 if arguments.check else 0
        finally:
            with interrupts.held_back():
                setting.down()


if __name__ == "__main__":
    sys.exit(main())
