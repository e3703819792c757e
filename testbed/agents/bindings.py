"""The home agent's bindings: which home address is at which care-of address, and until when (RFC 5944 3.8.1)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from ipaddress import IPv4Address

from testbed.agents.deadlines import Deadlines
from testbed.protocol.registration import INFINITE_LIFETIME_S, RegistrationRequest


@dataclass(frozen=True, slots=True)
class Binding:
    """One mobility binding; ``expires_at_s`` is monotonic, infinity for a binding that never ends."""

    home_address: IPv4Address
    care_of_address: IPv4Address
    identification: int
    lifetime_s: int
    expires_at_s: float
    reverse_tunnel: bool

    def remaining_s(self, now_s: float) -> int:
        """Whole seconds of lifetime that are left."""
        return INFINITE_LIFETIME_S if math.isinf(self.expires_at_s) else max(0, int(self.expires_at_s - now_s))

    def is_made_by(self, request: RegistrationRequest) -> bool:
        """Whether ``request`` is the very one that made this binding: a duplicate (H7)."""
        return (
            request.lifetime_s != 0
            and request.care_of_address == self.care_of_address
            and request.identification == self.identification
        )


def expiry(now_s: float, lifetime_s: int) -> float:
    """When something granted now for ``lifetime_s`` ends; 0xffff means never (M4)."""
    return math.inf if lifetime_s == INFINITE_LIFETIME_S else now_s + lifetime_s


class BindingTable:
    """At most one binding a home address: this home agent keeps no simultaneous bindings and says so with code 1."""

    def __init__(self) -> None:
        self._bindings: dict[IPv4Address, Binding] = {}
        self._expiries: Deadlines[IPv4Address] = Deadlines()

    def __len__(self) -> int:
        return len(self._bindings)

    def get(self, home_address: IPv4Address) -> Binding | None:
        return self._bindings.get(home_address)

    def all(self) -> tuple[Binding, ...]:
        return tuple(self._bindings.values())

    def put(self, binding: Binding) -> None:
        """Add it, or put it in the place of the home address's earlier one."""
        self._bindings[binding.home_address] = binding
        self._expiries.set(binding.home_address, binding.expires_at_s)

    def remove(self, home_address: IPv4Address) -> None:
        del self._bindings[home_address]
        self._expiries.drop(home_address)

    def deadline(self) -> float | None:
        return self._expiries.next()

    def expired(self, now_s: float) -> list[Binding]:
        """The bindings whose lifetime is over; they are removed here."""
        return [self._bindings.pop(home_address) for home_address in self._expiries.due(now_s)]
