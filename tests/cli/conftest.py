"""The tests of the command line share made-up reports and the list of golden files."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(autouse=True)
def no_cache_variable(monkeypatch):
    """The tests' own cache would be a setting, which is told to whoever calls a verb."""
    monkeypatch.delenv("ONNXQ_CACHE_DIR", raising=False)
