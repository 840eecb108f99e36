"""Progress: a bar on a terminal, lines in a log."""

import io
import re

import pytest

from onnxq.cli.listening import listening
from onnxq.cli.plain_progress import plain_listener
from onnxq.cli.presenting import Presentation
from onnxq.cli.progress import watch_progress
from onnxq.cli.screen import Screen
from onnxq.events import Progressed, StageDone, StageStarted, tell_nobody

EVENTS = (
    StageStarted("convert", "x[bold].keras"),
    Progressed("convert", 1, 4),
    StageDone("convert", "opset 17", 3.2),
    StageStarted("calibrate", "256 rows"),
    Progressed("calibrate", 100, 256),
    StageDone("calibrate", "", 61.0),
)


def stream(encoding="utf-8"):
    return io.TextIOWrapper(io.BytesIO(), encoding=encoding)


def content(stream):
    stream.flush()
    return stream.buffer.getvalue().decode(stream.encoding)


def test_a_log_gets_one_line_for_each_stage_that_ended():
    log = stream()
    tell = plain_listener(log, Screen())
    for event in EVENTS:
        tell(event)
    assert content(log) == "convert  opset 17  3.2 s\ncalibrate  1 min 01 s\n"


def test_a_log_says_every_ten_seconds_how_far_a_long_stage_is():
    log, now = stream(), [100.0]
    tell = plain_listener(log, Screen(), clock=lambda: now[0])
    tell(StageStarted("calibrate", "700 rows"))
    for second in range(1, 26):
        now[0] = 100.0 + second
        tell(Progressed("calibrate", 28 * second, 700))
    now[0] = 140.0
    tell(Progressed("calibrate", 0, 0))
    assert content(log) == (
        "calibrate  40%  10.0 s so far\ncalibrate  80%  20.0 s so far\ncalibrate  40.0 s so far\n"
    )


def test_a_log_in_ascii():
    log = stream("ascii")
    plain_listener(log, Screen(ascii_only=True))(StageDone("judge", "top-1 \u2212\u00e4", 1.0))
    assert content(log) == "judge  top-1 -\\xe4  1.0 s\n"


@pytest.mark.parametrize("ascii_only", [False, True])
def test_a_terminal_gets_a_bar_and_keeps_the_lines_of_stages_that_ended(monkeypatch, ascii_only):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("FORCE_COLOR", "1")
    terminal = stream("ascii" if ascii_only else "utf-8")
    with watch_progress(terminal, Screen(ascii_only=ascii_only)) as tell:
        for event in EVENTS:
            tell(event)
    text = content(terminal)
    assert "convert  opset 17  3.2 s" in text
    assert text.endswith("\x1b[?25h") or "\x1b[?25h" in text  # the cursor is back


def test_names_in_bars_are_text(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("FORCE_COLOR", "1")
    terminal = stream()
    with watch_progress(terminal, Screen()) as tell:
        tell(StageStarted("convert", "x[bold].keras"))
        tell(StageDone("convert", "a[/b]", 1.0))
    assert "a[/b]" in content(terminal)


def test_a_stage_that_is_not_known_to_have_started_is_no_trouble():
    with watch_progress(stream(), Screen()) as tell:
        tell(Progressed("convert", 1, 2))
        tell(StageDone("convert", "", 1.0))


def test_an_error_leaves_the_terminal_as_it_was(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("FORCE_COLOR", "1")
    terminal = stream()

    def fail():
        with watch_progress(terminal, Screen()) as tell:
            tell(StageStarted("convert", ""))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert "\x1b[?25h" in content(terminal)


def test_quiet_listens_to_nothing():
    with listening(Presentation(quiet=1)) as tell:
        assert tell is tell_nobody


LONG = StageDone("convert", f"/models/{'very-long-' * 12}name.onnx", 3.2)


def test_columns_bound_the_lines_of_a_log(monkeypatch):
    log = stream()
    plain_listener(log, Screen(columns=60))(LONG)
    assert LONG.subject in content(log)  # a log keeps what it is told
    monkeypatch.setenv("COLUMNS", "60")
    log = stream()
    plain_listener(log, Screen(columns=60))(LONG)
    line = content(log).rstrip("\n")
    assert len(line) == 60
    assert line.startswith("convert  /models/very-long-")
    assert line.endswith("name.onnx  3.2 s")


def test_a_bar_and_its_line_keep_to_the_screen(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("FORCE_COLOR", "1")
    terminal = stream()
    screen = Screen(columns=70)
    with watch_progress(terminal, screen) as tell:
        tell(StageStarted("convert", LONG.subject))
        tell(LONG)
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", content(terminal))
    lines = [line for part in plain.split("\n") for line in part.split("\r") if line.strip()]
    assert max(map(len, lines)) <= 70
    assert any("name.onnx" in line and "0:00:00" in line for line in lines)
    assert any(line.endswith("name.onnx  3.2 s") for line in lines)
