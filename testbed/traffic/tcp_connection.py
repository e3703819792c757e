"""A checked TCP connection between two nodes of a lab: opened once, carrying records both ways until it is closed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from testbed.errors import LabError
from testbed.network.waiting import scaled, wait_for
from testbed.traffic.program import Endpoint, Line, TrafficProgram

DRAIN_S = 2.0


@dataclass(frozen=True)
class TcpProgress:
    """How far both ends have come: records and bytes that came and were right, byte for byte."""

    client_records: int = 0
    server_records: int = 0
    client_bytes: int = 0
    server_bytes: int = 0

    @property
    def records(self) -> int:
        return self.client_records + self.server_records


@dataclass(frozen=True)
class TcpEnding:
    """What one end says at its end."""

    node: str
    sent_records: int
    received_records: int
    received_bytes: int
    longest_stall_ms: float
    broken: str | None  # why it did not live: reset, timed out, wrong content

    @classmethod
    def of(cls, node: str, line: Line | None) -> TcpEnding:
        if line is None:
            return cls(node, 0, 0, 0, 0.0, "ended without a summary")
        return cls(
            node,
            line["sent_records"],
            line["received_records"],
            line["received_bytes"],
            line["longest_stall_ns"] / 1e6,
            line["broken"],
        )


@dataclass(frozen=True)
class TcpSummary:
    """How a connection ended."""

    client: TcpEnding
    server: TcpEnding

    @property
    def intact(self) -> bool:
        """It was never broken, and everything that one end sent has reached the other."""
        complete = (
            self.client.sent_records == self.server.received_records
            and self.server.sent_records == self.client.received_records
        )
        return complete and not self.client.broken and not self.server.broken


class TcpConnection:
    """A connection from ``client`` (port 0: any) to ``server``, each sending up to ``rate_hz`` records a second."""

    def __init__(
        self, client: Endpoint, server: Endpoint, folder: Path, *, rate_hz: float = 20.0, number: int = 1
    ) -> None:
        common = ["--rate", str(rate_hz), "--drain", str(scaled(DRAIN_S))]
        self.client = TrafficProgram(
            client.place,
            f"tcp-{number}-{client.node}",
            ["tcp-connect", "--local", str(client), "--remote", str(server), *common],
            folder,
        )
        self.server = TrafficProgram(
            server.place, f"tcp-{number}-{server.node}", ["tcp-serve", "--local", str(server), *common], folder
        )
        self.local_port: int | None = None  # of the client, once connected

    async def open(self) -> None:
        """Start the server, then the client, and wait until they are connected.

        :raises LabError: they could not connect.
        """
        self.server.start()
        await self.server.told("ready")
        self.client.start()
        self.local_port = (await self.client.told("connected"))["local"][1]
        await self.server.told("connected")

    def progress(self) -> TcpProgress:
        """What both ends told last; at most a tenth of a second old."""
        client, server = (program.latest("progress") or {} for program in (self.client, self.server))
        return TcpProgress(
            client.get("received_records", 0),
            server.get("received_records", 0),
            client.get("received_bytes", 0),
            server.get("received_bytes", 0),
        )

    async def progressed(self, since: TcpProgress, *, records: int = 3, timeout_s: float = 10.0) -> TcpProgress:
        """Wait until both ends have received ``records`` more than at ``since``; returns how far they are then.

        :raises DeadlinePassed: they have not in time.
        :raises LabError: the connection broke.
        """

        def further() -> TcpProgress | None:
            now = self.progress()
            enough = (
                now.client_records >= since.client_records + records
                and now.server_records >= since.server_records + records
            )
            if not enough:
                self.require_alive()
            return now if enough else None

        reached = await wait_for(
            further,
            what=f"{records} more records each way on the TCP connection",
            timeout_s=timeout_s,
            on_timeout=lambda: f"{self.progress()} after {since}",
        )
        assert reached is not None, "wait_for returns what is true"
        return reached

    def require_alive(self) -> None:
        """:raises LabError: an end is gone; says what it said of the connection."""
        for program in (self.client, self.server):
            summary = program.latest("summary")
            if summary is not None:
                reason = summary["broken"] or "closed by the other side"
                raise LabError(f"the TCP connection ended: {reason}", node=program.node)
            program.require_alive()

    def close(self) -> TcpSummary:
        """Close it in good order: the client says that it is done, and both read to the end."""
        self.client.terminate()
        client = TcpEnding.of(self.client.node, self.client.finish())
        self.server.terminate()  # in vain where it has ended with the client, as it should
        return TcpSummary(client, TcpEnding.of(self.server.node, self.server.finish()))
