"""Which challenges a foreign agent gave out, and which of them a mobile node may still answer (RFC 4721 2.1, 3.2).

Rules (D19):

- of the challenges in multicast advertisements the last few count, CHALLENGE_WINDOW of them;
- an advertisement multicast in answer to a solicitation repeats the last one;
- what was given to one node, in a unicast advertisement or in a reply, is repeated until that node uses it, and counts
  for that node alone;
- a node uses a challenge once, and none that was issued before the last one it used.

What is kept is bounded, whoever asks: past ``capacity`` nodes the oldest record goes, and with it whatever challenge
it had protected from being used again. What a verdict is answered with (codes 104, 105, 106) is for the agents.
"""

from __future__ import annotations

import os
from collections import OrderedDict, deque
from collections.abc import Callable, Hashable
from enum import Enum
from typing import NamedTuple

from testbed.errors import EncodeError
from testbed.protocol.fields import UINT8_MAX

CHALLENGE_WINDOW = 2  # RFC 4721 9
_LEAST_LENGTH = 4  # "SHOULD be at least 4 bytes", RFC 4721 2


class ChallengeVerdict(Enum):
    """What the foreign agent makes of the challenge in a request."""

    OK = "ok"
    UNKNOWN = "unknown"  # neither in the window nor given to this node: code 104
    STALE = "stale"  # this node used it, or one that was issued after it: code 106


class _Issued(NamedTuple):
    serial: int
    challenge: bytes


class ChallengeIssuer:
    """The challenges of one foreign agent; a ``node`` is whatever the agent tells mobile nodes apart by."""

    def __init__(
        self,
        window: int = CHALLENGE_WINDOW,
        *,
        length: int = 16,
        capacity: int = 1024,
        entropy: Callable[[int], bytes] = os.urandom,
    ) -> None:
        """Challenges have ``length`` bytes, out of ``entropy(length)``. EncodeError when a number makes no sense."""
        if window < 1 or capacity < 1:
            raise EncodeError(f"window and capacity of challenges are {window} and {capacity}, expected 1 and more")
        if not _LEAST_LENGTH <= length <= UINT8_MAX:
            raise EncodeError(f"length of challenges is {length}, expected {_LEAST_LENGTH}..{UINT8_MAX} (RFC 4721 2)")
        self._length = length
        self._capacity = capacity
        self._entropy = entropy
        self._serial = 0
        self._window: deque[_Issued] = deque(maxlen=window)
        self._offered: OrderedDict[Hashable, _Issued] = OrderedDict()
        self._last_used: OrderedDict[Hashable, _Issued] = OrderedDict()

    def advertise(self, *, solicited: bool = False) -> bytes:
        """The challenge for a multicast advertisement: a new one, or the last one again where it was solicited."""
        if solicited and self._window:
            return self._window[-1].challenge
        issued = self._issue()
        self._window.append(issued)
        self._forget_uses_before(self._window[0].serial)
        return issued.challenge

    def offer(self, node: Hashable) -> bytes:
        """The challenge for a unicast advertisement or a reply to ``node``: the same one until it is used."""
        issued = self._offered.get(node)
        if issued is None:
            issued = self._offered[node] = self._issue()
        self._offered.move_to_end(node)
        if len(self._offered) > self._capacity:
            self._offered.popitem(last=False)
        return issued.challenge

    def check(self, node: Hashable, challenge: bytes) -> ChallengeVerdict:
        """Judge the challenge in a request of ``node``; changes nothing."""
        last_used = self._last_used.get(node)
        issued = self._find(node, challenge)
        if issued is None:
            used_before = last_used is not None and last_used.challenge == challenge
            return ChallengeVerdict.STALE if used_before else ChallengeVerdict.UNKNOWN
        if last_used is not None and issued.serial <= last_used.serial:
            return ChallengeVerdict.STALE
        return ChallengeVerdict.OK

    def use(self, node: Hashable, challenge: bytes) -> None:
        """Remember that ``node`` answered this challenge, which ``check`` found to be OK.

        To be called when the request is taken on: neither this challenge nor an older one will do again.
        """
        issued = self._find(node, challenge)
        if issued is None:
            return
        self._last_used[node] = issued
        self._last_used.move_to_end(node)
        offered = self._offered.get(node)
        if offered is not None and offered.serial <= issued.serial:
            del self._offered[node]
        if len(self._last_used) > self._capacity:
            _, oldest = self._last_used.popitem(last=False)
            self._retire_up_to(oldest.serial)

    def forget(self, node: Hashable) -> None:
        """The node is gone: what was offered to it no longer counts; what it used stays used."""
        self._offered.pop(node, None)

    def _issue(self) -> _Issued:
        self._serial += 1
        return _Issued(self._serial, self._entropy(self._length))

    def _find(self, node: Hashable, challenge: bytes) -> _Issued | None:
        offered = self._offered.get(node)
        if offered is not None and offered.challenge == challenge:
            return offered
        return next((issued for issued in self._window if issued.challenge == challenge), None)

    def _forget_uses_before(self, serial: int) -> None:
        """Drop what no longer protects anything: all challenges in the window are newer."""
        for node in [node for node, used in self._last_used.items() if used.serial < serial]:
            del self._last_used[node]

    def _retire_up_to(self, serial: int) -> None:
        """Take challenges out of the window that a node might use again now that its record is gone."""
        while self._window and self._window[0].serial <= serial:
            self._window.popleft()
