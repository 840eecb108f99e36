"""A module is called once on an example, and its batch is fixed where it cannot be free."""

from dataclasses import replace

import msgspec

from onnxq.conversion.from_torch_calls import ModuleCall
from onnxq.conversion.from_torch_failures import first_line
from onnxq.errors import OnnxqError, SourceError
from onnxq.findings import Finding


def output_names(call: ModuleCall, rows: int) -> tuple[str, ...]:
    """Call a module once: to see that it takes its inputs, and what it returns.

    Args:
        call: The module with its inputs.
        rows: Of the batch, where that is free.

    Returns:
        The names of its outputs.

    Raises:
        SourceError: If it fails on them (OQ112).
        ConversionError: If it returns something that is not a tensor (OQ151).
    """
    example = call.example(rows)
    try:
        return tuple(call.run(example))
    except OnnxqError:
        raise
    except Exception as error:  # a user's forward may raise anything
        fed = ", ".join(f"{n} {str(t.dtype)[6:]} {list(t.shape)}" for n, t in example.items())
        message = f"{call.name} failed on {fed}: {type(error).__name__}: {first_line(error)}"
        hint = "Declare the inputs that it was trained with:  --input x:Nx3x224x224[:dtype]"
        raise SourceError(message, code="OQ112", hint=hint) from error


def with_fixed_batch(call: ModuleCall, rows: int) -> ModuleCall:
    """Return a call whose free batch axes have a size."""
    fixed = tuple(
        msgspec.structs.replace(
            i, shape=tuple(rows if isinstance(dim, str) else dim for dim in i.shape)
        )
        for i in call.inputs
    )
    return replace(call, inputs=fixed)


def fixed_batch_note(name: str, rows: int, because: str) -> Finding:
    """Make the finding that a module's batch is fixed (OQ153).

    Args:
        name: Of the module.
        rows: Of its batch.
        because: Why, in PyTorch's words.
    """
    return Finding(
        code="OQ153",
        subject=name,
        message=f"The batch is fixed at {rows}: PyTorch cannot keep it free ({because}).",
        evidence={"batch_rows": rows},
        fix="Take the batch from x.shape[0] in forward, never as a number.",
        severity="warning",
    )
