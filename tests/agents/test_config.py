"""Configuration files: what is documented is read, what does not hold is named in one line."""

from __future__ import annotations

import copy
import json
import re
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import pytest

from testbed.agents.config import ROLES, read_config
from testbed.agents.settings import ForeignSettings, HomeSettings, MobileSettings
from testbed.errors import ConfigError
from testbed.protocol.authentication import Algorithm
from tests.reports.json_schema import violations

REPOSITORY = Path(__file__).parents[2]
SCHEMA: dict[str, Any] = json.loads((REPOSITORY / "testbed" / "agents" / "schema.json").read_text())
_BLOCKS = re.findall(r"^```json\n(.*?)^```$", (REPOSITORY / "docs" / "agents.md").read_text(), re.M | re.S)
DOCUMENTED: dict[str, dict[str, Any]] = {example["role"]: example for example in map(json.loads, _BLOCKS)}


def read(folder: Path, config: Any, role: str) -> HomeSettings | ForeignSettings | MobileSettings:
    file = folder / "agent.json"
    file.write_text(json.dumps(config))
    return read_config(file, role)


def changed(role: str, path: str, value: Any) -> dict[str, Any]:
    """The documented example with one value changed, at a path such as ``mobile_nodes.0.spi``; None takes it out."""
    config = copy.deepcopy(DOCUMENTED[role])
    *way, last = [int(step) if step.isdigit() else step for step in path.split(".")]
    inner: Any = config
    for step in way:
        inner = inner[step]
    if value is None:
        del inner[last]
    else:
        inner[last] = value
    return config


def test_every_role_is_documented() -> None:
    assert sorted(DOCUMENTED) == sorted(ROLES)


@pytest.mark.parametrize("role", ROLES)
def test_the_documented_example_is_read_and_follows_the_schema(role: str, tmp_path: Path) -> None:
    assert read(tmp_path, DOCUMENTED[role], role).name == DOCUMENTED[role]["name"]
    assert violations(SCHEMA, DOCUMENTED[role]) == []


@pytest.mark.parametrize("role", ROLES)
def test_the_documented_example_shows_every_key_of_the_schema(role: str) -> None:
    assert sorted(DOCUMENTED[role]) == sorted(SCHEMA["$defs"][role]["properties"])


@pytest.mark.parametrize("role", ROLES)
def test_what_the_schema_does_not_require_may_be_left_out(role: str, tmp_path: Path) -> None:
    required = SCHEMA["$defs"][role]["required"]
    for key in DOCUMENTED[role]:
        shortened = changed(role, key, None)
        if key in required:
            with pytest.raises(ConfigError, match=f"{key} is missing"):
                read(tmp_path, shortened, role)
        else:
            read(tmp_path, shortened, role)


def test_values_arrive_with_their_types(tmp_path: Path) -> None:
    home = read(tmp_path, DOCUMENTED["home"], "home")
    assert isinstance(home, HomeSettings)
    (association,) = home.mobile_nodes[IPv4Address("192.0.2.10")].security_associations
    assert (association.spi, association.key, association.algorithm) == (256, bytes(range(1, 17)), Algorithm.HMAC_MD5)
    assert home.foreign_agents[IPv4Address("198.51.100.66")][0].spi == 768


WRONG = [
    ("home", "version", 2, "version is 2, expected a whole number from 1 to 1"),
    ("home", "role", "mobile", 'role is "mobile", expected home'),
    ("home", "home_agnet", "192.0.2.1", "unknown key home_agnet, expected one of "),
    (
        "home",
        "home_agent",
        "192.0.3.1",
        'home_agent is "192.0.3.1", expected an address in the home network 192.0.2.0/24',
    ),
    (
        "home",
        "home_network",
        "192.0.2.1/24",
        'home_network is "192.0.2.1/24", expected an IPv4 prefix without host bits',
    ),
    ("home", "home_network", "192.0.2.0", 'home_network is "192.0.2.0", expected an IPv4 prefix'),
    ("home", "underlay", [], "underlay is [], expected a list of interface names, at least one"),
    ("home", "underlay", "core", 'underlay is "core", expected a list of interface names'),
    ("home", "interface", "a-name-of-16-char", 'interface is "a-name-of-16-char", expected the name of an interface'),
    ("home", "max_lifetime_s", 0, "max_lifetime_s is 0, expected a whole number from 1 to 65535"),
    ("home", "max_lifetime_s", True, "max_lifetime_s is true, expected a whole number"),
    ("home", "reverse_tunnel", "yes", 'reverse_tunnel is "yes", expected true or false'),
    ("home", "tunnel_driver", "gre", 'tunnel_driver is "gre", expected auto or netdev or ebpf'),
    ("home", "advertisement.interval_s", 0.01, "advertisement.interval_s is 0.01, expected a number from 0.05 to 1800"),
    ("home", "advertisement.lifetime_s", 2, "advertisement.lifetime_s is 2, expected at least three intervals of 1 s"),
    ("home", "mobile_nodes", [], "mobile_nodes is [], expected a list of objects, at least one"),
    ("home", "mobile_nodes.0", 5, "mobile_nodes[0] is 5, expected an object"),
    (
        "home",
        "mobile_nodes.0.home_address",
        "192.0.2.1",
        "expected an address in 192.0.2.0/24 other than the home agent's",
    ),
    ("home", "mobile_nodes.0.home_address", "10.0.0.1", "expected an address in 192.0.2.0/24"),
    ("home", "mobile_nodes.0.security_associations", [], "mobile_nodes[0].security_associations is [], expected"),
    (
        "home",
        "mobile_nodes.0.security_associations",
        {"key": "secret"},
        "security_associations is an object, expected a list",
    ),
    ("home", "mobile_nodes.0.security_associations.0.spi", 255, "spi is 255, expected a whole number from 256 to"),
    (
        "home",
        "mobile_nodes.0.security_associations.0.key",
        "123",
        "key is something else (not shown), expected bytes in hexadecimal",
    ),
    (
        "home",
        "mobile_nodes.0.security_associations.0.key",
        "",
        "key is something else (not shown), expected bytes in hexadecimal",
    ),
    ("home", "mobile_nodes.0.security_associations.0.replay", "nonces", 'replay is "nonces", expected timestamps'),
    ("foreign", "care_of_address", "224.0.0.1", 'care_of_address is "224.0.0.1", expected the IPv4 address of a host'),
    ("foreign", "care_of_address", "300.1.1.1", 'care_of_address is "300.1.1.1", expected the IPv4 address of a host'),
    ("foreign", "max_pending", 0, "max_pending is 0, expected a whole number from 1 to"),
    ("foreign", "pending_timeout_s", 0.5, "pending_timeout_s is 0.5, expected a number from 1 to 60"),
    (
        "mobile",
        "home_gateway",
        "198.51.100.1",
        'home_gateway is "198.51.100.1", expected an address in the home network',
    ),
    ("mobile", "lifetime_s", 70_000, "lifetime_s is 70000, expected a whole number from 1 to 65535"),
    ("mobile", "movement_detection", "psychic", "expected link or lazy or prefix or eager"),
    ("mobile", "care_of", "co-located", 'care_of is "co-located", expected foreign'),
]


@pytest.mark.parametrize(("role", "path", "value", "message"), WRONG, ids=lambda part: str(part)[:40])
def test_a_value_that_does_not_hold_is_named(role: str, path: str, value: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as refused:
        read(tmp_path, changed(role, path, value), role)
    assert str(refused.value).startswith(f"{tmp_path / 'agent.json'}: ")
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)


BEYOND_SCHEMA = {"home_agent", "home_network", "home_address", "home_gateway", "care_of_address", "lifetime_s"}
"""Keys some of whose rules a schema cannot tell: addresses in a network, one value against another."""


@pytest.mark.parametrize(
    ("role", "path", "value"),
    [(role, path, value) for role, path, value, _ in WRONG if path.split(".")[-1] not in BEYOND_SCHEMA],
    ids=str,
)
def test_the_schema_refuses_it_too(role: str, path: str, value: Any) -> None:
    assert violations(SCHEMA, changed(role, path, value)) != []


def test_a_mistyped_key_is_met_with_the_right_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"did you mean home_agent\?"):
        read(tmp_path, changed("home", "home_agnet", "192.0.2.1"), "home")


@pytest.mark.parametrize(
    ("path", "again"),
    [("mobile_nodes", "home_address"), ("foreign_agents", "address")],
)
def test_nobody_may_be_listed_twice(path: str, again: str, tmp_path: Path) -> None:
    config = copy.deepcopy(DOCUMENTED["home"])
    config[path] *= 2
    with pytest.raises(ConfigError, match=rf"{path}\[1\]\.{again} .* not in the list twice"):
        read(tmp_path, config, "home")


def test_an_spi_may_not_be_used_twice(tmp_path: Path) -> None:
    config = copy.deepcopy(DOCUMENTED["mobile"])
    config["security_associations"] *= 2
    with pytest.raises(ConfigError, match=r"security_associations\[1\]\.spi is 256"):
        read(tmp_path, config, "mobile")


@pytest.mark.parametrize(
    ("octets", "message"), [(b"{", "is no JSON"), (b"\xff\xfe", "is no JSON"), (b"[1]", "the file is")]
)
def test_a_file_that_is_no_object_is_refused(octets: bytes, message: str, tmp_path: Path) -> None:
    file = tmp_path / "agent.json"
    file.write_bytes(octets)
    with pytest.raises(ConfigError, match=message):
        read_config(file, "home")


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere.json: cannot be read: No such file"):
        read_config(tmp_path / "nowhere.json", "home")
