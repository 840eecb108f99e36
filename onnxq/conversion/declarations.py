"""What ``--input`` declares, beside what a model or the rows say."""

import difflib

from onnxq.errors import SourceError
from onnxq.sources import InputDeclaration, render_input
from onnxq.tensors import Signature, TensorSpec


def check_declared(declared: tuple[InputDeclaration, ...], signature: Signature) -> None:
    """Check that declarations fit the inputs of a converted model.

    Args:
        declared: As ``--input`` gives them. Their dtype is not compared: it says how values are
            read, and float32 may just not have been written.
        signature: Of the model.

    Raises:
        SourceError: If an input does not exist, or has other axes or sizes (OQ112).
    """
    specs = {spec.name: spec for spec in signature.inputs}
    for one in declared:
        if one.name not in specs:
            near = difflib.get_close_matches(one.name, specs, n=1) or list(specs)
            message = f"--input {render_input(one)}: the model has no input {one.name!r}."
            hint = f"Did you mean {' or '.join(map(repr, near))}?"
            raise SourceError(message, code="OQ112", hint=hint)
        if not _fits(one, specs[one.name]):
            message = (
                f"--input {render_input(one)} contradicts the model: it takes {specs[one.name]}."
            )
            hint = "Leave --input out: the model declares its own inputs."
            raise SourceError(message, code="OQ112", hint=hint)


def declare_from_rows(
    specs: tuple[TensorSpec, ...], names: tuple[str, ...]
) -> tuple[InputDeclaration, ...]:
    """Declare a module's inputs by the rows that are there to feed them.

    Args:
        specs: What the rows look like, by the names of their arrays.
        names: Of the inputs that the module must be given.

    Returns:
        A declaration for each input, under its own name. A single array fits a single input.

    Raises:
        SourceError: If the names do not match (OQ112).
    """
    by_name = {spec.name: spec for spec in specs}
    if len(names) == len(specs) == 1:
        by_name = {names[0]: specs[0]}
    if not set(names) <= by_name.keys():
        found = ", ".join(map(str, specs)) or "no arrays"
        message = f"The model takes ({', '.join(names)}); the rows hold {found}."
        pairs = " ".join(f"--map {name}=ARRAY" for name in names if name not in by_name)
        hint = f"Say which array feeds which input:  {pairs}"
        raise SourceError(message, code="OQ112", hint=hint)
    return tuple(InputDeclaration(name, by_name[name].shape, by_name[name].dtype) for name in names)


def _fits(one: InputDeclaration, spec: TensorSpec) -> bool:
    if len(one.shape) != len(spec.shape):
        return False
    pairs = zip(one.shape, spec.shape, strict=True)
    return all(isinstance(a, str) or isinstance(b, str) or a == b for a, b in pairs)
