"""A claim: what a check says must hold, and its way to a :class:`CheckResult`.

A check makes a claim, watches packets and kernel state until the claim holds or its deadline passes, and says what it
saw either way. It never raises for what it finds: a claim that does not hold is a result, not an error.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TypeVar

from testbed.errors import DeadlinePassed
from testbed.network.waiting import wait_for
from testbed.reports.result import CheckResult, Verdict

Seen = TypeVar("Seen")

PATIENCE_S = 4.0  # how long a claim may take to become true, before scaling for slow machines


@dataclass(frozen=True)
class Claim:
    """What must hold, with the node it is about and the rules that it stands for.

    ``name`` is the check's stable identifier, ``title`` the claim as a sentence, ``look_closer`` a command that shows
    the matter to a person.
    """

    name: str
    title: str
    expected: str
    node: str | None = None
    rules: tuple[str, ...] = ()
    look_closer: str | None = None
    _begun_s: float = field(default_factory=time.monotonic)

    def holds(self, observed: str, evidence: Iterable[str] = ()) -> CheckResult:
        return self._result(Verdict.PASS, observed, evidence)

    def fails(self, observed: str, evidence: Iterable[str] = ()) -> CheckResult:
        return self._result(Verdict.FAIL, observed, evidence)

    def judged(self, right: bool, observed: str, evidence: Iterable[str] = ()) -> CheckResult:
        return self._result(Verdict.PASS if right else Verdict.FAIL, observed, evidence)

    def _result(self, verdict: Verdict, observed: str, evidence: Iterable[str]) -> CheckResult:
        return CheckResult(
            name=self.name,
            title=self.title,
            verdict=verdict,
            expected=self.expected,
            observed=observed,
            node=self.node,
            evidence=tuple(evidence),
            rules=self.rules,
            look_closer=self.look_closer if verdict is Verdict.FAIL else None,
            duration_s=time.monotonic() - self._begun_s,
        )


async def watch(condition: Callable[[], Seen | None], what: str, timeout_s: float = PATIENCE_S) -> Seen | None:
    """What ``condition`` gives as soon as it gives something true; None where it does not in time.

    :raises DeadlinePassed: ``condition`` itself did: what it looks at could not be read, so nothing was found out.
    """
    in_vain = False

    def note() -> str:
        nonlocal in_vain
        in_vain = True
        return "nothing of the kind"

    try:
        return await wait_for(condition, what=what, timeout_s=timeout_s, on_timeout=note)
    except DeadlinePassed:
        if in_vain:
            return None
        raise
