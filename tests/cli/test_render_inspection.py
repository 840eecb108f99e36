"""What inspect adds when it was asked more: errors of weights, and whether rows fit."""

import msgspec
from sample_inspections import ACTIVATION, INSPECTION, WEIGHT

from onnxq.cli.render_inspection import render_inspection
from onnxq.cli.screen import Screen
from onnxq.stages import FitAnswer, InspectResult, NamedNode, NotCompared, WeightError

ERROR = WeightError(
    original="w", mean_abs_error=0.00123, max_abs_error=0.0045, mean_error_scales=0.25
)


def drawn(columns=80, **changes):
    found = msgspec.structs.replace(INSPECTION, **changes)
    text = render_inspection(found, "m.onnx", Screen(columns=columns))
    assert max(map(len, text.split("\n"))) <= columns
    return text


def test_nothing_is_added_unasked():
    text = drawn()
    assert "Errors" not in text
    assert "Do the rows" not in text


def test_errors_of_weights():
    compared = msgspec.structs.replace(WEIGHT, error=ERROR)
    alone = msgspec.structs.replace(WEIGHT, error=NotCompared(reason="it has none"))
    text = drawn(reference="m.fp32.onnx", quantized=(compared, alone, ACTIVATION))
    assert "Errors of weights against m.fp32.onnx" in text
    assert "0.00123       0.25   0.0045" in text
    assert "1 weight without an original there" in text


def test_many_errors_are_not_all_shown():
    compared = msgspec.structs.replace(WEIGHT, error=ERROR)
    text = drawn(reference="m.fp32.onnx", quantized=(compared,) * 45)
    assert text.count("0.00123") == 40
    assert text.count("and 5 more") == 2


def test_how_it_is_quantized():
    assert "quantized dynamic: 3 weights in int8" in drawn(
        quantized_already="dynamic: 3 weights in int8"
    )


def test_answers_about_rows():
    text = drawn(
        data_fit=(
            FitAnswer(fits=True, subject="x", text="It wants float32 [N, 3] and is fed " * 4),
            FitAnswer(fits=False, subject="labels", text="None.\n  a  table", fix="Add y. " * 20),
        ),
        columns=60,
    )
    lines = text.split("Do the rows fit?\n")[1].split("\n")
    assert lines[0] == "  yes  x"
    assert all(line.startswith("       ") for line in lines[1:3])
    assert "  no   labels" in lines
    assert "         a  table" in lines
    arrow = next(place for place, line in enumerate(lines) if "->" in line)
    assert lines[arrow].startswith("       -> Add y.")
    assert lines[arrow + 1].startswith("          Add y.")


def test_old_documents_are_read():
    """What an older onnxq wrote has neither errors nor answers."""
    encoded = msgspec.to_builtins(INSPECTION)
    for tensor in encoded["quantized"]:
        del tensor["error"]
    del encoded["data_fit"], encoded["reference"]
    assert msgspec.convert(encoded, InspectResult) == INSPECTION


def test_nodes_are_named_in_full_where_everything_is_asked_for():
    name = "/layer4/layer4.1/conv2/Conv"
    nodes = (NamedNode(name=name, operator="Conv"), NamedNode(name="", operator="Relu"))
    found = msgspec.structs.replace(INSPECTION, nodes=nodes)
    assert "Nodes" not in render_inspection(found, "m.onnx", Screen(columns=80))
    text = render_inspection(found, "m.onnx", Screen(columns=80), everything=True)
    assert f"Nodes\n  Conv  {name}\n  Relu  (no name)\n" in text
