"""Code that serves a model as it was measured: plain onnxruntime and numpy, to be copied.

The code is made from the report: the file, its input, the preprocessing that the rows went
through, and the thread and optimization options that the figures hold for.
"""

from pathlib import PurePath

import numpy as np

from onnxq.datasets.layouts import Layout
from onnxq.datasets.preprocess import parse_preprocess
from onnxq.datasets.values import PreprocessSpec
from onnxq.findings import Finding
from onnxq.integer_tensors import IntegerTensor, integer_io
from onnxq.reports import DataFacts, Measured, Report
from onnxq.tensors import TensorSpec

_CHANNELS = frozenset({1, 3})
_IMAGE_AXES = 4
_GRAY_AXES = 3
# ITU-R BT.601 luma in 16 bit fixed point, as Pillow's mode "L" and the preprocessing compute it.
_LUMA = "(x.astype(np.uint32) @ np.array([19595, 38470, 7471], np.uint32) + 32768) >> 16"
_CAST, _LAYOUT = "OQ128", "OQ129"
_MOVES = {
    Layout.CHANNELS_FIRST: "np.moveaxis(x, -1, 1)",
    Layout.CHANNELS_LAST: "np.moveaxis(x, 1, -1)",
    Layout.LEADING_AXIS: "x[:, np.newaxis]",
    Layout.TRAILING_AXIS: "x[..., np.newaxis]",
    Layout.NO_LEADING_AXIS: "x[:, 0]",
    Layout.NO_TRAILING_AXIS: "x[..., 0]",
}
_LEVEL = "# Keep the default optimization level: below it a QDQ model is slower than float."


def serving_snippet(report: Report, alias: str) -> str:
    """Write the code that serves a candidate.

    Args:
        report: Of the run that made it.
        alias: Of the candidate; of one that was not measured, or empty: the reference's.

    Returns:
        Python source with a function ``predict``, to lie beside the model; a line feed at the
        end. Empty where not even the reference was measured.
    """
    measured = {v.alias: v for v in report.variants if isinstance(v, Measured)}
    chosen = measured.get(alias, measured.get(report.reference))
    if chosen is None:
        return ""
    prepare = _prepare_lines(report)
    reads_files = any("Image." in line for line in prepare)
    lines = [*_import_lines(report, chosen, reads_files=reads_files), *_session_lines(chosen)]
    lines += [
        *_changed_rows(report),
        "",
        "",
        *_predict_lines(report, chosen, prepare, reads_files=reads_files),
    ]
    return "".join(f"{line}\n" for line in lines)


def _import_lines(report: Report, chosen: Measured, *, reads_files: bool) -> list[str]:
    return [
        f"# {chosen.recipe} by onnxq {report.onnxq}, for the model beside this file.",
        "import os",
        "from pathlib import Path",
        "",
        "import numpy as np",
        *(["from PIL import Image"] if reads_files else []),
        "",
        'os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # before the next line',
        "import onnxruntime as ort",
        "",
    ]


def _session_lines(chosen: Measured) -> list[str]:
    threads = chosen.latencies[0].threads if chosen.latencies else 1
    return [
        "options = ort.SessionOptions()",
        f"options.intra_op_num_threads = {threads}  # as measured",
        'options.add_session_config_entry("session.force_spinning_stop", "1")',
        *([_LEVEL] if chosen.artefact.quantized_nodes else []),
        f"model = str(Path(__file__).with_name({_quoted(chosen.artefact.file)}))",
        'session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])',
    ]


def _predict_lines(
    report: Report, chosen: Measured, prepare: list[str], *, reads_files: bool
) -> list[str]:
    inputs = report.source.signature.inputs
    if len(inputs) != 1:
        return _predict_by_name(report, chosen)
    argument, what = _argument(inputs[0], prepare, reads_files=reads_files)
    steps = prepare or _row_steps(report, inputs[0].name)
    feeds = f"{{{_quoted(inputs[0].name)}: x}}"
    return [
        f"def predict({argument}):  # {what}",
        *(f"    {line}" for line in [*steps, *_to_integers(report, chosen, inputs[0].name)]),
        *_result_lines(report, chosen, feeds),
    ]


def _predict_by_name(report: Report, chosen: Measured) -> list[str]:
    inputs, spec = report.source.signature.inputs, _preprocess_of(report)
    lines = [f"def predict(inputs):  # arrays by name: {_comment('; '.join(map(str, inputs)))}"]
    if spec:
        lines += [f"    # image inputs went through --preprocess {spec}"]
    by_name = {one.name: _row_steps(report, one.name) for one in inputs if not spec}
    steps = {
        one.name: [*by_name.get(one.name, []), *_to_integers(report, chosen, one.name)]
        for one in inputs
    }
    if any(steps.values()):
        lines += ["    inputs = dict(inputs)"]
    for name, own in steps.items():
        if own:
            lines += [f"    x = inputs[{_quoted(name)}]", *(f"    {line}" for line in own)]
            lines += [f"    inputs[{_quoted(name)}] = x"]
    return [*lines, *_result_lines(report, chosen, "inputs")]


def _row_steps(report: Report, name: str) -> list[str]:
    """Do to rows what was done to those of the run: layout first, then the cast."""
    steps: list[str] = []
    for change in _changes(report):
        if change.evidence.get("input") != name:
            continue
        if change.code == _LAYOUT:
            steps.insert(0, f"x = {_MOVES[Layout[str(change.evidence['layout'])]]}")
        else:
            steps.append(f'x = x.astype("{change.evidence["dtype"]}")')
    return steps


def _integers(report: Report, chosen: Measured) -> tuple[IntegerTensor, ...]:
    """Return what is integer and stands for real numbers: by a recipe, or as it was given."""
    return chosen.artefact.io or integer_io(report.source.signature)


def _to_integers(report: Report, chosen: Measured, name: str) -> list[str]:
    """Turn real numbers into what an integer input takes; integers go in as they are."""
    lines = []
    for tensor in _integers(report, chosen):
        if tensor.name == name:
            ends = np.iinfo(tensor.dtype)
            steps = f"np.rint(x / np.float32({tensor.scale:.9g})) + {tensor.zero_point}"
            lines += [
                f"if x.dtype != np.{tensor.dtype}:",
                f"    x = np.clip({steps}, {ends.min}, {ends.max}).astype(np.{tensor.dtype})",
            ]
    return lines


def _result_lines(report: Report, chosen: Measured, feeds: str) -> list[str]:
    names = [spec.name for spec in report.source.signature.outputs]
    tensors = {one.name: one for one in _integers(report, chosen) if one.name in names}
    if not tensors:
        return [f"    return session.run(None, {feeds}){'[0]' if len(names) == 1 else ''}"]
    reals = [
        _to_reals(f"y[{place}]", tensors[name]) if name in tensors else f"y[{place}]"
        for place, name in enumerate(names)
    ]
    returned = reals[0] if len(names) == 1 else f"[{', '.join(reals)}]"
    return [f"    y = session.run(None, {feeds})", f"    return {returned}"]


def _to_reals(value: str, tensor: IntegerTensor) -> str:
    steps = f"({value}.astype(np.float32) - {tensor.zero_point})"
    return f"{steps} * np.float32({tensor.scale:.9g})"


def _argument(spec: TensorSpec, prepare: list[str], *, reads_files: bool) -> tuple[str, str]:
    if reads_files:
        return "path", "an image file"
    if prepare:
        return "x", "bytes 0..255, channels last, red first: uint8 [N, height, width, channels]"
    return "x", _comment(str(spec))


def _changed_rows(report: Report) -> list[str]:
    """Say what is done to the rows, as it was to those that were measured."""
    changes = _changes(report)
    return [f"# The rows of the run were changed first: {_comment(one.message)}" for one in changes]


def _changes(report: Report) -> list[Finding]:
    """Return the casts and changes of layout of the rows that were judged on."""
    spec = report.data.spec if isinstance(report.data, DataFacts) else ""
    titles = {spec, PurePath(spec).name}
    return [
        one for one in report.findings if one.code in {_CAST, _LAYOUT} and one.subject in titles
    ]


def _preprocess_of(report: Report) -> str:
    return report.data.preprocess if isinstance(report.data, DataFacts) else ""


def _prepare_lines(report: Report) -> list[str]:
    """Write how bytes become what the model's only input takes; nothing where rows are given."""
    inputs = report.source.signature.inputs
    text = _preprocess_of(report)
    if not text or len(inputs) != 1:
        return []
    spec = parse_preprocess(text)
    return [
        *_geometry_lines(spec),
        *_order_lines(spec),
        *_arithmetic_lines(spec),
        *_layout_lines(inputs[0]),
    ]


def _geometry_lines(spec: PreprocessSpec) -> list[str]:
    if not (spec.size or spec.crop or spec.resize_height):
        return []
    lines = ['image = Image.open(path).convert("RGB")']
    if spec.resize_height:
        size = f"({spec.resize_width}, {spec.resize_height})"
        lines += [f"image = image.resize({size}, Image.Resampling.BILINEAR)"]
    if spec.size:
        lines += [
            f"size = [{spec.size} * side // min(image.size) for side in image.size]",
            "image = image.resize(size, Image.Resampling.BILINEAR)",
        ]
    if spec.crop:
        crop = spec.crop
        lines += [
            f"left, top = (round((side - {crop}) / 2) for side in image.size)",
            f"image = image.crop((left, top, left + {crop}, top + {crop}))",
        ]
    return [*lines, "x = np.asarray(image)[np.newaxis]"]


def _order_lines(spec: PreprocessSpec) -> list[str]:
    if spec.order == "bgr":
        return ["x = x[..., ::-1]"]
    if spec.order == "gray":
        return ["if x.shape[-1] == 3:", f"    x = ({_LUMA})[..., np.newaxis]"]
    return []


def _arithmetic_lines(spec: PreprocessSpec) -> list[str]:
    lines = ["x = x.astype(np.float32)"]
    if spec.scale != 1:
        lines += [f"x /= np.float32({spec.scale:.17g})"]
    if set(spec.mean) != {0.0}:
        lines += [f"x -= np.array({list(spec.mean)}, np.float32)"]
    if set(spec.std) != {1.0}:
        lines += [f"x /= np.array({list(spec.std)}, np.float32)"]
    return lines


def _layout_lines(spec: TensorSpec) -> list[str]:
    shape = spec.shape
    cast = [] if spec.dtype == "float32" else [f'x = x.astype("{spec.dtype}")']
    if len(shape) == _GRAY_AXES:
        return ["x = x[..., 0]", *cast]
    if len(shape) == _IMAGE_AXES and shape[1] in _CHANNELS and shape[-1] not in _CHANNELS:
        return ["x = np.ascontiguousarray(x.transpose(0, 3, 1, 2))", *cast]
    return cast


def _quoted(text: str) -> str:
    literal = repr(text)
    return literal if {"\\", '"', "'"} & set(literal[1:-1]) else f'"{text}"'


def _comment(text: str) -> str:
    """Keep text on its line: a name with a line feed in it must not become code."""
    return text.encode("unicode_escape").decode("ascii")
