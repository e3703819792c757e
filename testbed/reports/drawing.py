"""A network drawn in characters: routers, hosts and LANs as a tree that hangs from its middle.

Where the terminal is wide enough the branches stand side by side, otherwise they are an indented outline. Knows
nothing of topologies: it is given names, labels and who is linked with whom.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from testbed.reports.wording import ASCII, Marks

_GAP = 2  # columns between branches
_IN_ASCII = str.maketrans("│─┌┐┬┴┼├└", "|-+++++|`")


@dataclass
class _Branch:
    """A vertex with what hangs from it."""

    name: str
    children: list[_Branch] = field(default_factory=list)


@dataclass(frozen=True)
class _Block:
    """Drawn lines, all of the same width, and the column at which they hang from above."""

    lines: list[str]
    anchor: int

    @property
    def width(self) -> int:
        return len(self.lines[0])


def draw(
    links: Sequence[tuple[str, str]], labels: Mapping[str, Sequence[str]], *, width: int, marks: Marks
) -> list[str]:
    """The lines of a drawing of the network.

    :param links: pairs of vertices; each vertex is a key of ``labels``. All are linked together somehow.
    :param labels: what to write for each vertex, a line each, at least one.
    :param width: columns to draw in; what does not fit side by side becomes an outline, which is never cut.
    """
    tree, left_over = _grow(links, list(labels))
    lines = _block(tree, labels).lines
    if max(map(len, lines)) > width:
        lines = _outline(tree, labels, "", "")
    lines = [line.rstrip() for line in lines] + [f"also linked: {one} ─ {other}" for one, other in left_over]
    return [line.translate(_IN_ASCII) for line in lines] if marks is ASCII else lines


def _grow(links: Sequence[tuple[str, str]], names: list[str]) -> tuple[_Branch, list[tuple[str, str]]]:
    """The tree from the vertex with most links, level by level, and the links that close a ring."""
    neighbours: dict[str, list[str]] = {name: [] for name in names}
    for one, other in links:
        neighbours[one].append(other)
        neighbours[other].append(one)
    root = max(names, key=lambda name: len(neighbours[name]))
    branches = {root: _Branch(root)}
    used: set[frozenset[str]] = set()
    queue = [root]
    for name in queue:
        for other in neighbours[name]:
            if other not in branches:
                branches[other] = _Branch(other)
                branches[name].children.append(branches[other])
                used.add(frozenset((name, other)))
                queue.append(other)
    return branches[root], [link for link in links if frozenset(link) not in used]


def _block(branch: _Branch, labels: Mapping[str, Sequence[str]]) -> _Block:
    """The label, centred above its branches."""
    label = list(labels[branch.name])
    if not branch.children:
        width = max(map(len, label))
        return _Block([line.center(width) for line in label], width // 2)
    below = _side_by_side([_block(child, labels) for child in branch.children])
    half = max(max(len(line) for line in label) // 2 - below.anchor, 0)
    indented = [" " * half + line for line in below.lines]
    anchor = below.anchor + half
    above = [" " * (anchor - len(line) // 2) + line for line in label]
    width = max(map(len, above + indented))
    return _Block([line.ljust(width) for line in above + indented], anchor)


def _side_by_side(blocks: list[_Block]) -> _Block:
    """The branches next to each other, under the line that joins them."""
    height = max(len(block.lines) for block in blocks)
    rows = []
    for row in range(height):
        cells = [block.lines[row] if row < len(block.lines) else " " * block.width for block in blocks]
        rows.append((" " * _GAP).join(cells))
    starts = [sum(block.width + _GAP for block in blocks[:place]) for place in range(len(blocks))]
    hangs = [start + block.anchor for start, block in zip(starts, blocks, strict=True)]
    anchor = (hangs[0] + hangs[-1]) // 2
    return _Block([_joint(hangs, anchor, len(rows[0])), *rows], anchor)


def _joint(hangs: list[int], anchor: int, width: int) -> str:
    if len(hangs) == 1:
        return " " * anchor + "│" + " " * (width - anchor - 1)
    line = [" "] * width
    line[hangs[0] : hangs[-1] + 1] = "─" * (hangs[-1] - hangs[0] + 1)
    for column in hangs:
        line[column] = "┬"
    line[hangs[0]], line[hangs[-1]] = "┌", "┐"
    line[anchor] = "┼" if line[anchor] == "┬" else "┴"
    return "".join(line)


def _outline(branch: _Branch, labels: Mapping[str, Sequence[str]], first: str, rest: str) -> list[str]:
    lines = [first + "  ".join(labels[branch.name])]
    for child in branch.children:
        last = child is branch.children[-1]
        lines += _outline(child, labels, rest + ("└─ " if last else "├─ "), rest + ("   " if last else "│  "))
    return lines
