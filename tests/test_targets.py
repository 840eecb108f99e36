import pytest

from onnxq.targets import (
    ARM64,
    ARM64_DOT,
    X86,
    X86_UNKNOWN,
    X86_VNNI,
    describe_target,
    detect_target,
)


@pytest.mark.parametrize(
    ("isa", "machine", "target"),
    [
        (("avx2", "avx512f", "avx512_vnni"), "x86_64", X86_VNNI),
        (("avx2", "avx_vnni"), "x86_64", X86_VNNI),
        (("avx2",), "x86_64", X86),
        (("avx2", "avx512f"), "x86_64", X86),
        (("asimd", "asimddp"), "aarch64", ARM64_DOT),
        (("asimd",), "aarch64", ARM64),
        ((), "aarch64", ARM64),
        ((), "arm64", ARM64),
        ((), "x86_64", X86_UNKNOWN),
        ((), "", X86_UNKNOWN),
    ],
)
def test_target_by_instruction_sets(isa, machine, target):
    assert detect_target(isa, machine) is target
    assert describe_target(isa, machine) == target.sentence


def test_avx_without_vnni_saturates_and_is_slow():
    for target in (X86, X86_UNKNOWN):
        assert target.int8_saturates
        assert not target.int8_is_fast
    assert not any(one.int8_saturates for one in (X86_VNNI, ARM64, ARM64_DOT))


def test_sentences_differ_and_fit_into_a_line():
    sentences = {one.sentence for one in (X86_VNNI, X86, X86_UNKNOWN, ARM64, ARM64_DOT)}
    assert len(sentences) == 5
    assert all(len(one) < 80 and not one.endswith(".") for one in sentences)
