import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onnxq.isolation.lines import MORE, Lines


@pytest.fixture
def pipe():
    read_end, write_end = os.pipe()
    yield read_end, write_end
    os.close(read_end)


@given(st.lists(st.binary(max_size=50).filter(lambda b: b and b"\n" not in b), max_size=20))
def test_lines_come_out_as_they_went_in(lines):
    read_end, write_end = os.pipe()
    os.write(write_end, b"".join(line + b"\n" for line in lines))
    os.close(write_end)
    reader = Lines(read_end)
    assert [reader.next_line(0) for _ in lines] == lines
    assert reader.next_line(0) == b""
    os.close(read_end)


def test_half_a_line_waits(pipe):
    read_end, write_end = pipe
    reader = Lines(read_end)
    os.write(write_end, b"ha")
    assert reader.next_line(0) is MORE
    os.write(write_end, b"lf\nrest")
    assert reader.next_line(0) == b"half"
    os.close(write_end)
    assert reader.next_line(0) == b""
