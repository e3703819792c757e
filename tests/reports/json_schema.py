"""As much of JSON Schema (draft 2020-12) as our schemas use; a keyword it does not know is an error."""

from __future__ import annotations

import re
from typing import Any

_TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "null": (type(None),),
}
_SIZES: dict[str, list[str]] = {
    "maximum": ["number"],
    "minItems": ["array"],
    "minLength": ["string"],
    "maxLength": ["string"],
    "pattern": ["string"],
}
_SAID_ONLY = {"$schema", "$defs", "title", "description"}


def violations(schema: dict[str, Any], value: Any, root: dict[str, Any] | None = None, at: str = "$") -> list[str]:
    """What in ``value`` breaks the schema, a line each."""
    root = root or schema
    found: list[str] = []
    for keyword, rule in schema.items():
        if keyword in _SAID_ONLY:
            continue
        if keyword == "$ref":
            found += violations(root["$defs"][rule.removeprefix("#/$defs/")], value, root, at)
        elif keyword == "type":
            found += [] if _is_a(value, rule) else [f"{at}: not {rule}"]
        elif keyword == "const":
            found += [] if value == rule else [f"{at}: not {rule!r}"]
        elif keyword == "enum":
            found += [] if value in rule else [f"{at}: not one of {rule}"]
        elif keyword == "oneOf":
            fitting = sum(not violations(choice, value, root, at) for choice in rule)
            found += [] if fitting == 1 else [f"{at}: fits {fitting} of {len(rule)} choices, not one"]
        elif keyword == "minimum":
            found += [] if not _is_a(value, "number") or value >= rule else [f"{at}: less than {rule}"]
        elif keyword in _SIZES:
            found += (
                [] if not _is_a(value, _SIZES[keyword]) or _fits(keyword, rule, value) else [f"{at}: {keyword} {rule}"]
            )
        elif keyword == "required":
            found += [f"{at}: no '{name}'" for name in rule if isinstance(value, dict) and name not in value]
        elif keyword == "items":
            found += [
                line
                for place, item in enumerate(value if isinstance(value, list) else [])
                for line in violations(rule, item, root, f"{at}[{place}]")
            ]
        elif keyword in ("properties", "additionalProperties"):
            continue
        else:
            raise AssertionError(f"the validator does not know '{keyword}'")
    return found + (_members(schema, value, root, at) if isinstance(value, dict) else [])


def _fits(keyword: str, rule: Any, value: Any) -> bool:
    match keyword:
        case "maximum":
            return bool(value <= rule)
        case "minItems" | "minLength":
            return bool(len(value) >= rule)
        case "maxLength":
            return bool(len(value) <= rule)
        case _:
            return re.search(rule, value) is not None


def _members(schema: dict[str, Any], value: dict[str, Any], root: dict[str, Any], at: str) -> list[str]:
    known, others = schema.get("properties", {}), schema.get("additionalProperties", True)
    found: list[str] = []
    for name, item in value.items():
        if name in known:
            found += violations(known[name], item, root, f"{at}.{name}")
        elif others is False:
            found.append(f"{at}: unknown '{name}'")
        elif isinstance(others, dict):
            found += violations(others, item, root, f"{at}.{name}")
    return found


def _is_a(value: Any, rule: str | list[str]) -> bool:
    names = [rule] if isinstance(rule, str) else rule
    if isinstance(value, bool):
        return "boolean" in names
    return any(isinstance(value, _TYPES[name]) for name in names)
