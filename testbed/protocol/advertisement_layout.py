"""In which order the extensions of an advertisement stand, padding included.

An advertisement names its extensions by meaning, not by place. So that one that was read can be written again byte for
byte, it keeps a *layout*: the types in the order of the wire, 0 for a byte of padding. An empty layout is the order in
which we write: by type, then the unknown ones.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from testbed.errors import EncodeError
from testbed.protocol.extensions import FIRST_SKIPPABLE_TYPE, Extension, ExtensionType, Padding


def normal_layout(extensions: Sequence[Extension], layout: Sequence[int]) -> tuple[int, ...]:
    """``layout``, or nothing where it is the order of ``extensions`` anyway; EncodeError when it does not fit them."""
    own_order = [extension.type for extension in extensions]
    if not layout or list(layout) == own_order:
        return ()
    named = [extension_type for extension_type in layout if extension_type != ExtensionType.PADDING]
    if sorted(named) != sorted(own_order) or _skippable(named) != _skippable(own_order):
        raise EncodeError(f"layout of the advertisement is {tuple(layout)}, expected an order of {tuple(own_order)}")
    return tuple(layout)


def arranged(extensions: Sequence[Extension], layout: Sequence[int]) -> list[Extension]:
    """The extensions in the order of a layout that fits them, with its padding."""
    if not layout:
        return list(extensions)
    waiting = list(extensions)
    return [
        Padding() if extension_type == ExtensionType.PADDING else _taken(waiting, extension_type)
        for extension_type in layout
    ]


def _taken(waiting: list[Extension], extension_type: int) -> Extension:
    position = next(position for position, extension in enumerate(waiting) if extension.type == extension_type)
    return waiting.pop(position)


def _skippable(types: Iterable[int]) -> list[int]:
    """The types of unknown extensions: these stand in one field, in order, which a layout may not contradict."""
    return [extension_type for extension_type in types if extension_type >= FIRST_SKIPPABLE_TYPE]
