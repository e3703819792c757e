"""Tables of words at given widths."""

from __future__ import annotations

from testbed.cli.tables import table

ROWS = [("name", "what it is"), ("ingress", "a filter that drops what has no business here")]


def test_the_last_column_is_wrapped_where_the_terminal_ends() -> None:
    assert table(ROWS, width=32, indent="  ") == [
        "  name     what it is",
        "  ingress  a filter that drops",
        "           what has no business",
        "           here",
    ]


def test_a_row_stays_on_its_line_where_nothing_limits_it_or_too_little_is_left() -> None:
    assert table(ROWS, width=1000) == [
        "name     what it is",
        "ingress  a filter that drops what has no business here",
    ]
    assert table(ROWS, width=20) == table(ROWS, width=1000)


def test_empty_cells_and_no_rows_are_fine() -> None:
    assert table([("a", "")], width=80) == ["a"]
    assert table([], width=80) == []
