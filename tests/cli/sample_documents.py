"""Made-up documents of the verbs beside run. No figure here was measured on anything."""

from msgspec.structs import replace
from sample_reports import (
    DATA,
    DYNAMIC,
    DYNAMIC_TIMES,
    EFFORT,
    ENVIRONMENT,
    FP32,
    FP32_TIMES,
    INT8,
    INT8_TIMES,
    SOURCE,
    without_labels,
)

from onnxq.calibrations import CalibrationEffort, ConvergencePoint, Shard
from onnxq.documents import (
    Built,
    CalibratedSet,
    Calibration,
    Conversion,
    NotProfiled,
    Plan,
    PlannedRecipe,
    PlannedStep,
    Profile,
    Profiled,
    Quantization,
    Repair,
    Unavailable,
)
from onnxq.findings import Finding
from onnxq.measurements import OperatorTime, Quality, SpeedRatio
from onnxq.ranges import TensorRange
from onnxq.recipe_facts import RecipeFacts, describe_recipe
from onnxq.recipe_kinds import ALIASES
from onnxq.reports import (
    DataFacts,
    Failed,
    Measured,
    NoData,
    NotApplicable,
    ParityNotChecked,
    Skipped,
    Unusable,
)
from onnxq.stages.repairing import KernelCount, RepairStep

CREATED = "2026-11-21T07:00:00Z"
STATIC = "static-uint8-int8-perchannel-mse"


def conversion() -> Conversion:
    return Conversion(
        onnxq="0.1.0",
        created=CREATED,
        command=("onnxq", "convert", "resnet18.py:build", "--weights", "w.pth"),
        source=SOURCE,
        artefact=replace(FP32.artefact, file="resnet18.onnx"),
        out="/data/onnxq-out",
        findings=(Finding(code="OQ153", subject="x", message="the batch axis is fixed at 1"),),
        seconds={"convert": 9.1, "check artefact": 0.4},
        sandbox="landlock, rlimits",
    )


def unchecked_conversion() -> Conversion:
    source = replace(SOURCE, parity=ParityNotChecked(reason="--no-check"))
    return replace(conversion(), source=source, findings=())


CALIBRATION = DataFacts(
    spec="",
    calibration_spec="train.npz",
    preprocess="",
    evaluation_rows=0,
    calibration_rows=256,
    labelled=False,
    seed=0,
)
LEFT = {
    "/avgpool/ReduceMean": "no integer kernel",
    "/head/Softmax": "no integer kernel",
    "/fc/Gemm": "--keep-float fc*: the user asked for it, and so its neighbours stay as they are",
}


STOPPED_EARLY = replace(
    EFFORT,
    given_rows=2000,
    tensors=14,
    stride=8,
    convergence=(
        ConvergencePoint(rows=32, gap_db=1.31),
        ConvergencePoint(rows=64, gap_db=0.42),
        ConvergencePoint(rows=128, gap_db=0.04),
    ),
)


def calibration() -> Calibration:
    """Three recipes of which two share their ranges, and more tensors than are shown."""
    spans = {
        f"/layer{place // 4 + 1}/conv{place % 4 + 1}/Conv_output_0": TensorRange(
            low=-0.125 * place, high=float(f"{1.37 * place:.3g}")
        )
        for place in range(14)
    }
    narrow = {name: TensorRange(0.9 * one.low, 0.9 * one.high) for name, one in spans.items()}
    narrow.pop("/layer4/conv2/Conv_output_0")
    return Calibration(
        onnxq="0.1.0",
        created=CREATED,
        command=("onnxq", "calibrate", "resnet18.onnx", "--calib", "train.npz", "-r", "int8"),
        source=replace(SOURCE, given="resnet18.onnx", framework="onnx", exporter=""),
        data=CALIBRATION,
        effort=replace(EFFORT, tensors=14),
        shard=Shard(),
        sets=(
            CalibratedSet(
                alias="int8", recipe=STATIC, key="auto", ranges=spans, kept_float=("/head/Mul",)
            ),
            CalibratedSet(
                alias="int8-int8", recipe="static-a", key="auto", ranges=spans, kept_float=()
            ),
            CalibratedSet(
                alias="int8-mse", recipe="static-b", key="mse", ranges=narrow, kept_float=()
            ),
        ),
        out="/data/onnxq-out",
        findings=(
            Finding(
                code="OQ143",
                subject="/layer1/conv1/Conv_output_0",
                message="it is not finite on row 17 of train.npz, which was left out",
                severity="warning",
                fix="look at row 17",
            ),
        ),
        seconds={"convert": 0.4, "load rows": 1.2, "prepare": 0.8, "calibrate": 14.1},
        sandbox="landlock, rlimits",
        files={"resnet18.ranges.json": "0" * 64, "resnet18.statistics": "0" * 64},
    )


def shard_calibration() -> Calibration:
    """The second of four parts: no ranges are chosen from it."""
    return replace(
        calibration(),
        command=("onnxq", "calibrate", "m.onnx", "--calib", "train.npz", "--shard", "2/4"),
        effort=replace(EFFORT, rows=64, tensors=14),
        shard=Shard(number=2, total=4),
        sets=(),
        findings=(),
        files={"resnet18.2of4.statistics": "0" * 64},
    )


def merged_calibration() -> Calibration:
    return replace(
        calibration(),
        command=("onnxq", "merge", "resnet18.onnx", "a/r.1of2.statistics", "b/r.2of2.statistics"),
        data=NoData(),
        effort=CalibrationEffort(origin="merged", rows=512, given_rows=512, tensors=14),
        sets=calibration().sets[:1],
        findings=(),
        seconds={"prepare": 0.8, "calibrate": 0.6},
    )


def quantization() -> Quantization:
    return Quantization(
        onnxq="0.1.0",
        created=CREATED,
        command=("onnxq", "quantize", "resnet18.onnx", "--calib", "train.npz", "-r", "int8"),
        source=replace(SOURCE, given="resnet18.onnx", framework="onnx", exporter=""),
        data=CALIBRATION,
        float_size=FP32.artefact.size,
        variants=(
            Built(
                alias="int8",
                recipe=STATIC,
                artefact=replace(INT8.artefact, left_float=LEFT, quantized_nodes=18),
                size_ratio=3.966,
                seconds=6.3,
            ),
            Built(
                alias="int4-weights",
                recipe="weights-int4-block32",
                artefact=replace(
                    DYNAMIC.artefact, file="resnet18.int4-weights.onnx", min_runtime="1.23"
                ),
                size_ratio=3.81,
                seconds=1.2,
            ),
            Skipped(alias="int8-a", recipe="static-a", reason="needs rows: add --calib"),
            NotApplicable(alias="int8-b", recipe="static-b", reason="no node can be quantized"),
            Unusable(alias="int8-c", recipe="static-c", reason="its outputs are constant"),
            Failed(
                alias="static-uint8-int8-pertensor-minmax",
                recipe="static-uint8-int8-pertensor-minmax",
                code="OQ171",
                reason="the quantizer stopped at node /layer4/Conv: scale is zero",
                hint="Leave the recipe out.",
            ),
        ),
        out="onnxq-out",
        findings=(
            Finding(code="OQ145", subject="int8", message="an activation is constant"),
            Finding(code="OQ116", subject="graph", message="two nodes were rewritten"),
        ),
        seconds={"prepare": 0.8, "calibrate": 4.0, "quantize": 3.5},
        sandbox="landlock, rlimits",
        calibration=EFFORT,
    )


def repair() -> Repair:
    """Steps of every kind: equal, not equal, and one that was not kept."""
    source = replace(
        SOURCE,
        given="modelopt.onnx",
        framework="onnx",
        exporter="",
        quantized_already="QDQ, int8 activations, float weights",
    )
    return Repair(
        onnxq="0.1.0",
        created=CREATED,
        command=("onnxq", "repair", "modelopt.onnx", "--calib", "train.npz"),
        environment=ENVIRONMENT,
        source=source,
        data=CALIBRATION,
        target="x86-vnni",
        artefact=replace(INT8.artefact, file="modelopt.repaired.onnx"),
        size_before=FP32.artefact.size,
        steps=(
            RepairStep(
                name="fold weights behind Q",
                slug="fold-weights",
                exactness="bit-exact",
                subjects=21,
                shown=("/stem/Conv", "/layer1/Conv"),
                is_equal=True,
                sqnr_db=200.0,
                unrounded_db=28.4,
                why="a float weight behind Q takes four times the room",
            ),
            RepairStep(
                name="shift activations to uint8",
                slug="shift-activations",
                exactness="bit-exact",
                subjects=42,
                shown=("/stem/Conv_output_0",),
                is_equal=False,
                is_equal_optimized=True,
                sqnr_db=52.5,
                unrounded_db=28.4,
                why="onnxruntime multiplies uint8 by int8 quickly on x86",
            ),
            RepairStep(
                name="complete output pairs of residual connections",
                slug="complete-outputs",
                exactness="approximate",
                subjects=8,
                shown=("/layer1/Add",),
                is_equal=False,
                sqnr_db=46.25,
                unrounded_db=27.9,
                note="8 ranges were taken from the rows",
            ),
            RepairStep(
                name="absorb Clip",
                slug="absorb-clip",
                exactness="bit-exact",
                subjects=2,
                shown=(),
                is_equal=False,
                sqnr_db=31.0,
                unrounded_db=22.9,
                left_out="outputs changed, and they must not",
            ),
        ),
        is_equal=False,
        sqnr_db=46.25,
        optimized_sqnr_db=41.5,
        given_optimized_sqnr_db=43.1,
        served_sqnr_db=40.9,
        served_unrounded_db_before=28.1,
        unrounded_db_before=28.4,
        unrounded_db=27.9,
        before=KernelCount(integer=0, floats=21, conversions=84),
        after=KernelCount(integer=21, floats=0, conversions=2),
        latencies_before=FP32.latencies,
        latencies_after=INT8.latencies,
        speed=INT8.speed,
        out="/data/onnxq-out",
        findings=(Finding(code="OQ153", subject="x", message="the batch axis is fixed at 1"),),
        seconds={"convert": 0.4, "repair": 9.1, "measure latency": 20.0},
        sandbox="landlock, rlimits",
        files={"modelopt.repaired.onnx": "0" * 64},
    )


def unmeasured_repair() -> Repair:
    """Steps that changed no bit, on random rows, without measuring."""
    done = repair()
    return replace(
        done,
        command=("onnxq", "repair", "modelopt.onnx", "--no-measure"),
        data=NoData(),
        steps=done.steps[:2],
        is_equal=True,
        sqnr_db=200.0,
        optimized_sqnr_db=200.0,
        unrounded_db=28.4,
        served_sqnr_db=21.2,
        given_optimized_sqnr_db=20.8,
        latencies_before=(),
        latencies_after=(),
        speed=(),
        findings=(),
    )


def unloadable_repair() -> Repair:
    """The given model could not be loaded with onnxruntime's optimizations, so was not timed."""
    return replace(
        repair(),
        given_failure="QLinearAdd: Scale and Zero-point must be a scalar",
        given_optimized_sqnr_db=0.0,
        served_sqnr_db=0.0,
        served_unrounded_db_before=0.0,
        before=KernelCount(integer=0, floats=0, conversions=0),
        latencies_before=(),
        speed=(),
    )


def profiled(
    model: str, of: Measured, times: tuple[OperatorTime, ...], provider: str = "cpu"
) -> Profiled:
    return Profiled(
        model=model,
        provider=provider,
        quantized="" if of is FP32 else "QDQ, int8 weights with a scale per channel",
        size=of.artefact.size,
        opset=18,
        min_runtime="1.17",
        sha256="0" * 64,
        quality=of.quality,
        latencies=of.latencies,
        speed=of.speed,
        operators=times,
        fallback_share=0.0 if provider == "cpu" else 0.12,
    )


def profile() -> Profile:
    return Profile(
        onnxq="0.1.0",
        created=CREATED,
        command=("onnxq", "profile", "float.onnx", "out/resnet18.int8.onnx", "--data", "images/"),
        environment=ENVIRONMENT,
        data=DATA,
        rows=(
            profiled("float.onnx", FP32, FP32_TIMES),
            profiled("out/resnet18.int8.onnx", INT8, INT8_TIMES),
            profiled("out/resnet18.int8-dynamic.onnx", DYNAMIC, DYNAMIC_TIMES),
        ),
        findings=(
            Finding(code="OQ128", subject="out/resnet18.int8.onnx", message="rows were cast"),
            Finding(
                code="OQ205",
                subject="timing",
                message="the machine was busy (load 3.3 on 2 cores)",
                severity="warning",
            ),
        ),
        seconds={"measure latency": 41.5, "judge": 7.2},
        sandbox="landlock, rlimits",
    )


def providers_profile() -> Profile:
    unlabelled = without_labels()
    qualities: dict[str, Quality] = {
        row.alias: row.quality for row in unlabelled.variants if isinstance(row, Measured)
    }
    other: tuple[SpeedRatio, ...] = INT8.speed
    return replace(
        profile(),
        command=("onnxq", "profile", "a/m.onnx", "b/m.onnx", "--provider", "cpu", "--provider",
                 "openvino", "--provider", "dnnl"),
        data=NoData(),
        rows=(
            replace(profiled("a/m.onnx", FP32, FP32_TIMES), quality=qualities["fp32"]),
            replace(
                profiled("a/m.onnx", FP32, FP32_TIMES, "openvino"),
                quality=qualities["int8"],
                speed=other,
            ),
            Unavailable(model="a/m.onnx", provider="dnnl", reason=NO_DNNL),
            replace(profiled("b/m.onnx", INT8, INT8_TIMES), quality=qualities["int8"]),
            NotProfiled(
                model="b/m.onnx",
                provider="openvino",
                code="OQ173",
                reason="the model failed while running: axis 1 of x",
                hint="Leave it out.",
            ),
            Unavailable(model="b/m.onnx", provider="dnnl", reason=NO_DNNL),
        ),
        findings=(),
    )  # fmt: skip


NO_DNNL = "this onnxruntime does not have it: no wheel has it: build onnxruntime with --use_dnnl"


def plan() -> Plan:
    return Plan(
        onnxq="0.1.0",
        verb="run",
        sources={"model.keras": "Keras 3 model"},
        evaluation_rows=1000,
        calibration_rows=256,
        detectable_drop=0.01834,
        steps=(
            PlannedStep(name="convert", subject="model.keras", seconds=20.0, basis="Keras models"),
            PlannedStep(name="load rows", subject="images/", seconds=9.2, basis="1256 images"),
            PlannedStep(name="quantize", subject="int8-dynamic", seconds=0.0, basis=""),
            PlannedStep(
                name="measure latency", subject="3 models", seconds=62.0, basis="--seconds 60"
            ),
        ),
        recipes=(
            PlannedRecipe(alias="fp32", recipe="fp32", file="model.fp32.onnx"),
            PlannedRecipe(
                alias="int8", recipe=STATIC, file="", skipped="it needs rows to calibrate on"
            ),
            PlannedRecipe(
                alias="int8-dynamic",
                recipe="dynamic-uint8-int8-perchannel",
                file="model.int8-dynamic.onnx",
            ),
        ),
        out="onnxq-out",
        files=("model.fp32.onnx", "model.int8-dynamic.onnx", "report.json", "serve.py"),
        disk_bytes=150_000_000,
        memory_bytes=1_100_000_000,
        findings=(
            Finding(
                code="OQ117",
                subject="onnxq.toml",
                message="gives --max-drop 1pp, which was not typed",
            ),
        ),
    )


def calibration_plan() -> Plan:
    """What calibrate would do, in memory that makes it take two passes."""
    return replace(
        plan(),
        verb="calibrate",
        sources={"model.onnx": "ONNX file"},
        evaluation_rows=0,
        detectable_drop=0.0,
        steps=(
            PlannedStep(name="convert", subject="model.onnx", seconds=0.5, basis="usual"),
            PlannedStep(name="load rows", subject="train.npz", seconds=0.0, basis=""),
            PlannedStep(name="prepare", subject="model.onnx", seconds=2.0, basis="usual"),
            PlannedStep(
                name="calibrate", subject="256 rows", seconds=15.2, basis="two runs of a row"
            ),
        ),
        recipes=(),
        files=("model.statistics", "model.ranges.json", "report.json"),
        findings=(),
        calibration_bytes=240_000_000,
        calibration_passes=2,
    )


def small_plan() -> Plan:
    """A plan of which little is known."""
    return replace(
        plan(),
        verb="profile",
        sources={"a.onnx": "ONNX model", "b.onnx": "ONNX model"},
        evaluation_rows=0,
        calibration_rows=0,
        detectable_drop=0.0,
        steps=(),
        recipes=(),
        out="",
        files=(),
        disk_bytes=0,
        memory_bytes=0,
        findings=(),
    )


def recipes() -> tuple[RecipeFacts, ...]:
    return tuple(map(describe_recipe, ALIASES.values()))
