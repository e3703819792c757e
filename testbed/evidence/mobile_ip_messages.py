"""Mobile IP messages as they were seen on the wire: plain data that knows the packet that carried it.

Reading them is ``mobile_ip.py``'s business. Nothing here refuses a message: what does not hold is in ``malformed``.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import IPv4Address

from testbed.evidence.packets import Packet

REQUEST, REPLY = 1, 3
MOBILE_HOME, MOBILE_FOREIGN, FOREIGN_HOME = 32, 33, 34

_EXTENSION_NAMES = {
    0: "padding",
    16: "mobility agent",
    19: "prefix lengths",
    24: "challenge",
    32: "mobile-home authentication",
    33: "mobile-foreign authentication",
    34: "foreign-home authentication",
    36: "generalised authentication",
    130: "encapsulating delivery style",
    131: "mobile node NAI",
    132: "mobile-foreign challenge",
    137: "revocation support",
}


class Algorithm(StrEnum):
    HMAC_MD5 = "hmac-md5"
    KEYED_MD5 = "keyed-md5"  # key before and after, RFC 2002, 3.5.1


@dataclass(frozen=True)
class SeenExtension:
    """One extension, in the order in which it came. ``covered`` is what an authenticator in it has to cover."""

    type: int
    payload: bytes  # after type and length
    spi: int | None = None  # of authentication extensions
    authenticator: bytes | None = None
    covered: bytes = field(default=b"", repr=False)

    @property
    def name(self) -> str:
        return _EXTENSION_NAMES.get(self.type, f"extension {self.type}")

    def is_right(self, key: bytes, algorithm: Algorithm | str = Algorithm.HMAC_MD5) -> bool:
        """Whether the authenticator is the one that ``key`` gives (RFC 5944, 3.5.1)."""
        if self.authenticator is None:
            return False
        if algorithm == Algorithm.HMAC_MD5:
            expected = hmac.digest(key, self.covered, "md5")
        else:
            expected = hashlib.md5(key + self.covered + key).digest()
        return hmac.compare_digest(expected, self.authenticator)


@dataclass(frozen=True)
class SeenRegistration:
    """A Registration Request or Reply."""

    packet: Packet = field(compare=False, repr=False)
    type: int  # REQUEST or REPLY
    lifetime_s: int
    home_address: IPv4Address
    home_agent: IPv4Address
    identification: int
    flags: str = ""  # of a request, such as "DT"
    care_of_address: IPv4Address | None = None  # of a request
    code: int | None = None  # of a reply
    extensions: tuple[SeenExtension, ...] = ()
    malformed: str | None = None

    @property
    def is_request(self) -> bool:
        return self.type == REQUEST

    @property
    def deregisters(self) -> bool:
        return self.is_request and self.lifetime_s == 0

    @property
    def accepted(self) -> bool:
        """A reply that says yes, with or without simultaneous bindings."""
        return self.code in (0, 1)

    def answers(self, request: SeenRegistration) -> bool:
        """A reply for that home address whose identification has the request's lower half (RFC 5944, 3.6.2)."""
        same_half = (self.identification ^ request.identification) & 0xFFFFFFFF == 0
        return not self.is_request and request.is_request and same_half and self.home_address == request.home_address

    def authentications(self, kind: int) -> tuple[SeenExtension, ...]:
        return tuple(extension for extension in self.extensions if extension.type == kind)

    def authenticated(
        self, key: bytes, spi: int, kind: int = MOBILE_HOME, algorithm: Algorithm | str = Algorithm.HMAC_MD5
    ) -> bool:
        """Whether exactly one extension of that kind is there, with that SPI and the right authenticator."""
        found = self.authentications(kind)
        return len(found) == 1 and found[0].spi == spi and found[0].is_right(key, algorithm)

    def describe(self) -> str:
        """One line of evidence."""
        what = f"request via {self.care_of_address}" if self.is_request else f"reply code {self.code}"
        flags = f", flags {self.flags}" if self.flags else ""
        extensions = "".join(f", {extension.name}" for extension in self.extensions)
        wrong = f", malformed: {self.malformed}" if self.malformed else ""
        lifetime = f"lifetime {self.lifetime_s} s"
        return f"{self.packet.describe()}: {what} for {self.home_address}, {lifetime}{flags}{extensions}{wrong}"


@dataclass(frozen=True)
class SeenAdvertisement:
    """An ICMP router advertisement; ``agent`` is False where extension 16 is missing: a plain router's."""

    packet: Packet = field(compare=False, repr=False)
    code: int
    lifetime_s: int
    routers: tuple[IPv4Address, ...]
    checksum_right: bool
    agent: bool = False
    sequence: int = 0
    registration_lifetime_s: int = 0
    flags: str = ""  # such as "FT"
    care_of_addresses: tuple[IPv4Address, ...] = ()
    prefix_lengths: tuple[int, ...] | None = None
    challenge: bytes | None = None
    extensions: tuple[SeenExtension, ...] = ()
    malformed: str | None = None

    def describe(self) -> str:
        """One line of evidence."""
        care_of = f", care-of {', '.join(map(str, self.care_of_addresses))}" if self.care_of_addresses else ""
        agent = f"agent advertisement {self.sequence}, flags {self.flags}{care_of}" if self.agent else "no agent"
        return f"{self.packet.describe()}: {agent}{f', malformed: {self.malformed}' if self.malformed else ''}"


@dataclass(frozen=True)
class SeenSolicitation:
    """An ICMP router solicitation."""

    packet: Packet = field(compare=False, repr=False)
    code: int
    checksum_right: bool
    malformed: str | None = None


@dataclass(frozen=True)
class SeenAnnouncement:
    """A gratuitous ARP: the sender's own address is what is asked for or answered (RFC 5944, 4.6)."""

    packet: Packet = field(compare=False, repr=False)
    address: IPv4Address
    mac: bytes  # the address that neighbours shall use from now on
    operation: int  # 1 request, 2 reply; both are right

    @property
    def broadcast(self) -> bool:
        return self.packet.layers.ether_destination == b"\xff" * 6
