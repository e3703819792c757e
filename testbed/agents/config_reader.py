"""Reading one object of a configuration, key by key; errors name file, key, value and what was expected."""

from __future__ import annotations

import json
from collections.abc import Collection
from ipaddress import IPv4Address, IPv4Network
from typing import Any, NoReturn

from testbed.errors import ConfigError

_MISSING: Any = object()
_LONGEST_INTERFACE_NAME = 15
_LONGEST_SHOWN = 60


class Section:
    """One object of the file; ``at`` is where it stands, as ``mobile_nodes[0].``, empty for the whole file.

    Every getter takes a key and what it is unless given, and raises ConfigError where the value does not fit.
    """

    def __init__(self, file: str, at: str, content: object) -> None:
        self._file = file
        self._at = at
        self._asked: set[str] = set()
        if not isinstance(content, dict):
            raise ConfigError(f"{file}: {at.rstrip('.') or 'the file'} is {_shown(content)}, expected an object")
        self._content: dict[str, Any] = content

    def finish(self) -> None:
        """All known keys have been asked for: any other is a mistake, and is named."""
        for key in self._content:
            if key not in self._asked:
                import difflib  # only now: a file without mistakes need not wait for it

                close = difflib.get_close_matches(key, self._asked, 1)
                meant = f"; did you mean {close[0]}?" if close else ""
                known = ", ".join(sorted(self._asked))
                raise ConfigError(f"{self._file}: unknown key {self._at}{key}, expected one of {known}{meant}")

    def text(self, key: str, default: str = _MISSING) -> str:
        value = self._get(key, default, "a text")
        if not isinstance(value, str) or not value:
            self.refuse(key, value, "a text that is not empty")
        return value

    def choice(self, key: str, choices: Collection[str], default: str = _MISSING) -> str:
        expected = " or ".join(choices)
        value = self._get(key, default, expected)
        if not isinstance(value, str) or value not in choices:
            self.refuse(key, value, expected)
        return value

    def interface(self, key: str) -> str:
        value = self.text(key)
        self._require_interface(key, value)
        return value

    def interfaces(self, key: str) -> tuple[str, ...]:
        value = self._get(key, _MISSING, "a list of interface names")
        if not isinstance(value, list) or not value:
            self.refuse(key, value, "a list of interface names, at least one")
        for name in value:
            self._require_interface(key, name)
        return tuple(value)

    def flag(self, key: str, default: bool = _MISSING) -> bool:
        value = self._get(key, default, "true or false")
        if not isinstance(value, bool):
            self.refuse(key, value, "true or false")
        return value

    def integer(self, key: str, least: int, most: int, default: int = _MISSING) -> int:
        expected = f"a whole number from {least} to {most}"
        value = self._get(key, default, expected)
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            self.refuse(key, value, expected)
        return value

    def number(self, key: str, least: float, most: float, default: float = _MISSING) -> float:
        expected = f"a number from {least:g} to {most:g}"
        value = self._get(key, default, expected)
        if not isinstance(value, int | float) or isinstance(value, bool) or not least <= value <= most:
            self.refuse(key, value, expected)
        return float(value)

    def address(self, key: str) -> IPv4Address:
        expected = "the IPv4 address of a host, such as 192.0.2.10"
        value = self._get(key, _MISSING, expected)
        try:
            address = IPv4Address(value if isinstance(value, str) else "")
        except ValueError:
            self.refuse(key, value, expected)
        if address.is_multicast or address.is_unspecified or address.is_reserved or address.is_loopback:
            self.refuse(key, value, expected)
        return address

    def network(self, key: str) -> IPv4Network:
        expected = "an IPv4 prefix without host bits, such as 192.0.2.0/24"
        value = self._get(key, _MISSING, expected)
        try:
            return IPv4Network(value if isinstance(value, str) and "/" in value else "")
        except ValueError:
            self.refuse(key, value, expected)

    def octets(self, key: str) -> bytes:
        expected = "bytes in hexadecimal, such as 0102030405060708090a0b0c0d0e0f10"
        value = self._get(key, _MISSING, expected)
        try:
            octets = bytes.fromhex(value if isinstance(value, str) else "x")
        except ValueError:
            octets = b""
        if not octets:
            # keys stay out of logs, even broken ones
            raise ConfigError(f"{self._file}: {self._at}{key} is something else (not shown), expected {expected}")
        return octets

    def section(self, key: str) -> Section:
        """An object; an empty one where it is missing."""
        return Section(self._file, f"{self._at}{key}.", self._get(key, {}, "an object"))

    def sections(self, key: str, *, required: bool = False) -> list[Section]:
        """A list of objects; an empty one where it is missing, unless it is required."""
        value = self._get(key, _MISSING if required else [], "a list of objects")
        if not isinstance(value, list) or (required and not value):
            self.refuse(key, value, "a list of objects" + ", at least one" * required)
        return [Section(self._file, f"{self._at}{key}[{place}].", item) for place, item in enumerate(value)]

    def refuse(self, key: str, value: object, expected: str) -> NoReturn:
        raise ConfigError(f"{self._file}: {self._at}{key} is {_shown(value)}, expected {expected}")

    def _get(self, key: str, default: Any, expected: str) -> Any:
        self._asked.add(key)
        if key in self._content:
            return self._content[key]
        if default is _MISSING:
            raise ConfigError(f"{self._file}: {self._at}{key} is missing, expected {expected}")
        return default

    def _require_interface(self, key: str, name: object) -> None:
        if not isinstance(name, str) or not 0 < len(name) <= _LONGEST_INTERFACE_NAME or "/" in name or " " in name:
            self.refuse(key, name, f"the name of an interface, at most {_LONGEST_INTERFACE_NAME} characters")


def _shown(value: object) -> str:
    """A value as the file has it, short enough for one line; not what is inside it, which may be keys."""
    if isinstance(value, dict | list) and value:
        return "an object" if isinstance(value, dict) else "a list"
    text = json.dumps(value)
    return text if len(text) <= _LONGEST_SHOWN else f"{text[: _LONGEST_SHOWN - 3]}..."
