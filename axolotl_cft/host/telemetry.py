"""The end of a process that has telemetry of the host's to send: it is sent, or given up and said.

The host hands events to posthog, whose thread sends them, and waits at exit until all are sent
(axolotl/telemetry/manager.py::TelemetryManager.shutdown). But posthog's client is made later, and
so is its own exit handler, which therefore runs first: it ends the thread as soon as the request
under way is over. What is queued behind that request stays there, and the host waits for it for
ever. Without a network every refused config ends like this: its first events are still being tried
when the error is queued.
"""

import atexit
import sys
import time
from typing import Any

from axolotl.telemetry.manager import TelemetryManager
from axolotl.utils.logging import get_logger

LOG = get_logger(__name__)

PATIENCE = 5.0
"""Seconds in which events are to be sent when the process ends."""


def send_at_exit() -> None:
    """Send what is queued before the thread is ended, and end in any case: one handler for two.

    Call it once the host has sent its first event, as `load_cfg` does before it asks plugins: only
    then is there a client whose handler can be taken. Called again, it changes nothing.
    """
    manager = TelemetryManager.get_instance()
    if not manager.enabled:
        return
    atexit.unregister(manager.shutdown)
    if (client := _client()) is not None:
        atexit.unregister(client.join)
    atexit.unregister(_send_or_give_up)
    atexit.register(_send_or_give_up)


def _send_or_give_up() -> None:
    deadline = time.monotonic() + PATIENCE
    client = _client()
    while client is not None and client.queue.unfinished_tasks:
        if time.monotonic() > deadline:
            LOG.warning(
                f"cft: Axolotl's telemetry could not be sent in {PATIENCE:.0f} s and was given up; "
                "on a machine without a network set AXOLOTL_DO_NOT_TRACK=1"
            )
            return  # the thread is a daemon, which ends with the process
        time.sleep(0.05)
    TelemetryManager.get_instance().shutdown()


def _client() -> Any:
    """The client that the host sends by, once there is one; a host may come to send otherwise."""
    return getattr(sys.modules.get("posthog"), "default_client", None)
