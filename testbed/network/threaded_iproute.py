"""pyroute2's ``IPRoute`` inside a namespace, usable from anywhere, coroutines included.

pyroute2's blocking calls run an event loop of their own, which Python forbids where another loop runs already - and
scenarios are coroutines. So every call is made on one thread kept for it. The thread also does the entering of the
namespace, and its socket stays open.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from testbed.errors import KernelRefused
from testbed.network.netns import Namespace


@cache
def _thread() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(max_workers=1, thread_name_prefix="pyroute2")


class ThreadedIPRoute:
    """Has every method of ``pyroute2.IPRoute``; dumps come back as lists, refusals as ``KernelRefused``."""

    def __init__(self, namespace: Namespace) -> None:
        self._node = namespace.name

        def opened() -> Any:
            with namespace.entered():
                return IPRoute()

        self._iproute = _thread().submit(opened).result()

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self._iproute, name)
        return self._called_on_thread(name, attribute) if callable(attribute) else attribute

    def close(self) -> None:
        """Close the socket."""
        _thread().submit(self._iproute.close).result()

    def _called_on_thread(self, name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            def ask() -> Any:
                answer = method(*arguments, **options)
                return list(answer) if inspect.isgenerator(answer) or isinstance(answer, tuple) else answer

            try:
                return _thread().submit(ask).result()
            except NetlinkError as refusal:
                words = [str(argument) for argument in arguments] + [f"{key}={value}" for key, value in options.items()]
                asked = f"{name}({', '.join(words)})"
                raise KernelRefused(f"{asked}: {os.strerror(refusal.code)}", node=self._node) from refusal

        return call
