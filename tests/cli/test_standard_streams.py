"""Streams that were closed before onnxq started swallow what goes to them."""

import subprocess
import sys

import pytest

_PROGRAM = """
import sys
from onnxq.cli.main import main
code = main([{words}])
with open("opened-later", "wb") as file:
    assert file.fileno() > 2, file.fileno()
sys.exit(code)
"""


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&-", ">&- 2>&-", "<&- >&- 2>&-"])
@pytest.mark.parametrize(("words", "code"), [(["recipes", "--json"], 0), (["run", "--nosuch"], 2)])
def test_closed_streams_change_no_exit_code(words, code, closed, tmp_path):
    program = _PROGRAM.format(words=", ".join(map(repr, words)))
    shell = ["sh", "-c", f'"$0" -c "$1" {closed}', sys.executable, program]
    done = subprocess.run(
        shell, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, "Traceback" in done.stderr) == (code, False), done.stderr
    assert bool(done.stdout) is (code == 0 and not closed.replace("2>&-", "").count(">&-"))
