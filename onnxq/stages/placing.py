"""Which nodes of a quantized model had better stay float, by their times."""

from msgspec import Struct

from onnxq.integer_tensors import IntegerTensor
from onnxq.models import OnnxModel
from onnxq.scopes import EVERYTHING, QuantizationScope
from onnxq.stages.stage import Stage


class PlaceRequest(Struct, frozen=True, kw_only=True):
    """Find out where integers are slower than float.

    Attributes:
        original: The prepared model.
        quantized: What a static recipe made of it.
        ranges: Path of the ranges that it was made with.
        inputs: Path of an ``.npy`` array by input name: the rows of one inference.
        seconds: Wall time for profiling both models in turns.
        scope: Of the recipe.
        io: Integer inputs and outputs of the quantized model.
    """

    original: OnnxModel
    quantized: OnnxModel
    ranges: str
    inputs: dict[str, str]
    seconds: float
    scope: QuantizationScope = EVERYTHING
    io: tuple[IntegerTensor, ...] = ()


class FloatRegion(Struct, frozen=True, kw_only=True):
    """Connected nodes that are faster as float ones.

    Attributes:
        nodes: Their names, in the order of the graph, by first output.
        float_ns: What they take as float nodes.
        integer_ns: What they take as integers, crossings not counted.
    """

    nodes: dict[str, str]
    float_ns: float
    integer_ns: float


class NodePlacement(Struct, frozen=True, kw_only=True):
    """A choice of nodes that stay float.

    Attributes:
        regions: The nodes.
        gain: How many times faster than without them the model is reckoned to be.
    """

    regions: tuple[FloatRegion, ...]
    gain: float

    @property
    def slow(self) -> dict[str, str]:
        """Reason of each node to stay float, by first output."""
        return {node: reason_of(region) for region in self.regions for node in region.nodes}


class PlaceResult(Struct, frozen=True, kw_only=True):
    """Choices that are worth being tried.

    Attributes:
        placements: The one that is reckoned to be the fastest first; each differs from the others.
        is_float_faster: Whether the reckoning ends with nothing left to be integer.
        gemm_share: Share of QGemm in the kernel time of the quantized model.
    """

    placements: tuple[NodePlacement, ...]
    is_float_faster: bool = False
    gemm_share: float = 0.0


def reason_of(region: FloatRegion) -> str:
    """Say why the nodes of a region stay float, without a full stop."""
    integer_ms, float_ms = region.integer_ns / 1e6, region.float_ns / 1e6
    return f"its region takes {integer_ms:.3f} ms as integers and {float_ms:.3f} ms as float here"


PLACE = Stage("place nodes", "onnxq.profiling.placing:place", PlaceRequest, PlaceResult)
