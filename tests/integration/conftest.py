"""What integration tests stand on: the lab engine, fleets of simulated hosts, and Ansible run against them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.lab.engine import Engine, EngineNotFoundError, find_engine
from tests.lab.fleet import Lab


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks what needs the engine, so that ``-m 'not lab'`` leaves it out."""
    for item in items:
        if isinstance(item, pytest.Function) and "engine" in item.fixturenames:
            item.add_marker("lab")


@pytest.fixture(scope="session")
def engine() -> Engine:
    """The engine that plays Windows; without one, the test is skipped with the reason."""
    try:
        return find_engine()
    except EngineNotFoundError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def every_fault(request: pytest.FixtureRequest) -> bool:
    """Whether each change is to meet every fault at every message, and not a choice of them."""
    return bool(request.config.getoption("every_fault"))


@pytest.fixture(scope="module")
def lab(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """Makes hosts and starts fleets of them, which run until the module's tests are done."""
    with Lab(tmp_path_factory.mktemp("lab"), engine) as started:
        yield started
