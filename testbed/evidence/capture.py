"""Captures: one tcpdump for each ``node:interface``, started together, watched, and stopped without losing a packet.

Responsible for the processes and their files. Reading the files is ``packets.py``; the frames themselves are never
looked at here.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import selectors
import signal
import socket
import struct
import subprocess
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

from testbed.errors import DeadlinePassed, LabError
from testbed.evidence.packet import CaptureFile
from testbed.evidence.place import Place
from testbed.evidence.unchanged_groups import call_with_fixed_groups, groups_are_fixed
from testbed.network.programs import require
from testbed.network.waiting import scaled, wait_until

READY_TIMEOUT_S = 10.0
SETTLE_TIMEOUT_S = 3.0
STOP_TIMEOUT_S = 5.0

# KiB of ring buffer in the kernel for each capture: room for 2,048 frames on a link with an MTU of 1,500 bytes.
BUFFER_KIB = 4096

# Besides the MTU: an Ethernet header with two VLAN tags. In immediate mode every slot of the ring has the size of the
# longest frame; without a limit a link with segmentation offload would get slots of 64 KiB, and only 64 of them.
_FRAME_OVERHEAD = 22

_SIOCGIFMTU, _SIOCGIFHWADDR = 0x8921, 0x8927
_ARPHRD_ETHER = 1
_STATISTICS = re.compile(r"(\d+) packets? (captured|received by filter|dropped by kernel|dropped by interface)")


@dataclass(frozen=True)
class CaptureStatistics:
    """What tcpdump said of one capture at its end."""

    node: str
    interface: str
    captured: int  # packets written to the file
    received: int  # packets that reached the capture's socket
    dropped: int  # packets that the kernel dropped because the buffer was full: evidence is incomplete
    complaint: str | None = None  # why it ended early, where it did


@dataclass
class _Recorder:
    """One running tcpdump."""

    file: CaptureFile
    may_vanish: bool
    process: subprocess.Popen[bytes]
    said: bytes = b""
    complaint: str | None = None
    _stderr_fd: int = field(init=False)

    def __post_init__(self) -> None:
        assert self.process.stderr is not None, "tcpdump is started with a pipe"
        self._stderr_fd = self.process.stderr.fileno()
        os.set_blocking(self._stderr_fd, False)

    def fileno(self) -> int:
        return self._stderr_fd

    def listen(self) -> bool:
        """Take in what tcpdump has said; False once it will say no more."""
        with contextlib.suppress(BlockingIOError):
            while chunk := os.read(self._stderr_fd, 4096):
                self.said += chunk
            return False
        return True

    @property
    def listening(self) -> bool:
        return b"listening on" in self.said

    @property
    def idle(self) -> bool:
        """Whether tcpdump sleeps (or is gone), which it only does once its ring is empty and its file written."""
        try:
            with open(f"/proc/{self.process.pid}/stat", "rb") as stat:
                return stat.read().rpartition(b")")[2].split()[0] in (b"S", b"Z", b"X")
        except FileNotFoundError:
            return True

    def words(self) -> str:
        """What it said besides that it listens and what it counted."""
        lines = self.said.decode(errors="replace").splitlines()
        words = [line for line in lines if "listening on" not in line and not _STATISTICS.search(line)]
        return " / ".join(words) or "it said nothing"

    def error(self, what: str) -> LabError:
        return LabError(f"capture on {self.file.interface} {what}: {self.words()}", node=self.file.node)


class Capture:
    """The captures of a run, written to ``folder`` as ``node.interface.pcap`` with nanosecond times.

    Frames are whole up to the interface's MTU; what segmentation offload makes larger is cut.

    Used as a context manager it stops at the end of the block. ``files`` grows with every interface that is added and
    is what :class:`testbed.evidence.packets.PacketLog` follows.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.files: list[CaptureFile] = []
        self.statistics: list[CaptureStatistics] = []  # filled by stop()
        self._recorders: list[_Recorder] = []

    def __enter__(self) -> Capture:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self, places: Iterable[tuple[Place, str]], *, may_vanish: bool = False) -> None:
        """Capture on every (namespace, interface) and return when all of them listen; may be called again for more.

        ``may_vanish``: that these interfaces are removed during the run is no failure.

        :raises LabError: an interface does not exist, or tcpdump will not capture, in tcpdump's own words.
        :raises MissingProgram: tcpdump is not installed.
        """
        tcpdump = require("tcpdump")
        self.folder.mkdir(parents=True, exist_ok=True)
        recorders: list[_Recorder] = []

        def launch() -> None:
            for place, interface in places:
                recorders.append(self._launch(tcpdump, place, interface, may_vanish))

        try:
            if groups_are_fixed():
                call_with_fixed_groups(launch)
            else:
                launch()
            _wait_until_listening(recorders)
        except BaseException:
            for recorder in recorders:
                recorder.process.kill()
                recorder.process.wait()
            raise
        self._recorders += recorders
        self.files += [recorder.file for recorder in recorders]

    def add_interface(self, place: Place, interface: str, *, may_vanish: bool = False) -> CaptureFile:
        """Capture on one more interface; see :meth:`start`."""
        self.start([(place, interface)], may_vanish=may_vanish)
        return self.files[-1]

    def settle(self) -> None:
        """Wait until every packet that the captures had seen when this was called is in its file.

        A tcpdump that sleeps has emptied its ring, and with ``-U`` it has written what it took before it goes to sleep.

        :raises DeadlinePassed: a capture is never idle, which means that it cannot keep up.
        """
        busy = list(self._recorders)

        def all_idle() -> bool:
            busy[:] = [recorder for recorder in busy if not recorder.idle]
            return not busy

        wait_until(
            all_idle,
            what="captures to be written",
            timeout_s=SETTLE_TIMEOUT_S,
            on_timeout=lambda: "busy: " + ", ".join(recorder.file.name for recorder in busy),
        )

    def require_alive(self) -> None:
        """:raises LabError: a capture has ended on its own, so that evidence is missing."""
        for recorder in self._recorders:
            if recorder.process.poll() is not None and not recorder.may_vanish:
                recorder.listen()
                raise recorder.error("ended early")

    def stop(self) -> list[CaptureStatistics]:
        """End all captures; nothing that they saw before the call is lost. Calling it again changes nothing.

        A capture that ended early does not raise here: its ``complaint`` says why.
        """
        if not self._recorders:
            return self.statistics
        for recorder in self._recorders:
            if recorder.process.poll() is not None:
                recorder.listen()
                recorder.complaint = recorder.words()
        with contextlib.suppress(DeadlinePassed):  # too busy to settle: it is stopped all the same
            self.settle()
        for recorder in self._recorders:
            recorder.process.send_signal(signal.SIGTERM)
        deadline_s = time.monotonic() + scaled(STOP_TIMEOUT_S)
        for recorder in self._recorders:
            _end(recorder, deadline_s)
        self.statistics += [_statistics(recorder) for recorder in self._recorders]
        self._recorders.clear()
        return self.statistics

    def _launch(self, tcpdump: str, place: Place, interface: str, may_vanish: bool) -> _Recorder:
        path = self.folder / f"{place.name}.{interface}.pcap"
        if any(file.path == path for file in self.files):
            raise LabError(f"{interface} is captured already", node=place.name)
        mtu, mac = _mtu_and_address(place, interface)
        file = CaptureFile(place.name, interface, path, mac)
        argv = [tcpdump, "-i", interface, "-w", str(path), "-n", "-s", str(mtu + _FRAME_OVERHEAD)]
        argv += ["-U", "--immediate-mode"]
        # -Z root: stay what we are. The user "tcpdump", its default, may not write to the run's folder.
        argv += ["-Z", "root", "--time-stamp-precision=nano", "-B", str(BUFFER_KIB)]
        process = place.popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,  # Ctrl-C in the terminal is for us: the captures outlive what they record
        )
        return _Recorder(file, may_vanish, process)


def _mtu_and_address(place: Place, interface: str) -> tuple[int, bytes | None]:
    """The interface's MTU, and its MAC address or None for a link without addresses of six bytes (netdevice(7))."""
    request = struct.pack("16s24x", interface.encode())
    with place.entered(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        try:
            with_mtu, with_address = (
                fcntl.ioctl(any_socket, question, request) for question in (_SIOCGIFMTU, _SIOCGIFHWADDR)
            )
        except OSError as error:
            raise LabError(f"capture on {interface}: {error.strerror}", node=place.name) from error
    (mtu,) = struct.unpack_from("i", with_mtu, 16)
    (family,) = struct.unpack_from("H", with_address, 16)
    return mtu, with_address[18:24] if family == _ARPHRD_ETHER else None


def _wait_until_listening(recorders: Sequence[_Recorder]) -> None:
    """:raises LabError: one ended, or did not listen in time."""
    deadline_s = time.monotonic() + scaled(READY_TIMEOUT_S)
    with selectors.DefaultSelector() as selector:
        for recorder in recorders:
            selector.register(recorder, selectors.EVENT_READ, recorder)
        while waiting := selector.get_map():
            ready = selector.select(max(0.0, deadline_s - time.monotonic()))
            if not ready:
                late: _Recorder = next(iter(waiting.values())).data
                raise late.error(f"was not ready after {scaled(READY_TIMEOUT_S):g} s")
            for key, _ in ready:
                recorder = key.data
                speaking = recorder.listen()
                if recorder.listening:
                    selector.unregister(recorder)
                elif not speaking:
                    raise recorder.error("did not start")


def _end(recorder: _Recorder, deadline_s: float) -> None:
    try:
        recorder.process.wait(max(0.0, deadline_s - time.monotonic()))
    except subprocess.TimeoutExpired:
        recorder.complaint = "did not end when told to, and was killed"
        recorder.process.kill()
        recorder.process.wait()
    recorder.listen()
    assert recorder.process.stderr is not None, "tcpdump is started with a pipe"
    recorder.process.stderr.close()


def _statistics(recorder: _Recorder) -> CaptureStatistics:
    counts = {what: int(number) for number, what in _STATISTICS.findall(recorder.said.decode(errors="replace"))}
    return CaptureStatistics(
        recorder.file.node,
        recorder.file.interface,
        captured=counts.get("captured", 0),
        received=counts.get("received by filter", 0),
        dropped=counts.get("dropped by kernel", 0) + counts.get("dropped by interface", 0),
        complaint=None if recorder.may_vanish else recorder.complaint,
    )
