"""Everything here starts a real Ray and takes its time."""

from __future__ import annotations

from pathlib import Path

import pytest

HERE = Path(__file__).parent
TIMEOUT_S = 600  # a start of Ray alone takes a minute where other work fills both cores


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.ray)
            item.add_marker(pytest.mark.slow)
            item.add_marker(pytest.mark.timeout(TIMEOUT_S))
            # Ray's own processes, sockets and threads are not ours to tidy.
            item.add_marker(pytest.mark.filterwarnings("ignore"))


def pytest_configure(config: pytest.Config) -> None:
    # Said when the interpreter ends, outside any test: Ray waits for neither its processes nor its sockets.
    config.addinivalue_line("filterwarnings", r"ignore:subprocess \d+ is still running:ResourceWarning")
    config.addinivalue_line("filterwarnings", r"ignore:unclosed <socket:ResourceWarning")
