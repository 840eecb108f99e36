"""A process that runs one model on one engine, and answers turns; part of ``latency.py``.

Usage: python latency_engine.py ENGINE MODEL ROWS CALIBRATION BATCH

ENGINE is ``onnxruntime``, ``openvino``, ``torch`` or ``torch-fx``; MODEL a file (of torch: the
name of a function in nets.py); ROWS an .npz of rows to run, CALIBRATION one of rows that
``torch-fx`` calibrates on. Each line on stdin is a turn,
``{"threads", "budget_ns", "least_runs"}``, or ``{"predict": FILE}``; each line on stdout an answer.
It stands alone, for the interpreter that runs it may have nothing but its engine.
"""

import gc
import json
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

Arrays: TypeAlias = Mapping[str, Any]
Run: TypeAlias = Callable[[Arrays], Any]
WARM_UP_RUNS = 5
MOST_RUNS = 1000
TORCH_CALIBRATION_ROWS = 16
"""Each process of ``torch-fx`` calibrates anew: its files are not made to be kept."""


def main() -> None:
    """Answer until stdin ends."""
    engine, model, rows, calibration, batch = sys.argv[1:6]
    held = dict(np.load(rows))
    inputs = {name: array[: int(batch)] for name, array in held.items()}
    opened: dict[int, Run] = {}
    for line in sys.stdin:
        asked = json.loads(line)
        threads = asked.get("threads", 1)
        start = time.perf_counter_ns()
        if threads not in opened:
            opened.clear()
            opened[threads] = ENGINES[engine](model, threads, dict(np.load(calibration)))
        load_ns = time.perf_counter_ns() - start
        print(json.dumps(answer(asked, opened[threads], inputs, held, load_ns)), flush=True)


def answer(
    asked: Mapping[str, Any], run: Run, inputs: Arrays, held: Arrays, load_ns: int
) -> dict[str, object]:
    """Run a turn, or predict all rows one by one into a file."""
    if "predict" in asked:
        rows = range(_count(held))
        outputs = [run({name: a[row : row + 1] for name, a in held.items()}) for row in rows]
        np.save(asked["predict"], np.concatenate(outputs))
        return {}
    for _ in range(0 if asked["least_runs"] else WARM_UP_RUNS):
        run(inputs)
    wall, cpu = time_runs(lambda: run(inputs), asked)
    return {"wall_ns": wall, "cpu_ns": cpu, "load_ns": load_ns, "peak_bytes": peak_bytes()}


def time_runs(run: Callable[[], object], turn: Mapping[str, int]) -> tuple[list[int], list[int]]:
    """Time runs as onnxq's own turns do: the first is dropped; thread CPU time at one thread."""
    wall: list[int] = []
    cpu: list[int] = []
    if not turn["least_runs"]:
        return wall, cpu
    clock = time.thread_time_ns if turn["threads"] == 1 else time.process_time_ns
    gc.disable()
    end = time.perf_counter_ns() + turn["budget_ns"]
    while len(wall) <= turn["least_runs"] or (
        time.perf_counter_ns() < end and len(wall) <= MOST_RUNS
    ):
        cpu_start, start = clock(), time.perf_counter_ns()
        run()
        stop = time.perf_counter_ns()
        cpu.append(clock() - cpu_start)
        wall.append(stop - start)
    gc.enable()
    return wall[1:], cpu[1:]


def peak_bytes() -> int:
    """Return the peak resident size of this process."""
    status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
    line = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024


def open_onnxruntime(model: str, threads: int, rows: Arrays) -> Run:  # noqa: ARG001 - one signature
    """Open a file on onnxruntime's CPU provider, as it comes."""
    import onnxruntime  # noqa: PLC0415 - one engine a process

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    if threads > 1:  # idle threads of others must not steal this one's core
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    return lambda inputs: session.run(None, dict(inputs))[0]


def open_openvino(model: str, threads: int, rows: Arrays) -> Run:  # noqa: ARG001 - one signature
    """Open a file on OpenVINO's CPU plugin, in float32 where it computes in float."""
    import openvino  # noqa: PLC0415 - one engine a process

    settings = {
        "INFERENCE_PRECISION_HINT": "f32",
        "INFERENCE_NUM_THREADS": threads,
        "NUM_STREAMS": 1,
    }
    compiled = openvino.Core().compile_model(model, "CPU", settings)
    request = compiled.create_infer_request()
    return lambda inputs: request.infer(dict(inputs))[compiled.output(0)]


def open_torch(model: str, threads: int, rows: Arrays) -> Run:  # noqa: ARG001 - one signature
    """Make a module, and run it as PyTorch does by itself."""
    return _run_module(_module(model), threads)


def open_torch_fx(model: str, threads: int, rows: Arrays) -> Run:
    """Quantize a module by PyTorch's FX mode for its x86 engine, and run it."""
    import torch  # noqa: PLC0415 - one engine a process
    from torch.ao.quantization import get_default_qconfig_mapping  # noqa: PLC0415
    from torch.ao.quantization.quantize_fx import convert_fx, prepare_fx  # noqa: PLC0415

    torch.backends.quantized.engine = "x86"
    example = tuple(torch.from_numpy(array[:1]) for array in rows.values())
    prepared = prepare_fx(_module(model), get_default_qconfig_mapping("x86"), example)
    with torch.inference_mode():
        for row in range(TORCH_CALIBRATION_ROWS):
            prepared(*(torch.from_numpy(array[row : row + 1]) for array in rows.values()))
    return _run_module(convert_fx(prepared), threads)


def _module(name: str) -> Any:  # noqa: ANN401 - torch is imported late
    sys.path.insert(0, str(Path(__file__).parent))
    import nets  # noqa: PLC0415 - torch alone

    return getattr(nets, name)()


def _run_module(module: Any, threads: int) -> Run:  # noqa: ANN401 - torch is imported late
    import torch  # noqa: PLC0415 - one engine a process

    torch.set_num_threads(threads)

    def run(inputs: Arrays) -> object:
        with torch.inference_mode():
            return module(*(torch.from_numpy(array) for array in inputs.values())).numpy()

    return run


def _count(rows: Arrays) -> int:
    return len(next(iter(rows.values())))


ENGINES: dict[str, Callable[[str, int, Arrays], Run]] = {
    "onnxruntime": open_onnxruntime,
    "openvino": open_openvino,
    "torch": open_torch,
    "torch-fx": open_torch_fx,
}

if __name__ == "__main__":
    main()
