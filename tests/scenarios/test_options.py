"""Options of a scenario are declared once, and what is wrong with a user's word is said in one line."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Network

import pytest

from testbed.errors import OptionError
from testbed.scenarios.options import describe, option, parse_settings


@dataclass(frozen=True)
class _Options:
    mode: str = option("slow", choices=("slow", "fast"), help="how")
    count: int = option(3, minimum=1, maximum=9, help="how many")
    pause: float = option(0.5, minimum=0.1, help="how long")
    loud: bool = option(False, help="whether")
    prefix: IPv4Network = option(IPv4Network("192.0.2.0/24"), help="where")


def test_what_is_not_set_keeps_its_default() -> None:
    assert parse_settings(_Options, []) == _Options()


def test_words_become_typed_values() -> None:
    chosen = parse_settings(_Options, ["mode=fast", "count=9", "pause=2", "loud=on", "prefix=10.0.0.0/8"])
    assert chosen == _Options("fast", 9, 2.0, True, IPv4Network("10.0.0.0/8"))


def test_a_dash_in_a_key_is_an_underscore() -> None:
    @dataclass(frozen=True)
    class Dashed:
        two_words: bool = option(False, help="")

    assert parse_settings(Dashed, ["two-words=yes"]).two_words


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("mode", "--set mode: expected key=value"),
        ("speed=1", "unknown option 'speed' (known: mode, count, pause, loud, prefix)"),
        ("moed=fast", "unknown option 'moed' (did you mean 'mode'?)"),
        ("mode=medium", "option 'mode': 'medium' is not one of slow, fast"),
        ("count=ten", "option 'count': 'ten' is not a whole number from 1 to 9"),
        ("count=10", "option 'count': '10' is not a whole number from 1 to 9"),
        ("count=2.5", "option 'count': '2.5' is not a whole number from 1 to 9"),
        ("pause=nan", "option 'pause': 'nan' is not a number of at least 0.1"),
        ("loud=maybe", "option 'loud': 'maybe' is not on or off"),
        (
            "prefix=192.0.2.1/24",
            "option 'prefix': '192.0.2.1/24' is not an IPv4 prefix such as 192.0.2.0/24: "
            "192.0.2.1/24 has host bits set",
        ),
    ],
)
def test_a_wrong_word_is_refused_with_what_was_expected(word: str, message: str) -> None:
    with pytest.raises(OptionError) as refusal:
        parse_settings(_Options, [word])
    assert str(refusal.value) == message


def test_a_key_is_set_only_once() -> None:
    with pytest.raises(OptionError, match="option 'count' is set twice"):
        parse_settings(_Options, ["count=1", "count=2"])


def test_options_describe_themselves() -> None:
    described = {one.name: one for one in describe(_Options)}
    assert described["mode"].choices == ("slow", "fast")
    assert described["loud"].default == "off"
    assert described["count"].expected == "a whole number from 1 to 9"
    assert described["prefix"].type == "IPv4Network"
