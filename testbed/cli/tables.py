"""Tables of words: columns side by side, the last one wrapped where the terminal ends."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

_GAP = "  "
_LEAST = 20  # columns below which wrapping would only make it worse


def table(rows: Sequence[Sequence[str]], *, width: int, indent: str = "") -> list[str]:
    """The rows as lines of at most ``width`` columns, where the first columns leave room for the last."""
    if not rows:
        return []
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]) - 1)]
    lines: list[str] = []
    for row in rows:
        start = indent + "".join(cell.ljust(size) + _GAP for cell, size in zip(row, widths, strict=False))
        wrapped = _wrapped(row[-1], width - len(start))
        lines.append((start + wrapped[0]).rstrip())
        lines += [" " * len(start) + part for part in wrapped[1:]]
    return lines


def _wrapped(text: str, width: int) -> list[str]:
    if width < _LEAST:
        return [text]
    return textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False) or [""]
