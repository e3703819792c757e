"""Texts that a renderer must give to the letter, kept in ``golden/``.

``TESTBED_UPDATE_GOLDEN=1 pytest`` writes them anew; the difference is then for a reviewer to read.
"""

from __future__ import annotations

import os
from pathlib import Path

_FOLDER = Path(__file__).with_name("golden")


def assert_golden(name: str, text: str) -> None:
    path = _FOLDER / name
    if os.environ.get("TESTBED_UPDATE_GOLDEN"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")
