"""Which kernel a virtual machine can boot: one that a distribution's package installed, with its modules.

Responsible for finding it; what is done with it is machine.py's business.
"""

from __future__ import annotations

import platform
import re
from dataclasses import dataclass
from pathlib import Path

from testbed.errors import MissingFeature

BOOT = Path("/boot")
MODULES = Path("/lib/modules")
_NEEDED_MODULE = "kernel/net/ipv4/ipip.ko*"  # .ko, .ko.xz or .ko.zst


@dataclass(frozen=True)
class Kernel:
    """``version`` is what ``uname -r`` says when ``image`` runs."""

    version: str
    image: Path


def find_kernel(*, boot: Path = BOOT, modules: Path = MODULES, running: str | None = None) -> Kernel:
    """The running kernel where it is a distribution's with ipip, else the newest such kernel that is installed.

    Raises ``MissingFeature`` with the package to install.
    """
    images = {path.name.removeprefix("vmlinuz-"): path for path in boot.glob("vmlinuz-*")}
    usable = [version for version in images if any((modules / version).glob(_NEEDED_MODULE))]
    if not usable:
        raise MissingFeature(
            f"{boot} holds no kernel that has its modules in {modules} and ipip among them",
            hint="install linux-image-amd64 (Debian) or linux-image-virtual (Ubuntu)",
        )
    own = running or platform.release()
    version = own if own in usable else max(usable, key=_by_number)
    return Kernel(version, images[version])


def _by_number(version: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", version)]
