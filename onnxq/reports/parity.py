"""How an export was compared with its source."""

from msgspec import Struct


class ParityProbe(Struct, frozen=True, kw_only=True):
    """One comparison of the export with the source.

    Attributes:
        output: The output's name.
        batch_rows: Rows in the batch.
        inputs: What was fed: ``rows``, ``negated``, ``scaled``, ``values``, ``random`` or
            ``random scaled``.
        max_abs_difference: Largest absolute difference.
        relative_l2: Norm of the difference over the norm of the reference.
    """

    output: str
    batch_rows: int
    inputs: str
    max_abs_difference: float
    relative_l2: float


class Parity(Struct, frozen=True, tag="checked"):
    """The export computes what the source computes.

    Attributes:
        probes: What was compared; all of them are within the tolerance.
        tolerance: Why it is not the usual one; empty where it is 1e-4, as for float32.
        limit: Of the relative L2.
        layers: Integer activations inside that were compared one by one, each layer fed what
            the source computed before it; 0 where the source does not tell them.
    """

    probes: tuple[ParityProbe, ...]
    tolerance: str = ""
    limit: float = 1e-4
    layers: int = 0


class ParityNotChecked(Struct, frozen=True, tag="unchecked"):
    """The export was not compared.

    Attributes:
        reason: Why not: the source is ONNX already, or ``--no-check``.
    """

    reason: str
