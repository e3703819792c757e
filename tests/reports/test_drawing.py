"""Networks drawn in characters: exact pictures."""

from __future__ import annotations

import pytest

from testbed.reports.drawing import draw
from testbed.reports.wording import ASCII, UNICODE

LINKS = [("core", "left"), ("core", "middle"), ("core", "right"), ("right", "lan"), ("lan", "cn"), ("lan", "mn")]
LABELS = {name: [name] for name in ("core", "left", "middle", "right", "cn", "mn")} | {"lan": ["[lan]", "192.0.2.0/24"]}


def test_branches_stand_side_by_side_under_the_vertex_with_most_links() -> None:
    assert draw(LINKS, LABELS, width=80, marks=UNICODE) == [
        "         core",
        "  ┌──────┬─┴────────┐",
        "left  middle      right",
        "                    │",
        "                  [lan]",
        "              192.0.2.0/24",
        "                  ┌─┴─┐",
        "                 cn  mn",
    ]


def test_where_the_terminal_is_too_narrow_branches_are_an_outline() -> None:
    assert draw(LINKS, LABELS, width=20, marks=ASCII) == [
        "core",
        "|- left",
        "|- middle",
        "`- right",
        "   `- [lan]  192.0.2.0/24",
        "      |- cn",
        "      `- mn",
    ]


def test_ascii_has_the_same_shape() -> None:
    drawn = draw(LINKS, LABELS, width=80, marks=ASCII)
    assert all(line.isascii() for line in drawn)
    assert [len(line) for line in drawn] == [len(line) for line in draw(LINKS, LABELS, width=80, marks=UNICODE)]


def test_a_link_that_closes_a_ring_is_named_below() -> None:
    ring = [("a", "b"), ("b", "c"), ("c", "a")]
    drawn = draw(ring, {name: [name] for name in "abc"}, width=80, marks=UNICODE)
    assert drawn == [" a", "┌┴─┐", "b  c", "also linked: b ─ c"]


def test_a_lonely_vertex_is_a_drawing_too() -> None:
    assert draw([], {"mn": ["mn", "mobile node"]}, width=80, marks=UNICODE) == ["     mn", "mobile node"]


@pytest.mark.parametrize("width", [1, 30, 79])
def test_every_vertex_is_drawn_at_any_width(width: int) -> None:
    words = " ".join(draw(LINKS, LABELS, width=width, marks=UNICODE)).split()
    assert {*words} >= {"core", "left", "middle", "right", "[lan]", "192.0.2.0/24", "cn", "mn"}
