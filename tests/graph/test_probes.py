import numpy as np

from onnxq.graph.probes import make_probes, probe_shapes
from onnxq.tensors import Signature, TensorSpec


def signature(*specs):
    return Signature(inputs=tuple(TensorSpec(*spec) for spec in specs), outputs=())


def test_probes_fit_the_signature_and_repeat():
    given = signature(
        ("x", "float32", ("N", 3, 8, 8)), ("ids", "int64", ("N", "T")), ("flag", "bool", ()),
        ("word", "string", (1,)), ("half", "float16", ("N",)),
    )  # fmt: skip
    shape = next(probe_shapes(given))
    probes, again = make_probes(given, shape), make_probes(given, shape)
    assert [probe["x"].shape for probe in probes] == [(2, 3, 8, 8), (3, 3, 8, 8), (1, 3, 8, 8)]
    for probe, same in zip(probes, again, strict=True):
        assert {name: str(array.dtype) for name, array in probe.items()} == {
            "x": "float32", "ids": "int64", "flag": "bool", "word": "object", "half": "float16",
        }  # fmt: skip
        assert set(np.unique(probe["ids"])) <= {0, 1}
        assert all(np.array_equal(probe[name], same[name]) for name in probe)
    spread = [float(probe["x"].std()) for probe in probes]
    assert spread[1] > 4 * spread[0] > 16 * spread[2]
    assert all(probe["x"].min() < 0 < probe["x"].max() for probe in probes)


def test_free_axes_are_tried_in_several_sizes():
    fixed = list(probe_shapes(signature(("x", "float32", (1, 3)))))
    free = list(probe_shapes(signature(("x", "float32", (1, "T")))))
    assert len(fixed) == 2
    assert len({shape.free_size for shape in free}) > 5
    assert fixed[-1].batches == (1, 1, 1)
