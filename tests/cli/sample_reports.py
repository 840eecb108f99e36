"""Made-up reports for the tests of the renderer. No figure here was measured on anything."""

import msgspec

from onnxq.calibrations import CalibrationEffort
from onnxq.estimates import Estimate, exact
from onnxq.findings import Finding
from onnxq.measurements import (
    Accuracy,
    Agreement,
    Compared,
    Judged,
    Latency,
    NoClasses,
    OperatorTime,
    OutputAgreement,
    Quality,
    Size,
    SpeedRatio,
    Unjudged,
)
from onnxq.reports import (
    Artefact,
    DataFacts,
    Environment,
    Failed,
    Limits,
    Measured,
    NoData,
    NotApplicable,
    Parity,
    ParityNotChecked,
    ParityProbe,
    Report,
    Skipped,
    SourceFacts,
    Tried,
    Unusable,
    Variant,
    Verdict,
)
from onnxq.tensors import Signature, TensorSpec

ROWS = 1000
EFFORT = CalibrationEffort(
    origin="computed",
    rows=256,
    given_rows=256,
    tensors=64,
    passes=1,
    cap_bytes=11_000_000_000,
    predicted_peak_bytes=240_000_000,
    peak_bytes=212_300_000,
    predicted_seconds=15.2,
    seconds=14.1,
    cpu_seconds=27.1,
)


def estimate(value: float, half: float, n: int = ROWS, method: str = "sample-95") -> Estimate:
    return Estimate(value, value - half, value + half, n, method)


def latency(cpu_ms: float, threads: int) -> Latency:
    wall_ms = cpu_ms * 1.02 / (1 if threads == 1 else 1.7)
    return Latency(
        threads=threads,
        batch_rows=1,
        cpu_ns=estimate(cpu_ms * 1e6, cpu_ms * 1e4, 40),
        wall_ns=estimate(wall_ms * 1e6, wall_ms * 2e4, 40),
        wall_p90_ns=wall_ms * 1.05e6,
        wall_p99_ns=wall_ms * 1.2e6,
        load_ns=2.1e8,
        peak_bytes=180_000_000,
    )


def speeds(ratio: float, half: float) -> tuple[SpeedRatio, ...]:
    wall = estimate(ratio * 0.9, half * 2, 12)
    one = estimate(ratio, half, 12)
    return (
        SpeedRatio(threads=1, clock="cpu", ratio=one, wall_ratio=estimate(ratio, half * 2, 12)),
        SpeedRatio(threads=2, clock="wall", ratio=wall, wall_ratio=wall),
    )


def agreement(same: float, sqnr_db: float) -> Agreement:
    output = OutputAgreement(
        output="logits",
        sqnr_db=sqnr_db,
        cosine=0.999,
        mean_abs_difference=0.02,
        max_abs_difference=0.31,
    )
    return Agreement(rows=ROWS, same_top1=estimate(same, 0.005), outputs=(output,))


def judged(top1: float, drop: Estimate, same: float, sqnr_db: float) -> Judged:
    accuracy = Accuracy(
        metric="top1",
        higher_is_better=True,
        value=estimate(top1, 0.028),
        drop=drop,
        discordant_rows=round(ROWS * (1 - same)),
        scale="rate",
    )
    return Judged(accuracy=accuracy, agreement=agreement(same, sqnr_db))


def operators(*times: tuple[str, int, float]) -> tuple[OperatorTime, ...]:
    total = sum(ms for _, _, ms in times)
    return tuple(
        OperatorTime(operator=name, count=count, ns=ms * 1e6, share=ms / total)
        for name, count, ms in times
    )


def measured(  # noqa: PLR0913, PLR0917 - one argument a cell of the table
    alias: str,
    recipe: str,
    size_bytes: int,
    cpu_ms: float,
    quality: Quality,
    speed: tuple[SpeedRatio, ...] = (),
    times: tuple[OperatorTime, ...] = (),
    nodes: tuple[int, int] = (0, 0),
    left_float: dict[str, str] | None = None,
) -> Measured:
    return Measured(
        alias=alias,
        recipe=recipe,
        artefact=Artefact(
            file=f"resnet18.{alias}.onnx",
            sha256="0" * 64,
            size=Size(file_bytes=size_bytes, initializer_bytes={"float32": size_bytes}),
            opset=18,
            ir_version=8,
            min_runtime="1.17",
            quantized_nodes=nodes[0],
            quantizable_nodes=nodes[1],
            left_float=left_float or {},
        ),
        quality=quality,
        latencies=(latency(cpu_ms, 1), latency(cpu_ms, 2)),
        speed=speed,
        speed_over_given=speed or speeds(1.0, 0.004),
        operators=times,
        seconds=4.2,
    )


FP32_TIMES = operators(
    ("FusedConv", 20, 22.9), ("FusedGemm", 1, 0.42), ("MaxPool", 1, 0.38), ("Add", 8, 0.29)
)
INT8_TIMES = operators(
    ("QLinearConv", 20, 9.1),
    ("QGemm", 1, 0.14),
    ("NhwcMaxPool", 1, 0.21),
    ("QLinearAdd", 8, 0.42),
    ("QuantizeLinear", 1, 0.21),
    ("DequantizeLinear", 1, 0.1),
    ("Flatten", 1, 0.01),
    ("ReduceMean", 1, 0.06),
)
DYNAMIC_TIMES = operators(
    ("ConvInteger", 20, 35.1),
    ("DynamicQuantizeLinear", 20, 1.9),
    ("Mul", 40, 1.2),
    ("MaxPool", 1, 0.4),
)

ENVIRONMENT = Environment(
    cpu="AMD EPYC 9B14",
    isa=("avx2", "avx512_vnni"),
    cores=2,
    system="Linux x86_64",
    python="3.11.7",
    packages={"onnx": "1.23.2", "onnxruntime": "1.31.1", "numpy": "2.4.6"},
    load=0.4,
    busy_ratio=1.01,
)

SOURCE = SourceFacts(
    given="resnet18.py:build",
    framework="torch",
    exporter="torch.onnx 2.13.0",
    signature=Signature(
        inputs=(TensorSpec("x", "float32", ("N", 3, 224, 224)),),
        outputs=(TensorSpec("logits", "float32", ("N", 1000)),),
    ),
    opset=18,
    sha256="1" * 64,
    parity=Parity(
        probes=tuple(
            ParityProbe(
                output="logits",
                batch_rows=rows,
                inputs=inputs,
                max_abs_difference=2.1e-6,
                relative_l2=4e-7,
            )
            for rows in (1, 3)
            for inputs in ("rows", "negated", "scaled")
        )
    ),
)

DATA = DataFacts(
    spec="images/",
    calibration_spec="",
    preprocess="order=rgb,size=256,crop=224,scale=255,mean=0.485:0.456:0.406,std=0.229:0.224:0.225",
    evaluation_rows=ROWS,
    calibration_rows=256,
    labelled=True,
    seed=0,
)

FP32 = measured(
    "fp32",
    "fp32",
    46_800_000,
    24.1,
    judged(0.698, exact(0.0), 1.0, 200.0),
    times=FP32_TIMES,
)
INT8 = measured(
    "int8",
    "static-uint8-int8-perchannel-mse",
    11_800_000,
    10.4,
    judged(0.697, Estimate(0.001, -0.0031, 0.0052, ROWS, "tango-95"), 0.982, 27.4),
    speed=speeds(2.31, 0.04),
    times=INT8_TIMES,
    nodes=(20, 21),
    left_float={"/avgpool/ReduceMean": "no integer kernel"},
)
INT8_MINMAX = measured(
    "int8-minmax",
    "static-uint8-int8-perchannel-minmax",
    11_800_000,
    10.5,
    judged(0.679, Estimate(0.019, 0.0121, 0.0263, ROWS, "tango-95"), 0.941, 21.0),
    speed=speeds(2.29, 0.04),
    times=INT8_TIMES,
    nodes=(20, 21),
)
DYNAMIC = measured(
    "int8-dynamic",
    "dynamic-uint8-int8-perchannel",
    11_800_000,
    38.6,
    judged(0.696, Estimate(0.002, -0.003, 0.0074, ROWS, "tango-95"), 0.991, 33.2),
    speed=speeds(0.62, 0.02),
    times=DYNAMIC_TIMES,
    nodes=(21, 21),
)

FINDINGS = (
    Finding(
        code="OQ205",
        subject="timing",
        message="wall time was 1.21 times CPU time: the machine was busy (load 3.3 on 2 cores)",
        fix="run again on a quieter machine, or with --seconds 60",
        severity="warning",
    ),
    Finding(
        code="OQ128",
        subject="x",
        message="uint8 rows were cast to float32",
    ),
)

SHIP = Verdict(
    kind="ship",
    alias="int8",
    sentence="Ship int8 on this CPU: 2.31\u00d7 less CPU per inference (1 thread, batch 1), "
    "2.08\u00d7 faster at 2 threads, 3.97\u00d7 smaller, top-1 \u22120.10 pp.",
    detail="The 95% interval is \u22120.52 to +0.31 pp, inside the default limit of 1 pp.",
    candidates=3,
    limits_met=True,
)


def report(
    variants: tuple[Variant, ...] = (FP32, INT8, INT8_MINMAX, DYNAMIC),
    verdict: Verdict = SHIP,
    data: DataFacts | NoData = DATA,
    findings: tuple[Finding, ...] = FINDINGS,
    source: SourceFacts = SOURCE,
    limits: Limits = Limits(),  # noqa: B008 - a frozen value
    *,
    interrupted: bool = False,
) -> Report:
    return Report(
        onnxq="0.1.0",
        created="2026-11-21T07:00:00Z",
        command=("onnxq", "run", "resnet18.py:build", "--data", "images/", "-r", "int8"),
        environment=ENVIRONMENT,
        source=source,
        data=data,
        variants=variants,
        reference="fp32",
        given_latencies=(latency(24.6, 1), latency(24.6, 2)),
        findings=findings,
        limits=limits,
        verdict=verdict,
        seconds={"convert": 9.1, "calibrate": 4.0, "measure latency": 41.5, "judge": 7.2},
        work_seconds=66.4,
        sandbox="landlock, rlimits",
        interrupted=interrupted,
    )


OTHERS: tuple[Variant, ...] = (
    Skipped(alias="int8-a", recipe="static-a", reason="it needs rows to calibrate on: add --data"),
    Tried(
        alias="int8-partial",
        recipe="static-uint8-int8-perchannel-mse-partial",
        reason="0.85x the speed of fp32 in a short measurement, no faster, or hardly, than fp32",
        speed_ratio=0.85,
    ),
    NotApplicable(alias="int8-b", recipe="static-b", reason="no node can be quantized"),
    Unusable(alias="int8-c", recipe="static-c", reason="its outputs are constant on 1000 rows"),
    Failed(
        alias="static-uint8-int8-pertensor-minmax",
        recipe="static-uint8-int8-pertensor-minmax",
        code="OQ171",
        reason="the quantizer stopped at node /layer4/Conv: scale is zero",
        hint="Run again with -v, or leave the recipe out.",
    ),
)


def shipping() -> Report:
    return msgspec.structs.replace(report(), calibration=EFFORT)


def every_state() -> Report:
    tie = measured(
        "int8",
        "static-uint8-int8-perchannel-mse",
        11_800_000,
        24.2,
        INT8.quality,
        speed=speeds(0.996, 0.03),
        times=INT8_TIMES,
        nodes=(20, 21),
    )
    verdict = Verdict(
        kind="keep_fp32",
        alias="",
        sentence="Keep fp32: no recipe is faster here.",
        detail="",
        candidates=2,
        limits_met=False,
    )
    limits = Limits(max_drop_given=True)
    return report(variants=(FP32, tie, DYNAMIC, *OTHERS), verdict=verdict, limits=limits)


def without_labels() -> Report:
    def unlabelled(variant: Measured, same: float, sqnr_db: float) -> Measured:
        return Measured(
            alias=variant.alias,
            recipe=variant.recipe,
            artefact=variant.artefact,
            quality=Compared(agreement=agreement(same, sqnr_db)),
            latencies=variant.latencies,
            speed=variant.speed,
            speed_over_given=variant.speed_over_given,
            operators=variant.operators,
            seconds=variant.seconds,
        )

    data = DataFacts(
        spec="images/",
        calibration_spec="other/",
        preprocess="",
        evaluation_rows=500,
        calibration_rows=256,
        labelled=False,
        seed=0,
    )
    verdict = Verdict(
        kind="no_labels",
        alias="int8",
        sentence="Fastest is int8: 2.31\u00d7 less CPU per inference, same top-1 on 98.2% of rows.",
        detail="Without labels nothing can be said about what that costs.",
        candidates=2,
        limits_met=True,
    )
    variants = (
        unlabelled(FP32, 1.0, 200.0),
        unlabelled(INT8, 0.982, 27.4),
        unlabelled(DYNAMIC, 0.991, 33.2),
    )
    return report(variants=variants, verdict=verdict, data=data)


def without_data() -> Report:
    def bare(variant: Measured) -> Measured:
        return Measured(
            alias=variant.alias,
            recipe=variant.recipe,
            artefact=variant.artefact,
            quality=Unjudged(),
            latencies=variant.latencies,
            speed=variant.speed,
            speed_over_given=variant.speed_over_given,
            operators=variant.operators,
            seconds=variant.seconds,
        )

    verdict = Verdict(
        kind="keep_fp32",
        alias="",
        sentence="Keep fp32: no recipe is faster here.",
        detail="int8 was skipped: it needs rows to calibrate on.",
        candidates=1,
        limits_met=True,
    )
    skipped = Skipped(
        alias="int8",
        recipe="static-uint8-int8-perchannel-mse",
        reason="it needs rows to calibrate on: add --data val.npz",
    )
    source = SourceFacts(
        given="resnet18.onnx",
        framework="onnx",
        exporter="",
        signature=SOURCE.signature,
        opset=18,
        sha256=SOURCE.sha256,
        parity=ParityNotChecked(reason="it is ONNX already"),
    )
    return report((bare(FP32), skipped, bare(DYNAMIC)), verdict, NoData(), (), source)


def regression() -> Report:
    def mse(value: float, drop: Estimate) -> Judged:
        return Judged(
            accuracy=Accuracy(
                metric="mse",
                higher_is_better=False,
                value=estimate(value, value / 20),
                drop=drop,
                discordant_rows=ROWS,
            ),
            agreement=Agreement(
                rows=ROWS, same_top1=NoClasses(), outputs=agreement(1, 31.0).outputs
            ),
        )

    fp32 = measured("fp32", "fp32", 81_200, 0.286, mse(0.0417, exact(0.0)), times=FP32_TIMES)
    int8 = measured(
        "int8",
        "static-uint8-int8-perchannel-mse",
        24_100,
        0.11,
        mse(0.0431, Estimate(0.0014, -0.0003, 0.0031, ROWS, "bootstrap-95")),
        speed=speeds(2.6, 0.05),
        times=INT8_TIMES,
        nodes=(4, 4),
    )
    verdict = Verdict(
        kind="cannot_tell",
        alias="int8",
        sentence="Cannot tell: the interval crosses your limit; about 2600 more rows would settle "
        "it.",
        detail="At --max-drop 0.0031mse int8 would ship.",
        candidates=1,
        limits_met=False,
    )
    limits = Limits(max_drop=0.002, max_drop_given=True)
    return report((fp32, int8), verdict, findings=(), limits=limits)


def interrupted() -> Report:
    untimed = tuple(
        Measured(
            alias=variant.alias,
            recipe=variant.recipe,
            artefact=variant.artefact,
            quality=variant.quality,
            latencies=(),
            speed=(),
            speed_over_given=(),
            operators=(),
            seconds=variant.seconds,
        )
        for variant in (FP32, INT8, DYNAMIC)
    )
    return report(variants=untimed, findings=(), interrupted=True)


SAMPLES = {
    "shipping": shipping,
    "every_state": every_state,
    "without_labels": without_labels,
    "without_data": without_data,
    "regression": regression,
    "interrupted": interrupted,
}
