"""What is said of how models were timed."""

from onnxq.pipeline.interleaved import more_than_cores
from onnxq.profiling.environment import usable_cores


def test_more_threads_than_cores_are_warned_of():
    (finding,) = more_than_cores((1, 4096))
    assert (finding.code, finding.severity) == ("OQ209", "warning")
    assert finding.evidence == {"threads": 4096, "cores": usable_cores()}
    assert f"--threads {usable_cores()}" in finding.fix


def test_as_many_threads_as_cores_are_not():
    assert more_than_cores((1, usable_cores())) == ()
