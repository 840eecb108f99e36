"""Audit models and compare what is said with the profiler's own operator list.

Usage: python scripts/acceptance/audit.py FOLDER [MODEL.onnx ...]

The real models of ``$ONNXQ_SHARED`` are quantized by onnxq into FOLDER, fp32, int8 and int8-dynamic
each; models that are named are audited as they are. ``onnxq inspect --runtime`` audits each file.
Beside it the file is profiled again by this script's own session, which writes no graph: node by
node both must have the same names and operators; there must be as many multiply-adds as the nodes
of the file take by onnx's own shape inference; and exactly one kernel must stand for each of the
file's products that has a name. Exit code 1 where they differ.
"""

import argparse
import math
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

import msgspec
import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray
from real_models import ROOT, Case, cases

from onnxq.audits import RuntimeAudit
from onnxq.stages import InspectResult

HEADINGS = ("file", "kernels", "multiply-adds", "in integer kernels", "float islands",
            "their time", "added", "slow", "same as the profiler")  # fmt: skip
UNCOMPARED = {"LSTM", "GRU", "RNN", "DynamicQuantizeLSTM", "Loop", "Scan", "If", "QLinearMatMul"}
PRODUCTS = {"Conv", "Gemm", "MatMul", "MatMulInteger", "ConvInteger", "LSTM", "GRU"}
FILLED_UP = 4 / 3
_KERNEL = "_kernel_time"
_NP = {
    "tensor(float)": np.float32,
    "tensor(int64)": np.int64,
    "tensor(int32)": np.int32,
    "tensor(uint8)": np.uint8,
    "tensor(int8)": np.int8,
}


def main() -> int:
    """Audit every file; 1 if an audit is not of what runs."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("models", nargs="*", type=Path)
    asked = parser.parse_args()
    asked.folder.mkdir(parents=True, exist_ok=True)
    files = asked.models or [
        file
        for case in cases()
        for file in quantized(case, asked.folder / case.name.replace(" ", "-"))
    ]
    print("| " + " | ".join(HEADINGS) + " |")
    print("|" + "---|" * len(HEADINGS))
    same = [show(file) for file in files]
    return int(not all(same))


def quantized(case: Case, out: Path) -> list[Path]:
    """Quantize a model of the acceptance list, unless that was done before."""
    if not out.exists():
        options = ["--calib" if word == "--data" else word for word in case.options]
        recipes = [word for alias in ("fp32", "int8", "int8-dynamic") for word in ("-r", alias)]
        told = onnxq("quantize", case.model, *options, *recipes, "--limit", "32", "-o", str(out))
        print(f"{case.name}: exit {told.returncode} {told.stderr.decode()}", file=sys.stderr)
    return sorted(out.glob("*.onnx"))


def onnxq(*words: str) -> subprocess.CompletedProcess[bytes]:
    """Run a verb."""
    command = [sys.executable, "-m", "onnxq", *words, "--json", "-q"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, check=False)  # noqa: S603 - our own command


def show(file: Path) -> bool:
    """Print a file's row; false where the audit and the profiler differ."""
    told = onnxq("inspect", str(file), "--runtime", *declarations(file))
    found = msgspec.json.decode(told.stdout, type=InspectResult) if not told.returncode else None
    if found is None or not isinstance(found.audit, RuntimeAudit):
        print(f"| {file.name} | {told.stdout.decode()} |")
        return False
    audit = found.audit
    profile = profiled(file)
    wrong = differences(found, profile, file)
    islands_ns = sum(one.ns for one in audit.islands)
    cells = (
        f"{file.parent.name}/{file.name}",
        f"{audit.kernels}",
        f"{audit.macs / 1e6:.1f} M",
        f"{audit.integer_ratio:.1%}" if audit.macs else "-",
        f"{len(audit.islands)}",
        f"{islands_ns / audit.ns:.1%}",
        f"{len(audit.added)}",
        f"{len(audit.slow)}",
        "; ".join(wrong) or f"yes: {', '.join(f'{n} {c}' for n, c in profile.operators[:5])}",
    )
    print("| " + " | ".join(cells) + " |", flush=True)
    return not wrong


def declarations(file: Path) -> list[str]:
    """Declare what integer inputs take: whatever the model, it has an entry 0 and 1."""
    dtypes = {onnx.TensorProto.INT64: "int64", onnx.TensorProto.INT32: "int32"}
    words = []
    for value in onnx.load(file, load_external_data=False).graph.input:
        kind = value.type.tensor_type
        if kind.elem_type in dtypes:
            sizes = [str(dim.dim_value or "N") for dim in kind.shape.dim]
            words += ["--input", f"{value.name}:{'x'.join(sizes)}:{dtypes[kind.elem_type]}:0..1"]
    return words


class Profiled(msgspec.Struct, frozen=True):
    """What the profiler says of one run: nodes by name and operator, and how many of each type."""

    nodes: Counter[tuple[str, str]]
    operators: list[tuple[str, int]]


def differences(found: InspectResult, profile: Profiled, file: Path) -> list[str]:
    """Say where an audit is not what the profiler saw, or not what the file takes."""
    audited = Counter((kernel.name, kernel.operator) for kernel in found.kernels)
    ran = Counter(dict.fromkeys(profile.nodes, 1))
    told = [f"only audited: {name}" for name, _ in audited - ran]
    told += [f"only profiled: {name}" for name, _ in ran - audited]
    if isinstance(found.audit, RuntimeAudit):
        told += [f"unmatched: {name}" for name in found.audit.unmatched]
        told += uncounted(found.audit, file)
    return told + unclaimed(found, file)


def unclaimed(found: InspectResult, file: Path) -> list[str]:
    """Name the products of the file that not exactly one kernel stands for."""
    graph = onnx.load(file, load_external_data=False).graph
    products = [node.name for node in graph.node if node.op_type in PRODUCTS and node.name]
    claims = Counter(name for kernel in found.kernels for name in kernel.covers)
    return [f"{claims[name]} kernels stand for {name}" for name in products if claims[name] != 1]


def uncounted(audit: RuntimeAudit, file: Path) -> list[str]:
    """Compare the multiply-adds with those of the file's own nodes, by onnx's shape inference.

    Float convolutions run in blocks of channels that are filled up: there may be up to a third
    more. Files with recurrent layers, and with operators that onnx does not know, are not compared.
    """
    model = onnx.load(file)
    if any(node.op_type in UNCOMPARED for node in model.graph.node):
        return []
    for value in model.graph.input:
        for dim in value.type.tensor_type.shape.dim:
            dim.dim_value = dim.dim_value or 1
    for value in model.graph.output:
        value.type.tensor_type.ClearField("shape")
    del model.graph.value_info[:]
    graph = onnx.shape_inference.infer_shapes(model, data_prop=True).graph
    shapes = {one.name: list(one.dims) for one in graph.initializer} | {
        value.name: [dim.dim_value for dim in value.type.tensor_type.shape.dim]
        for value in (*graph.input, *graph.value_info, *graph.output)
    }
    if any(node.output[0] not in shapes for node in graph.node):
        return []
    expected = sum(own_macs(node, shapes) for node in graph.node)
    if expected <= audit.macs <= expected * (1 if audit.integer_ratio == 1 else FILLED_UP):
        return []
    return [f"{audit.macs} multiply-adds, by the file's own nodes {expected}"]


def own_macs(node: onnx.NodeProto, shapes: dict[str, list[int]]) -> int:
    """Count the multiply-adds of a node of the standard: the result times what is summed."""
    if node.op_type in {"Conv", "ConvInteger"}:
        return math.prod(shapes[node.output[0]]) * math.prod(shapes[node.input[1]][1:])
    if node.op_type in {"MatMul", "MatMulInteger", "Gemm"}:
        turned = any(one.name == "transA" and one.i for one in node.attribute)
        return math.prod(shapes[node.output[0]]) * shapes[node.input[0]][-2 if turned else -1]
    if node.op_type == "QLinearConv":
        return math.prod(shapes[node.output[0]]) * math.prod(shapes[node.input[3]][1:])
    return 0


def profiled(file: Path) -> Profiled:
    """Profile a file in a session that writes no graph."""
    with tempfile.TemporaryDirectory() as folder:
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        options.log_severity_level = 3
        options.enable_profiling = True
        options.profile_file_prefix = str(Path(folder) / "profile")
        session = ort.InferenceSession(str(file), options)
        session.run(None, {one.name: values(one) for one in session.get_inputs()})
        events = msgspec.json.decode(Path(session.end_profiling()).read_bytes())
    kernels = [e for e in events if e["cat"] == "Node" and e["name"].endswith(_KERNEL)]
    nodes = Counter((e["name"].removesuffix(_KERNEL), e["args"]["op_name"]) for e in kernels)
    operators = Counter(operator for _, operator in nodes).most_common()
    return Profiled(nodes, operators)


def values(spec: ort.NodeArg) -> NDArray[np.generic]:
    """Return values of one inference; the batch and other free axes are 1."""
    shape = [size if isinstance(size, int) else 1 for size in spec.shape]
    kind = _NP[spec.type]
    if kind is np.float32:
        return np.random.default_rng(0).standard_normal(shape).astype(kind)
    return np.ones(shape, kind)


if __name__ == "__main__":
    sys.exit(main())
