"""What evidence and traffic need of a node: its name, and to start programs and make sockets inside it."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol


class Place(Protocol):
    """A :class:`testbed.network.netns.Namespace`, or anything that can stand for one."""

    @property
    def name(self) -> str: ...
    def popen(self, argv: Sequence[str], **options: Any) -> subprocess.Popen[Any]: ...
    def entered(self) -> AbstractContextManager[None]: ...
