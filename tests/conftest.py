"""What holds for every test."""

from __future__ import annotations

import signal


def pytest_configure() -> None:
    """Gives Ctrl-C back its meaning for what tests start and interrupt.

    A shell starts a job in the background with SIGINT ignored, and everything below inherits that.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
