"""The host's telemetry when a process ends: sent where somebody answers, and never waited for long.

Processes of our own send the host's events to a server of ours.
"""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

# As a refused config goes: an event, then the plugin, then the error's event and the end.
PROCESS = """
import sys, time
import posthog
from axolotl.telemetry.manager import TelemetryManager
from axolotl_cft.host import telemetry

manager = TelemetryManager.get_instance()
posthog.host = sys.argv[1]
manager.send_event("config-loaded")
if patience := float(sys.argv[2]):
    telemetry.PATIENCE = patience
    telemetry.send_at_exit()
    telemetry.send_at_exit()
time.sleep(1)
manager.send_event("refused")
sys.exit(3)
"""


class Receiver:
    """A server that takes its time, and the names of the events that it was sent."""

    def __init__(self, seconds: float) -> None:
        self.events: list[str] = []
        self.closed = threading.Event()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                receiver.closed.wait(seconds)
                receiver.events += [event["event"] for event in body["batch"]]
                self.send_response(200)
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"{}")

            def log_message(self, *arguments: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server.server_port}"


@pytest.fixture
def receive() -> Iterator[Callable[[float], Receiver]]:
    """Starts receivers, and ends them."""
    started: list[Receiver] = []

    def start(seconds: float) -> Receiver:
        receiver = Receiver(seconds)
        threading.Thread(target=receiver.server.serve_forever, daemon=True).start()
        started.append(receiver)
        return receiver

    yield start
    for receiver in started:
        receiver.closed.set()
        receiver.server.shutdown()
        receiver.server.server_close()


@contextmanager
def process(receiver: Receiver, patience: float, **more: str) -> Iterator[subprocess.Popen]:
    """The process above, with telemetry on; killed if it is still there.

    Args:
        receiver: where its events go.
        patience: seconds for which our handler waits; 0 for the host's handlers.
        more: of its environment.
    """
    silent = ("AXOLOTL_DO_NOT_TRACK", "DO_NOT_TRACK")
    environment = {k: v for k, v in os.environ.items() if k not in silent}
    environment |= {"NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1", **more}
    command = [sys.executable, "-c", PROCESS, receiver.address, str(patience)]
    started = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
    try:
        yield started
    finally:
        started.kill()
        started.communicate()


@pytest.mark.slow
def test_a_slow_server_is_sent_everything(receive: Callable[[float], Receiver]) -> None:
    receiver = receive(2)
    with process(receiver, 60) as started:
        said = started.communicate(timeout=120)[1]
    assert started.returncode == 3, said
    assert receiver.events[0] == "config-loaded" and receiver.events[-1] == "refused"
    assert "given up" not in said


@pytest.mark.slow
def test_the_hosts_own_handlers_wait_for_ever(receive: Callable[[float], Receiver]) -> None:
    """If this fails, the host has mended it, and ours can go."""
    receiver = receive(2)
    with process(receiver, 0) as started:
        deadline = time.monotonic() + 120
        while not receiver.events and time.monotonic() < deadline:
            time.sleep(0.1)
        with pytest.raises(subprocess.TimeoutExpired):
            started.wait(timeout=10)
    assert receiver.events and "refused" not in receiver.events


@pytest.mark.slow
def test_who_does_not_answer_is_given_up_and_the_line_says_what_to_set(
    receive: Callable[[float], Receiver],
) -> None:
    receiver = receive(300)
    with process(receiver, 1) as started:
        said = started.communicate(timeout=120)[1]
    assert started.returncode == 3, said
    assert receiver.events == [] and "set AXOLOTL_DO_NOT_TRACK=1" in said


@pytest.mark.slow
def test_nothing_is_sent_or_said_where_telemetry_is_off(
    receive: Callable[[float], Receiver],
) -> None:
    receiver = receive(0)
    with process(receiver, 60, DO_NOT_TRACK="true") as started:
        said = started.communicate(timeout=120)[1]
    assert started.returncode == 3, said
    assert receiver.events == [] and "cft:" not in said
