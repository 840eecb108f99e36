"""Code that serves a model as it was measured: plain onnxruntime and numpy, to be copied.

The code is made from the report: the file, its input, the preprocessing that the rows went
through, and the thread and optimization options that the figures hold for.
"""

from onnxq.datasets.preprocess import parse_preprocess
from onnxq.datasets.values import PreprocessSpec
from onnxq.reports import DataFacts, Measured, Report
from onnxq.tensors import TensorSpec

_CHANNELS = frozenset({1, 3})
_IMAGE_AXES = 4
_GRAY_AXES = 3
# ITU-R BT.601 luma in 16 bit fixed point, as Pillow's mode "L" and the preprocessing compute it.
_LUMA = "(x.astype(np.uint32) @ np.array([19595, 38470, 7471], np.uint32) + 32768) >> 16"
_ROW_CHANGES = frozenset({"OQ128", "OQ129"})
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
        *_predict_lines(report, prepare, reads_files=reads_files),
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


def _predict_lines(report: Report, prepare: list[str], *, reads_files: bool) -> list[str]:
    inputs = report.source.signature.inputs
    result = "[0]" if len(report.source.signature.outputs) == 1 else ""
    if len(inputs) != 1:
        specs = _comment("; ".join(map(str, inputs)))
        spec = report.data.preprocess if isinstance(report.data, DataFacts) else ""
        return [
            f"def predict(inputs):  # arrays by name: {specs}",
            *([f"    # image inputs went through --preprocess {spec}"] if spec else []),
            f"    return session.run(None, inputs){result}",
        ]
    argument, what = _argument(inputs[0], prepare, reads_files=reads_files)
    return [
        f"def predict({argument}):  # {what}",
        *(f"    {line}" for line in prepare),
        f"    return session.run(None, {{{_quoted(inputs[0].name)}: x}}){result}",
    ]


def _argument(spec: TensorSpec, prepare: list[str], *, reads_files: bool) -> tuple[str, str]:
    if reads_files:
        return "path", "an image file"
    if prepare:
        return "x", "bytes 0..255, channels last, red first: uint8 [N, height, width, channels]"
    return "x", _comment(str(spec))


def _changed_rows(report: Report) -> list[str]:
    """Say what else was done to the rows that were measured: casts and changes of layout."""
    said = [f.message for f in report.findings if f.code in _ROW_CHANGES]
    return [f"# The rows of the run were changed first: {_comment(one)}" for one in said]


def _prepare_lines(report: Report) -> list[str]:
    """Write how bytes become what the model's only input takes; nothing where rows are given."""
    inputs = report.source.signature.inputs
    text = report.data.preprocess if isinstance(report.data, DataFacts) else ""
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
