"""Write each PyTorch model of the matrix in every kind of file that PyTorch knows.

Usage: python scripts/acceptance/make_torch_sources.py FOLDER
"""

import json
import runpy
import struct
import sys
import warnings
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from source_models import ROOT, TORCH_MODELS, Model
from source_oracles import Rows, random_rows, write_oracle
from torch import Tensor, nn

ONNX_OPSETS = (13, 17, 18, 20, 21)
"""Opsets that ResNet-20 is exported at; the tracing exporter makes those below 18."""

_FIRST_DYNAMO_OPSET = 18
_DTYPES = {torch.float32: "F32", torch.int64: "I64"}


def main() -> None:
    """Write all of them into the folder that is named."""
    folder = Path(sys.argv[1])
    for model in TORCH_MODELS:
        module = load(model)
        write_oracle(model, folder, partial(compute, module))
        if not model.is_whole:
            write_kinds(model, module, folder)
        if model.key == "mnist_mlp":
            write_quantized(model, load(model), folder)
        if model.key == "resnet20":
            write_exports(model, module, folder)
        print(f"made {model.key}", flush=True)


def compute(module: nn.Module, rows: Rows) -> list[NDArray[np.generic]]:
    """Run a module on rows; its outputs in order."""
    with torch.no_grad():
        found = module(*map(torch.from_numpy, rows.values()))
    return [tensor.numpy() for tensor in (found.values() if isinstance(found, dict) else [found])]


def load(model: Model) -> nn.Module:
    """Make a module by its factory, with its trained weights where there are any."""
    module: nn.Module = runpy.run_path(str(model.factory_file), run_name=model.key)[
        model.function
    ]()
    if model.file:
        state = torch.load(ROOT / model.file, map_location="cpu", weights_only=True)
        state = state.get("state_dict", state)
        module.load_state_dict({key.removeprefix("module."): v for key, v in state.items()})
    return module.eval()


def example_of(model: Model) -> tuple[Tensor, ...]:
    """Draw a batch to trace with."""
    return tuple(torch.from_numpy(rows[:2]) for rows in random_rows(model).values())


def write_kinds(model: Model, module: nn.Module, folder: Path) -> None:
    """Write one module in every kind that it can be written in."""
    example = example_of(model)
    torch.save(module.state_dict(), folder / f"{model.key}.pt")
    write_safetensors(module.state_dict(), folder / f"{model.key}.safetensors")
    batch = torch.export.Dim("batch")
    program = torch.export.export(
        module, example, dynamic_shapes={tensor.name: {0: batch} for tensor in model.inputs}
    )
    torch.export.save(program, folder / f"{model.key}.pt2")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch calls TorchScript deprecated
        traced = torch.jit.trace(module, example, strict=False)  # type: ignore[no-untyped-call]
        torch.jit.save(traced, folder / f"{model.key}.torchscript.pt")


def write_safetensors(state: dict[str, Tensor], path: Path) -> None:
    """Write tensors as safetensors' format says: length of the header, header, bytes.

    https://github.com/huggingface/safetensors, section "Format".
    """
    header: dict[str, dict[str, object]] = {}
    content = b""
    for name, tensor in state.items():
        data = tensor.contiguous().numpy().tobytes()
        ends = [len(content), len(content) + len(data)]
        header[name] = {
            "dtype": _DTYPES[tensor.dtype],
            "shape": list(tensor.shape),
            "data_offsets": ends,
        }
        content += data
    written = json.dumps(header).encode()
    written += b" " * (-len(written) % 8)
    path.write_bytes(struct.pack("<Q", len(written)) + written + content)


def write_exports(model: Model, module: nn.Module, folder: Path) -> None:
    """Export one module at several opsets, with a free batch."""
    name = model.inputs[0].name
    for opset in ONNX_OPSETS:
        path = folder / f"{model.key}.opset{opset}.onnx"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # PyTorch calls its tracing exporter deprecated
            if opset < _FIRST_DYNAMO_OPSET:
                export_traced(module, model, path, opset=opset)
                continue
            torch.onnx.export(
                module,
                example_of(model),
                str(path),
                dynamo=True,
                opset_version=opset,
                input_names=[name],
                output_names=["output"],
                dynamic_shapes=({0: "batch"},),
                external_data=False,
                verbose=False,
            )


def write_quantized(model: Model, module: nn.Module, folder: Path) -> None:
    """Quantize one module by PyTorch's own eager mode, and export what came of it."""
    eager: Any = torch.ao.quantization  # without types
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch calls eager mode deprecated
        wrapped = eager.QuantWrapper(module).eval()
        wrapped.qconfig = eager.get_default_qconfig("x86")
        prepared = eager.prepare(wrapped)
        with torch.no_grad():
            prepared(*example_of(model))
        export_traced(
            eager.convert(prepared), model, folder / f"{model.key}.eager_int8.onnx", opset=17
        )


def export_traced(module: nn.Module, model: Model, path: Path, *, opset: int) -> None:
    """Export by the tracing exporter, with a free batch."""
    (tensor,) = model.inputs
    torch.onnx.export(
        module,
        example_of(model),
        str(path),
        dynamo=False,
        opset_version=opset,
        input_names=[tensor.name],
        output_names=["output"],
        dynamic_axes={tensor.name: {0: "batch"}, "output": {0: "batch"}},
    )


if __name__ == "__main__":
    main()
