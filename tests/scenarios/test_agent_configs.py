"""The agents are told what the RFC lets them do."""

from __future__ import annotations

import pytest

from testbed.scenarios.agent_configs import AgentOptions, Keys, agent_configs
from testbed.topologies.two_visited import PLAN


@pytest.mark.parametrize("interval_s", [0.05, 0.2, 0.4, 1.0, 1.1, 1.4, 10.0])
def test_an_advertisement_outlives_three_intervals(interval_s: float) -> None:
    configs = agent_configs(PLAN, Keys(PLAN), AgentOptions(advertisement_interval_s=interval_s))
    for node in ("home-router", "fa-a", "fa-b"):
        advertisement = configs[node][1]["advertisement"]
        assert advertisement["lifetime_s"] >= 3 * interval_s
        assert isinstance(advertisement["lifetime_s"], int)
