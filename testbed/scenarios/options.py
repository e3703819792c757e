"""Options of a scenario: a frozen dataclass whose fields say what they are, and ``key=value`` words turned into one.

A field is declared with :func:`option`. Its type may be ``str`` (with choices), ``int``, ``float``, ``bool`` or
``IPv4Network``. What is wrong with a user's word is said in one line that names the key, the value and what was
expected.
"""

from __future__ import annotations

import difflib
import ipaddress
from collections.abc import Iterable, Sequence
from dataclasses import MISSING, Field, dataclass, field, fields
from typing import Any, TypeVar, get_type_hints

from testbed.errors import OptionError

Options = TypeVar("Options")

_TRUE = {"on", "yes", "true", "1"}
_FALSE = {"off", "no", "false", "0"}


def option(
    default: Any,
    *,
    help: str,
    choices: Sequence[str] | None = None,
    minimum: float | None = None,
    maximum: float | None = None,
) -> Any:
    """A field of an options dataclass.

    :param choices: the values a ``str`` option may have.
    :param minimum: the least value of a number, included; ``maximum`` likewise.
    """
    metadata = {"help": help, "choices": tuple(choices) if choices else None, "minimum": minimum, "maximum": maximum}
    return field(default=default, metadata=metadata)


@dataclass(frozen=True)
class OptionDescription:
    """What ``testbed show`` says of one option."""

    name: str
    type: str
    default: str
    choices: tuple[str, ...] | None
    help: str
    expected: str


def describe(options_type: type) -> list[OptionDescription]:
    """The options that a scenario takes, in the order in which they are declared."""
    hints = get_type_hints(options_type)
    return [
        OptionDescription(
            name=declared.name,
            type=hints[declared.name].__name__,
            default=render(declared.default) if declared.default is not MISSING else "",
            choices=declared.metadata.get("choices"),
            help=declared.metadata.get("help", ""),
            expected=_expected(hints[declared.name], declared),
        )
        for declared in fields(options_type)
    ]


def render(value: Any) -> str:
    """An option's value as a user would write it."""
    if isinstance(value, bool):
        return "on" if value else "off"
    return str(value)


def parse_settings(options_type: type[Options], settings: Iterable[str]) -> Options:
    """Turn ``key=value`` words into an options object; what is not named keeps its default.

    :raises OptionError: an unknown key, a key given twice, or a value that is not allowed.
    """
    declared = {declared.name: declared for declared in fields(options_type)}  # type: ignore[arg-type]
    hints = get_type_hints(options_type)
    chosen: dict[str, Any] = {}
    for word in settings:
        key, equals, text = word.partition("=")
        key = key.strip().replace("-", "_")
        if not equals:
            raise OptionError(f"--set {word}: expected key=value")
        if key not in declared:
            raise OptionError(f"unknown option '{key}'", hint=_suggestion(key, list(declared)))
        if key in chosen:
            raise OptionError(f"option '{key}' is set twice")
        chosen[key] = _parse(key, text.strip(), hints[key], declared[key])
    return options_type(**chosen)


def _suggestion(key: str, known: list[str]) -> str:
    close = difflib.get_close_matches(key, known, n=1)
    return f"did you mean '{close[0]}'?" if close else "known: " + ", ".join(known)


def _expected(kind: type, declared: Field[Any]) -> str:
    metadata = declared.metadata
    if metadata.get("choices"):
        return "one of " + ", ".join(metadata["choices"])
    if kind is bool:
        return "on or off"
    if kind in (int, float):
        noun = "a whole number" if kind is int else "a number"
        low, high = metadata.get("minimum"), metadata.get("maximum")
        if low is not None and high is not None:
            return f"{noun} from {low:g} to {high:g}"
        return f"{noun} of at least {low:g}" if low is not None else noun
    if kind is ipaddress.IPv4Network:
        return "an IPv4 prefix such as 192.0.2.0/24"
    return "a word"


def _parse(key: str, text: str, kind: type, declared: Field[Any]) -> Any:
    try:
        value = _convert(text, kind)
    except ValueError as error:
        reason = f": {error}" if kind is ipaddress.IPv4Network else ""
        raise OptionError(f"option '{key}': '{text}' is not {_expected(kind, declared)}{reason}") from None
    choices, low, high = (declared.metadata.get(name) for name in ("choices", "minimum", "maximum"))
    refused = (
        (choices and value not in choices)
        or (low is not None and not value >= low)  # written so that NaN is refused
        or (high is not None and not value <= high)
    )
    if refused:
        raise OptionError(f"option '{key}': '{text}' is not {_expected(kind, declared)}")
    return value


def _convert(text: str, kind: type) -> Any:
    if kind is bool:
        if text.lower() in _TRUE:
            return True
        if text.lower() in _FALSE:
            return False
        raise ValueError(text)
    if kind is ipaddress.IPv4Network:
        return ipaddress.IPv4Network(text)
    return kind(text)
