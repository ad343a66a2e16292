"""What holds for every test."""

from __future__ import annotations

import signal

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """Adds the option for tests that else take a choice of faults, as all of them take long."""
    parser.addoption("--every-fault", action="store_true", help="let each change meet every fault at every message")


def pytest_configure() -> None:
    """Gives Ctrl-C back its meaning for what tests start and interrupt.

    A shell starts a job in the background with SIGINT ignored, and everything below inherits that.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
