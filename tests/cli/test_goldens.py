"""What a person looks at, compared with files; scripts/update_goldens.py rewrites them."""

import pytest
from golden_files import FOLDER, GOLDENS


@pytest.mark.parametrize("name", GOLDENS)
def test_looks_as_before(name):
    expected = (FOLDER / name).read_text(encoding="utf-8")
    assert GOLDENS[name]() == expected, f"{name} changed: look, then scripts/update_goldens.py"


def test_every_golden_file_belongs_to_a_test():
    assert {path.name for path in FOLDER.iterdir()} == set(GOLDENS)


@pytest.mark.parametrize("name", [name for name in GOLDENS if "ascii" in name or "help" in name])
def test_help_and_the_ascii_set_are_ascii(name):
    assert GOLDENS[name]().isascii()
