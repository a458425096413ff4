"""The claims take the lessons' model some seconds each: they are in `make test`, and not in what is run all day."""

from __future__ import annotations

from pathlib import Path

import pytest

HERE = Path(__file__).parent
pytest.register_assert_rewrite("tests.claims.predicted")  # so that a failed claim shows its values


@pytest.hookimpl(tryfirst=True)  # before those that are slow are left out
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Call each test of this folder slow."""
    for item in items:
        if item.path.parent == HERE:
            item.add_marker(pytest.mark.slow)
