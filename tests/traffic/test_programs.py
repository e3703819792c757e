"""The programs as they run in a lab: in namespaces, over real links that are cut and mended."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from testbed.errors import DeadlinePassed, LabError
from testbed.evidence.capture import Capture
from testbed.evidence.packets import PacketLog
from testbed.network.waiting import wait_for, wait_until
from testbed.traffic.program import Endpoint, TrafficProgram
from testbed.traffic.stream_report import stream_report
from testbed.traffic.tcp_connection import TcpConnection, TcpEnding, TcpSummary
from testbed.traffic.udp_stream import UdpStream
from tests.evidence.chain import Chain
from tests.network.private import in_world

RESETTING = """table ip f {
  chain c {
    type filter hook input priority 0;
    tcp dport 6000 reject with tcp reset
  }
}"""


def run(story: Coroutine[Any, Any, None]) -> None:
    asyncio.run(story)


def ends(chain: Chain, port: int, *, client_port: int | None = None) -> tuple[Endpoint, Endpoint]:
    last = len(chain.nodes) - 1
    first_port = port if client_port is None else client_port
    return Endpoint(chain.nodes[0], chain.address(0), first_port), Endpoint(
        chain.nodes[last], chain.address(last), port
    )


@pytest.mark.kernel
@in_world
def test_a_stream_runs_both_ways_and_its_report_agrees_with_its_ends(tmp_path: Path) -> None:
    async def story() -> None:
        chain = Chain(3)
        chain.nodes[0].run(["ping", "-c", "1", str(chain.address(2))])
        with Capture(tmp_path / "captures") as capture:
            capture.start(chain.interfaces())
            log = PacketLog(capture.files)
            stream = UdpStream(*ends(chain, 5000), tmp_path, rate_hz=200, both_ways=True, size_bytes=100)
            assert stream.backward is not None
            await stream.start()

            def arrived() -> bool:
                log.refresh()
                return len(stream_report(log, stream.forward).arrivals) >= 50

            await wait_for(arrived, what="fifty datagrams", timeout_s=10)
            stream.require_alive()
            told = stream.stop()
        log.refresh()
        for flow, sender, receiver in ((stream.forward, "n0", "n2"), (stream.backward, "n2", "n0")):
            report = stream_report(log, flow)
            sent, received = told[sender], told[receiver]
            assert sent is not None
            assert received is not None
            assert report.sent == sent["sent"] >= 50
            # The end that is stopped first may leave the other's last datagrams unread.
            assert report.lost == report.never_left == ()
            assert report.sent - 5 <= received["received"] + received["lost"] <= report.sent
            assert (report.duplicates, report.reordered) == (0, 0)

    run(story())


@in_world
def test_datagrams_without_a_route_keep_their_numbers(tmp_path: Path) -> None:
    async def story() -> None:
        chain = Chain(2)
        with Capture(tmp_path / "captures") as capture:
            capture.start(chain.interfaces())
            log = PacketLog(capture.files)
            stream = UdpStream(*ends(chain, 5000), tmp_path, rate_hz=500)
            await stream.start()

            async def more(than: int) -> int:
                def count() -> int:
                    log.refresh()
                    found = len(stream_report(log, stream.forward).arrivals)
                    return found if found > than else 0

                return await wait_for(count, what=f"more than {than} arrivals", timeout_s=10)

            before = await more(20)
            chain.ip(0, "addr add 10.9.9.9/32 dev lo")
            chain.ip(0, "route del 10.0.0.0/24 dev r0")
            refused = stream.programs[1]
            await wait_for(lambda: errors(refused), what="a refused datagram", timeout_s=10)
            chain.ip(0, "route add 10.0.0.0/24 dev r0")
            await more(before + 20)
            told = stream.stop()
        log.refresh()
        report = stream_report(log, stream.forward)
        sender = told["n0"]
        assert sender is not None
        assert len(report.never_left) == sum(sender["errors"].values()) > 0
        assert set(sender["errors"]) == {"ENETUNREACH"}
        assert report.lost == ()

    run(story())


def errors(program: TrafficProgram) -> bool:
    progress = program.latest("progress")
    return progress is not None and bool(progress["errors"])


@pytest.mark.kernel
@in_world
def test_a_connection_survives_a_cut_and_every_byte_is_right(tmp_path: Path) -> None:
    async def story() -> None:
        chain = Chain(3)
        connection = TcpConnection(*ends(chain, 6000, client_port=0), tmp_path, rate_hz=50)
        await connection.open()
        assert connection.local_port
        start = connection.progress()
        reached = await connection.progressed(start, records=5)
        assert min(reached.client_records, reached.server_records) >= 5
        chain.ip(1, "link set r1 down")
        with pytest.raises(DeadlinePassed, match="more records each way on the TCP connection; seen instead"):
            await connection.progressed(connection.progress(), records=30, timeout_s=1.0)
        connection.require_alive()
        chain.ip(1, "link set r1 up")
        # A router forgets what led through a link that goes down.
        chain.ip(1, "route replace 10.0.1.0/24 dev r1")
        await connection.progressed(connection.progress(), records=25)
        summary = connection.close()
        assert summary.intact, summary
        assert summary.client.longest_stall_ms > 500
        assert summary.server.received_records == summary.client.sent_records >= 30
        assert summary.server.received_bytes > 3000

    run(story())


def test_only_a_connection_that_carried_everything_unbroken_is_intact() -> None:
    client, server = TcpEnding("mn", 10, 8, 900, 1.0, None), TcpEnding("cn", 8, 10, 1000, 1.0, None)
    assert TcpSummary(client, server).intact
    assert not TcpSummary(replace(client, received_records=7), server).intact
    assert not TcpSummary(client, replace(server, received_records=9)).intact
    assert not TcpSummary(replace(client, broken="timed out"), server).intact
    assert not TcpSummary(client, TcpEnding.of("cn", None)).intact


@in_world
def test_a_connection_that_is_reset_says_so(tmp_path: Path) -> None:
    async def story() -> None:
        chain = Chain(2)
        connection = TcpConnection(*ends(chain, 6000, client_port=0), tmp_path)
        await connection.open()
        await connection.progressed(connection.progress())
        chain.nodes[1].run(
            ["nft", "-f", "-"],
            stdin=RESETTING,
        )
        with pytest.raises(LabError, match="the TCP connection ended: Connection reset by peer"):
            await connection.progressed(connection.progress(), records=1000)
        summary = connection.close()
        assert not summary.intact
        assert summary.client.broken == "Connection reset by peer"

    run(story())


@in_world
def test_wrong_bytes_are_noticed(tmp_path: Path) -> None:
    """Somebody who is no traffic program connects and sends rubbish."""

    async def story() -> None:
        chain = Chain(2)
        connection = TcpConnection(*ends(chain, 6000, client_port=0), tmp_path)
        connection.server.start()
        await connection.server.told("ready")
        with chain.nodes[0].entered():
            rubbish = socket.create_connection((str(chain.address(1)), 6000))
        with rubbish:
            rubbish.sendall(b"GET / HTTP/1.0\r\n\r\n")
            summary = await connection.server.told("summary")
        assert "corrupt: record 0, byte 0: 0x47 came, 0x4d was sent" in summary["broken"]
        assert connection.server.finish() is not None

    run(story())


@in_world
def test_nobody_there_to_connect_to_is_an_error_with_its_reason(tmp_path: Path) -> None:
    async def story() -> None:
        chain = Chain(2)
        connection = TcpConnection(*ends(chain, 6000, client_port=0), tmp_path)
        connection.client.start()
        with pytest.raises(LabError, match="n0: tcp-1-n0 ended with status 1; connecting: Connection refused"):
            await connection.client.told("connected")

    run(story())


@in_world
def test_an_address_that_is_not_the_nodes_is_an_error_with_its_reason(tmp_path: Path) -> None:
    async def story() -> None:
        chain = Chain(2)
        foreign = Endpoint(chain.nodes[0], chain.address(1), 5000)
        stream = UdpStream(foreign, ends(chain, 5000)[1], tmp_path)
        with pytest.raises(LabError, match=r"udp-1-n0 ended with status 1; .*Cannot assign requested address"):
            await stream.start()
        stream.stop()

    run(story())


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["udp", "--local", "192.0.2.1", "--remote", "192.0.2.2:1"], "'192.0.2.1' is not an IPv4 address and a port"),
        (["udp", "--local", "::1:5", "--remote", "192.0.2.2:1"], "'::1:5' is not an IPv4 address and a port"),
        (["udp", "--local", "192.0.2.1:1", "--remote", "192.0.2.2:1", "--size", "19"], "'19' is not a number from 20"),
        (["tcp-serve", "--local", "192.0.2.1:1", "--rate", "0"], "'0' is not a number from 0.1 to 1000"),
        (["tcp-connect", "--local", "192.0.2.1:1"], "required: --remote"),
        ([], "required: program"),
    ],
)
def test_wrong_arguments_are_refused_in_words(arguments: list[str], complaint: str) -> None:
    done = subprocess.run([sys.executable, "-m", "testbed.traffic", *arguments], capture_output=True, text=True)
    assert done.returncode == 2
    assert complaint in done.stderr


@pytest.mark.parametrize("when", ["ready", "progress"])
def test_a_program_ends_in_order_on_sigterm_even_before_it_may_send(tmp_path: Path, when: str) -> None:
    output = tmp_path / "udp.jsonl"
    command = [sys.executable, "-m", "testbed.traffic", "udp", "--local", "127.0.0.1:0", "--remote", "127.0.0.1:9"]
    with output.open("wb") as lines:
        process = subprocess.Popen(command, stdout=lines)
    try:
        wait_until(lambda: b'"ready"' in output.read_bytes(), what="ready", timeout_s=10)
        if when == "progress":
            os.kill(process.pid, signal.SIGUSR1)
            wait_until(lambda: b'"progress"' in output.read_bytes(), what="progress", timeout_s=10)
        process.terminate()
        assert process.wait(10) == 0
    finally:
        process.kill()
        process.wait()
    events = [json.loads(line) for line in output.read_text().splitlines()]
    assert events[-1]["event"] == "summary"
    assert bool(events[-1]["sent"]) == (when == "progress")
    assert all(event["monotonic_ns"] <= time.monotonic_ns() for event in events)


def test_the_programs_import_nothing_heavy() -> None:
    script = (
        "import sys, testbed.traffic.__main__, testbed.traffic.udp_program, testbed.traffic.tcp_program;"
        "print([name for name in ('asyncio', 'scapy', 'pyroute2', 'rich', 'mininet') if name in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, text=True).stdout.strip() == "[]"
