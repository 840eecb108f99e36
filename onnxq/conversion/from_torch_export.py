"""A program of ``torch.export`` becomes an ONNX file: ``.pt2`` files, and such programs live."""

import re
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.ao.quantization.fx._decomposed  # registers what PT2E leaves in a program (2.13.0)
from onnx import ModelProto, ValueInfoProto
from torch import Tensor
from torch.export import ExportedProgram
from torch.export.graph_signature import InputKind, TensorArgument
from torch.utils import _pytree

from onnxq.arrays import Array
from onnxq.conversion.exports import Export
from onnxq.conversion.from_torch import LOWEST_OPSET, NEXT_OPSET, lacks_operator, opset_note
from onnxq.conversion.from_torch_calls import FREE_BATCH
from onnxq.conversion.from_torch_failures import reason
from onnxq.conversion.from_torch_quiet import quietly
from onnxq.conversion.from_torch_tensors import TORCH_DTYPES, name_outputs, to_array, to_tensor
from onnxq.conversion.from_torch_writing import describe_export, write_exported
from onnxq.errors import ConversionError, SourceError
from onnxq.findings import Finding
from onnxq.sources import InputDeclaration
from onnxq.tensors import DType

_EVALUATE = "Export it again where it was made:  torch.export.export(module.eval(), args)"
_MOST_BUFFERS = 3
_FREE = "torch.export.export(module, args, dynamic_shapes=({0: torch.export.Dim('batch')},))"
_DTYPE_NAMES: dict[torch.dtype, DType] = {dtype: name for name, dtype in TORCH_DTYPES.items()}


@dataclass(frozen=True)
class ProgramCall:
    """A program with the names of what goes in and comes out.

    Attributes:
        program: The program.
        name: What messages call it.
        inputs: Its tensors, in order; free axes carry the program's own symbols.
    """

    program: ExportedProgram
    name: str
    inputs: tuple[InputDeclaration, ...]

    @property
    def batch_symbol(self) -> str:
        """The symbol of the batch axis; empty where that is fixed."""
        first = self.inputs[0].shape[:1] if self.inputs else ()
        return next((dim for dim in first if isinstance(dim, str)), "")

    def run(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Run the program; return its outputs by name."""
        signature = self.program.graph_signature
        flat: list[object] = [
            tensors[spec.arg.name]
            if isinstance(spec.arg, TensorArgument)
            else getattr(spec.arg, "value", None)
            for spec in signature.input_specs
            if spec.kind is InputKind.USER_INPUT
        ]
        args, kwargs = _pytree.tree_unflatten(flat, self.program.call_spec.in_spec)
        with torch.no_grad():
            returned = self.program.module()(*args, **kwargs)
        return name_outputs(returned, self.name, frozenset(i.name for i in self.inputs))

    def predict(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Run the program on arrays: what the export must compute too."""
        tensors = {i.name: to_tensor(inputs[i.name], i) for i in self.inputs}
        return {name: to_array(tensor) for name, tensor in self.run(tensors).items()}


def load_program(path: Path) -> ExportedProgram:
    """Load a ``.pt2`` file; this can run code that the file holds.

    Args:
        path: Of a file that ``torch.export.save`` wrote; whoever wrote it is trusted.

    Returns:
        The program.

    Raises:
        SourceError: If it is damaged, or of another version of PyTorch (OQ104).
    """
    try:
        with quietly():
            return torch.export.load(path)
    except (RuntimeError, ValueError, KeyError, OSError, EOFError, zipfile.BadZipFile) as error:
        message = f"{path.name} cannot be loaded by torch {torch.__version__}: {reason(error)}"
        hint = "Save it again with this version of PyTorch, or export it to .onnx where it is from."
        raise SourceError(message, code="OQ104", hint=hint) from error


def convert_program(program: ExportedProgram, name: str, destination: Path) -> Export:
    """Export a program; its inputs, outputs and free axes are those that it has.

    Args:
        program: Any.
        name: What messages call it.
        destination: Of the ``.onnx`` file; must not exist yet.

    Returns:
        The export; the batch axis is called ``N`` where the program keeps it free.

    Raises:
        SourceError: If it takes something that is not a tensor of a known dtype, changes its own
            buffers, or is above 2 GB (OQ111).
        ConversionError: If PyTorch cannot export it (OQ151).
    """
    _check_stateless(program, name)
    call = ProgramCall(program, name, _inputs(program, name))
    names = _output_names(call)
    proto = _export(call, names)
    _call_batch(proto, call.batch_symbol)
    written = write_exported(proto, tuple(i.name for i in call.inputs), name, str(destination))
    return describe_export(
        written,
        name=name,
        kind="torch.export program",
        traced_rows=0,
        predict=call.predict,
        findings=_batch_note(call) + opset_note(written.model, name),
    )


def _check_stateless(program: ExportedProgram, name: str) -> None:
    """Raise if a program writes its buffers: modules in training mode do, and caches."""
    schemas = [getattr(node.target, "_schema", None) for node in program.graph.nodes]
    if any(schema is not None and schema.is_mutable for schema in schemas):
        with quietly():
            program = program.run_decompositions({})  # only then are in-place operators listed
    changed = sorted(program.graph_signature.buffers_to_mutate.values())
    if changed:
        message = (
            f"{name} changes its own buffers when it runs ({', '.join(changed[:_MOST_BUFFERS])}), "
            "so rows depend on the rows before; it may have been exported in training mode."
        )
        raise SourceError(message, code="OQ111", hint=_EVALUATE)


def _inputs(program: ExportedProgram, name: str) -> tuple[InputDeclaration, ...]:
    values = {node.name: node.meta.get("val") for node in program.graph.nodes}
    declared = []
    for spec in program.graph_signature.input_specs:
        if spec.kind is not InputKind.USER_INPUT or not isinstance(spec.arg, TensorArgument):
            continue
        value = values[spec.arg.name]
        if not isinstance(value, Tensor) or value.dtype not in _DTYPE_NAMES:
            message = f"{name} takes {spec.arg.name!r}, which is not a tensor that onnxq can feed."
            raise SourceError(message, code="OQ111", hint="Export a program that takes tensors.")
        shape = tuple(dim if isinstance(dim, int) else str(dim) for dim in value.shape)
        declared.append(InputDeclaration(spec.arg.name, shape, _DTYPE_NAMES[value.dtype]))
    return tuple(declared)


def _output_names(call: ProgramCall) -> tuple[str, ...]:
    """Name the outputs by the structure that the program returns them in."""
    specs = call.program.graph_signature.output_specs
    kinds = [spec.arg for spec in specs if spec.kind.name == "USER_OUTPUT"]
    leaves = [torch.empty(0) if isinstance(arg, TensorArgument) else None for arg in kinds]
    returned = _pytree.tree_unflatten(leaves, call.program.call_spec.out_spec)
    return tuple(name_outputs(returned, call.name, frozenset(i.name for i in call.inputs)))


def _export(call: ProgramCall, names: tuple[str, ...]) -> ModelProto:
    try:
        return _export_at(LOWEST_OPSET, call, names)
    except Exception as error:  # the exporter raises whatever it meets
        if not lacks_operator(error):
            raise _failure(call, error) from error
    try:
        return _export_at(NEXT_OPSET, call, names)
    except Exception as error:  # the exporter raises whatever it meets
        raise _failure(call, error) from error


def _export_at(opset: int, call: ProgramCall, names: tuple[str, ...]) -> ModelProto:
    with quietly():
        written = torch.onnx.export(
            call.program,
            (),
            dynamo=True,
            verbose=False,  # it prints its progress otherwise
            opset_version=opset,
            input_names=[i.name for i in call.inputs],
            output_names=list(names),
        )
    if written is None:  # only the exporter that dynamo=True replaces returns nothing
        message = f"PyTorch exported nothing for {call.name}."
        raise ConversionError(message, code="OQ151", hint="Update PyTorch.")
    return written.model_proto


def _call_batch(proto: ModelProto, symbol: str) -> None:
    """Rename the symbol of the batch axis, in expressions too, in a proto of our own."""
    if not symbol:
        return
    values: list[ValueInfoProto] = [*proto.graph.input, *proto.graph.output]
    for value in values:
        for dim in value.type.tensor_type.shape.dim:
            if dim.dim_param:
                dim.dim_param = re.sub(rf"\b{re.escape(symbol)}\b", FREE_BATCH, dim.dim_param)


def _batch_note(call: ProgramCall) -> tuple[Finding, ...]:
    if call.batch_symbol or not call.inputs or not call.inputs[0].shape:
        return ()
    rows = int(call.inputs[0].shape[0])
    return (
        Finding(
            code="OQ153",
            subject=call.name,
            message=f"The batch is fixed at {rows}: {call.name} was exported so.",
            evidence={"batch_rows": rows},
            fix=f"Where it was made:  {_FREE}",
        ),
    )


def _failure(call: ProgramCall, error: Exception) -> ConversionError:
    message = f"PyTorch cannot export {call.name}: {reason(error)}"
    hint = "Give the module itself, by a factory:  onnxq run pkg.mod:fn --weights FILE"
    return ConversionError(message, code="OQ151", hint=hint)
