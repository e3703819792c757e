"""Watching for a fact tells "it never came" from "it could not be looked for"."""

from __future__ import annotations

import asyncio

import pytest

from testbed.checks.claim import watch
from testbed.errors import DeadlinePassed


def test_what_never_comes_is_nothing() -> None:
    assert asyncio.run(watch(lambda: None, "rain", 0)) is None


def test_captures_that_cannot_be_read_are_no_proof_of_absence() -> None:
    def stuck() -> None:
        raise DeadlinePassed("waited 3 s for captures to be written")

    with pytest.raises(DeadlinePassed, match="captures to be written"):
        asyncio.run(watch(stuck, "rain", 0))
