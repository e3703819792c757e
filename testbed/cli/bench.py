"""``testbed bench``: the benchmarks, run as ``python -m testbed.bench`` would run them."""

from __future__ import annotations

import importlib.util
import runpy
import sys
from collections.abc import Sequence

from testbed.errors import UsageError

_MODULE = "testbed.bench"


def bench(words: Sequence[str]) -> int:
    """Run the benchmarks with these arguments; the exit status is theirs.

    :raises UsageError: this installation was made without them.
    """
    if importlib.util.find_spec(_MODULE) is None:
        raise UsageError("this installation has no benchmarks", hint="run it from a checkout of the sources")
    former = sys.argv
    sys.argv = ["testbed bench", *words]
    try:
        runpy.run_module(_MODULE, run_name="__main__", alter_sys=True)
    except SystemExit as leaving:
        return leaving.code if isinstance(leaving.code, int) else int(leaving.code is not None)
    finally:
        sys.argv = former
    return 0
