"""``python -m testbed.fullkernel suite`` is what ``make test-vm`` calls; with ``run CMD…`` it runs any command."""

from __future__ import annotations

import sys
from pathlib import Path

from testbed.errors import TestbedError
from testbed.fullkernel import machine, suite

_USAGE = "usage: python -m testbed.fullkernel suite | run CMD [ARGS…]"
_DEADLINE_S = 900.0


def main(arguments: list[str]) -> int:
    """The exit status of what ran inside; 2 and 3 as everywhere."""
    try:
        if arguments == ["suite"]:
            return suite.run()
        if arguments[:1] == ["run"] and len(arguments) > 1:
            order = machine.Order([arguments[1:]], directory=Path.cwd(), deadline_s=_DEADLINE_S)
            return machine.run(machine.prepare(), order)
    except TestbedError as error:
        print(f"testbed: {error}", file=sys.stderr)
        return error.exit_code
    print(_USAGE, file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
