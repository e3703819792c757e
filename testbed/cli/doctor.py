"""``testbed doctor``: what this machine and its kernel can do, and the remedy for what is missing."""

from __future__ import annotations

import json
import os
import platform
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING

from testbed.cli import output
from testbed.cli.tables import table
from testbed.errors import MachineError
from testbed.reports.wording import Marks, marks_for

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from testbed.network.capabilities import Capability


def doctor(*, as_json: bool) -> int:
    """Print every capability with what was found.

    :raises MachineError: something required is missing; what else was found has been printed before.
    """
    from testbed.network import capabilities

    found = capabilities.probe()
    if as_json:
        output.say_utf8(json.dumps([asdict(one) for one in found], indent=2, ensure_ascii=False) + "\n")
    else:
        marks = marks_for(sys.stdout.encoding)
        for line in _told(found, output.terminal_width(sys.stdout), marks):
            output.say(marks.text(line))
    missing = [one for one in found if one.required and not one.available]
    if missing:
        names = ", ".join(one.name for one in missing)
        remedies = "; ".join(dict.fromkeys(one.remedy for one in missing if one.remedy))
        raise MachineError(f"this machine cannot run scenarios, it lacks: {names}", hint=remedies or None)
    return 0


def _told(found: Sequence[Capability], width: int, marks: Marks) -> Iterator[str]:
    user = "root" if os.geteuid() == 0 else f"user {os.geteuid()}"
    yield f"{platform.system()} {platform.release()} {platform.machine()}, Python {platform.python_version()}, {user}"
    for heading, required in (("Required", True), ("Optional", False)):
        rows = [(_state(one), one.name, _detail(one)) for one in found if one.required is required]
        if rows:
            yield from ("", heading, *table(rows, width=width, indent="  "))


def _state(capability: Capability) -> str:
    if capability.available:
        return "ok"
    return "MISSING" if capability.required else "missing"


def _detail(capability: Capability) -> str:
    if capability.available or not capability.remedy:
        return capability.detail
    return f"{capability.detail}; remedy: {capability.remedy}"
