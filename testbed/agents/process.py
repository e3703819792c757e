"""One agent at work: waits for packets, link changes, signals and deadlines, asks the state machine, does what it says.

Single-threaded, and nothing in it waits except the one place that is there for it. What a packet says can do no more
than be counted and told; an error that nobody foresaw ends the agent with a traceback.
"""

from __future__ import annotations

import math
import os
import selectors
import signal
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Protocol

from testbed.agents.actions import Action, KernelAction, Report, SendAction, SendRegistration
from testbed.agents.event_log import EventLog
from testbed.agents.events import Event, KernelAgreed, KernelDeclined, LinkDown, RelayFailed, SettingsChanged
from testbed.agents.frames import LinkAddress, read_frame, read_message, write_frame
from testbed.agents.kernel import Kernel
from testbed.agents.settings import Settings
from testbed.errors import ConfigError, DecodeError, KernelRefused, MachineError
from testbed.protocol.registration import RegistrationRequest

if TYPE_CHECKING:
    from testbed.agents.carrier import Carrier
    from testbed.agents.link_socket import LinkSocket
    from testbed.agents.registration_socket import DeliveryError, RegistrationSocket
    from testbed.tunnels.driver import TunnelDriver


class Agent(Protocol):
    """A state machine: :class:`~testbed.agents.home.HomeAgent` and its siblings."""

    counters: Counter[str]

    def start(self, now_s: float) -> list[Action]: ...

    def handle(self, now_s: float, event: Event | None = None) -> list[Action]: ...

    def deadline(self) -> float | None: ...


class Process:
    """The loop around one state machine.

    ``reload`` reads the configuration again, for SIGHUP. ``registrations`` is the UDP socket of a home or foreign
    agent and ``tunnels`` its driver, ``carrier`` the watch on a mobile node's cable. All that is passed in is the
    caller's to close.
    """

    def __init__(
        self,
        agent: Agent,
        kernel: Kernel,
        link: LinkSocket,
        own: LinkAddress,
        log: EventLog,
        reload: Callable[[], Settings],
        *,
        registrations: RegistrationSocket | None = None,
        tunnels: TunnelDriver | None = None,
        carrier: Carrier | None = None,
    ) -> None:
        self._agent = agent
        self._kernel = kernel
        self._link = link
        self._own = own
        self._log = log
        self._reload = reload
        self._registrations = registrations
        self._tunnels = tunnels
        self._carrier = carrier
        self._packets_sent = 0
        self._leaving = False

    def run(self, **told: object) -> None:
        """Tell ``ready`` with what is ``told``, then work until SIGTERM or SIGINT."""
        with ExitStack() as undo:
            selector = undo.enter_context(selectors.DefaultSelector())
            self._listen_to_signals(selector, undo)
            selector.register(self._link, selectors.EVENT_READ, self._on_link)
            if self._registrations is not None:
                selector.register(self._registrations, selectors.EVENT_READ, self._on_registrations)
            tunnel_news = self._tunnels.fileno() if self._tunnels is not None else None
            if self._tunnels is not None and tunnel_news is not None:
                selector.register(tunnel_news, selectors.EVENT_READ, self._tunnels.refresh)
            if self._carrier is not None:
                selector.register(self._carrier, selectors.EVENT_READ, self._on_carrier)
            self._log.write("ready", told)
            self._perform(self._agent.start(time.monotonic()))
            if self._carrier is not None and not self._carrier.up:
                self._feed(LinkDown())
            while not self._leaving:
                ready = selector.select(self._patience_s())
                # The cable first: what it says decides what the frames behind it mean.
                for key, _events in sorted(ready, key=lambda item: item[0].data != self._on_carrier):
                    key.data()
                self._perform(self._agent.handle(time.monotonic()))
            self._log.write("stopped", {"counters": self._agent.counters})

    def _patience_s(self) -> float | None:
        deadline_s = self._agent.deadline()
        if deadline_s is None or math.isinf(deadline_s):
            return None
        return max(0.0, deadline_s - time.monotonic())

    def _listen_to_signals(self, selector: selectors.BaseSelector, undo: ExitStack) -> None:
        """Signals become readable bytes, so that they are looked at between events and never within one."""
        readable, writable = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        undo.callback(os.close, readable)
        undo.callback(os.close, writable)
        undo.callback(signal.set_wakeup_fd, signal.set_wakeup_fd(writable))
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, lambda *_: None)  # for good: a second SIGTERM must not interrupt the undoing
        selector.register(readable, selectors.EVENT_READ, lambda: self._on_signals(os.read(readable, 64)))

    def _on_signals(self, numbers: bytes) -> None:
        if signal.SIGHUP in numbers:
            self._on_hangup()
        if signal.SIGTERM in numbers or signal.SIGINT in numbers:
            self._leaving = True

    def _on_hangup(self) -> None:
        try:
            settings = self._reload()
        except ConfigError as refusal:
            self._log.write("config_refused", {"reason": str(refusal)})
            return
        self._log.write("config_reloaded", {})
        self._feed(SettingsChanged(settings))

    def _on_carrier(self) -> None:
        assert self._carrier is not None
        for event in self._carrier.read():
            self._on_link()  # frames of the link that was left must not be taken for the new one's
            self._log.write("link_down" if isinstance(event, LinkDown) else "link_up", {})
            self._feed(event)

    def _on_link(self) -> None:
        for received in self._link.receive():
            try:
                event = read_frame(received.octets, self._own, checksum_ready=received.checksum_ready)
            except DecodeError as failure:
                self._discard(failure)
                continue
            if event is not None:
                self._feed(event)

    def _on_registrations(self) -> None:
        assert self._registrations is not None
        for error in self._registrations.errors():
            self._on_delivery_error(error)
        for datagram in self._registrations.receive():
            if datagram.interface_index == self._link.index:
                continue  # the link's own socket has it too, with its sender's MAC
            origin = (datagram.source, datagram.source_port, datagram.destination, datagram.ttl)
            try:
                event = read_message(datagram.payload, *origin)
            except DecodeError as failure:
                self._discard(failure)
                continue
            self._feed(event)

    def _on_delivery_error(self, error: DeliveryError) -> None:
        """An undelivered request is the state machine's concern; of anything else there is nothing to do."""
        self._agent.counters["deliveries_failed"] += 1
        try:
            request = RegistrationRequest.decode(error.payload)
        except DecodeError:
            return
        self._feed(RelayFailed(request.home_address, request.identification, error.unreachable))

    def _discard(self, failure: DecodeError) -> None:
        self._agent.counters["packets_malformed"] += 1
        self._log.write("packet_discarded", {"reason": str(failure)})

    def _feed(self, event: Event) -> None:
        self._perform(self._agent.handle(time.monotonic(), event))

    def _perform(self, actions: Sequence[Action]) -> None:
        """Carry out actions in order; what the kernel answers is dealt with before the next one."""
        waiting = deque(actions)
        while waiting:
            action = waiting.popleft()
            if isinstance(action, Report):
                self._log.write(action.event, action.fields)
            elif isinstance(action, KernelAction):
                answer = self._ask_kernel(action)
                waiting.extendleft(reversed(self._agent.handle(time.monotonic(), answer)))
            else:
                self._send(action)

    def _ask_kernel(self, action: KernelAction) -> KernelAgreed | KernelDeclined:
        try:
            self._kernel.apply(action)
        except (KernelRefused, MachineError) as refusal:
            self._agent.counters["kernel_refusals"] += 1
            self._log.write("kernel_refused", {"reason": str(refusal)})
            return KernelDeclined(action, str(refusal))
        return KernelAgreed(action)

    def _send(self, action: SendAction) -> None:
        if isinstance(action, SendRegistration) and action.mac is None:
            assert self._registrations is not None
            error = self._registrations.send(action)
            if error is not None:
                self._on_delivery_error(error)
            return
        try:
            self._link.send(write_frame(action, self._own, self._next_identification))
        except OSError as failure:
            self._agent.counters["sends_failed"] += 1
            self._log.write("send_failed", {"action": type(action).__name__, "reason": failure.strerror})

    def _next_identification(self) -> int:
        self._packets_sent = (self._packets_sent + 1) & 0xFFFF
        return self._packets_sent
