"""A/A and a true 5 %: does the protocol call equal models equal, and a slower one slower?

Two copies of a model are measured again and again by ``measure_latencies`` in real children: of
200 short runs 185 must call them a tie. Then the model is measured beside one with 42 layers for
its 40, all alike, which is 5 % more work: of 40 short runs 38 must find it slower.
"""

import argparse
import sys
import tempfile
import time
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from onnxq.events import tell_nobody
from onnxq.isolation import ChildLimits, Workplace, open_conversation
from onnxq.measurements import TIE_LOW, SpeedRatio
from onnxq.profiling.latency import Ask, LatencyStudy, measure_latencies
from onnxq.stages import LATENCY, LatencyChildRequest

LAYERS, MORE_LAYERS = 40, 42
LEAST_TIES, LEAST_FOUND = 185 / 200, 38 / 40
SHAPE = (1, 32, 14, 14)
_LONG = 5
_LIMITS = ChildLimits(wall_s=60.0, memory_bytes=2 * 1024**3)


def conv_stack(layers: int) -> onnx.ModelProto:
    """Make a model of equal layers: a 3x3 convolution with 32 channels and a Relu."""
    generator = np.random.default_rng(0)
    nodes, weights = [], []
    for number in range(layers):
        values = generator.standard_normal((32, 32, 3, 3)).astype(np.float32) / 12
        weights.append(numpy_helper.from_array(values, f"w{number}"))
        source, target = f"x{number}", f"x{number + 1}"
        nodes += [
            helper.make_node("Conv", [source, f"w{number}"], [f"c{number}"], pads=[1] * 4),
            helper.make_node("Relu", [f"c{number}"], [target]),
        ]
    graph = helper.make_graph(
        nodes,
        "stack",
        [helper.make_tensor_value_info("x0", TensorProto.FLOAT, SHAPE)],
        [helper.make_tensor_value_info(f"x{layers}", TensorProto.FLOAT, SHAPE)],
        weights,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def write_models(folder: Path) -> dict[str, str]:
    """Write the model, its copy, the slower one, and the rows of an inference."""
    layers = {"model": LAYERS, "copy": LAYERS, "slower": MORE_LAYERS}
    for name, count in layers.items():
        onnx.save(conv_stack(count), folder / f"{name}.onnx")
    rows = np.random.default_rng(1).standard_normal(SHAPE).astype(np.float32)
    np.save(folder / "rows.npy", rows)
    return {name: str(folder / f"{name}.onnx") for name in layers}


def measure(paths: dict[str, str], other: str, seconds: float) -> tuple[SpeedRatio, LatencyStudy]:
    """Measure the model beside another one, in children of their own.

    Args:
        paths: Path by name.
        other: The other one's name.
        seconds: Wall time for it.

    Returns:
        The other one's ratio, and the study.
    """
    rows = str(Path(paths["model"]).with_name("rows.npy"))
    with tempfile.TemporaryDirectory() as folder:
        place = Workplace(Path(folder), _LIMITS, tell_nobody)

        def open_candidate(name: str) -> AbstractContextManager[Ask]:
            request = LatencyChildRequest(model=paths[name], inputs={"x0": rows}, threads=(1,))
            return open_conversation(LATENCY, request, place)

        study = measure_latencies(
            ("model", other),
            open_candidate,
            threads=(1,),
            batch_rows=1,
            budget_s=seconds,
            tell=tell_nobody,
        )
    return study.ratios("model")[other][0], study


def repeat(paths: dict[str, str], other: str, seconds: float, times: int) -> list[SpeedRatio]:
    """Measure again and again, and say how each went."""
    ratios: list[SpeedRatio] = []
    for number in range(times):
        start = time.monotonic()
        ratio, study = measure(paths, other, seconds)
        ratios.append(ratio)
        found = ratio.ratio
        print(
            f"{other} {number + 1}/{times}: {found.value:.3f}x ({found.low:.3f} to "
            f"{found.high:.3f}), {found.n} blocks, {time.monotonic() - start:.1f} s, "
            f"wall/CPU {study.busy_ratio:.2f}",
            flush=True,
        )
    return ratios


def main() -> int:
    """Print both counts beside their limits; 1 if one is broken."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ties", type=int, default=200, help="runs of the model and its copy")
    parser.add_argument("--slower", type=int, default=40, help="runs against the slower one")
    parser.add_argument("--seconds", type=float, default=4.0, help="wall time of each")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        paths = write_models(Path(folder))
        long, _ = measure(paths, "slower", _LONG * options.seconds)
        print(f"measured for long: {long.ratio.value:.3f}x of {LAYERS / MORE_LAYERS:.3f}x")
        ties = sum(r.is_tie for r in repeat(paths, "copy", options.seconds, options.ties))
        slower = repeat(paths, "slower", options.seconds, options.slower)
    found = sum(ratio.ratio.high < TIE_LOW for ratio in slower)
    print(f"ties: {ties} of {options.ties} (at least {LEAST_TIES:.1%})")
    print(f"true 5 % found: {found} of {options.slower} (at least {LEAST_FOUND:.1%})")
    return int(ties < LEAST_TIES * options.ties or found < LEAST_FOUND * options.slower)


if __name__ == "__main__":
    sys.exit(main())
