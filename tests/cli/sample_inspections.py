"""Made-up findings of inspect and doctor for the tests of the renderer."""

from sample_reports import ENVIRONMENT, SOURCE

from onnxq.audits import AddedNode, Island, NotAudited, RuntimeAudit, SlowKernel
from onnxq.doctoring import Cache, Doctor, NoFile
from onnxq.file_advice import FileAdvice
from onnxq.measurements import NodeTime, Size
from onnxq.models import OnnxModel
from onnxq.packages import Package
from onnxq.rewrite_facts import RewriteFacts
from onnxq.stages import InspectResult, QuantizedTensor

WEIGHT = QuantizedTensor(
    name="layer4.1.conv2.weight",
    dtype="int8",
    role="weight",
    scheme="symmetric",
    axis=0,
    scales=512,
    scale_min=0.00012,
    scale_max=0.0043,
    zero_point_min=0,
    zero_point_max=0,
)
ACTIVATION = QuantizedTensor(
    name="/layer4/layer4.1/conv2/Conv_output_0_with_a_very_long_name_that_does_not_fit",
    dtype="uint8",
    role="activation",
    scheme="asymmetric",
    axis=-1,
    scales=1,
    scale_min=0.0213,
    scale_max=0.0213,
    zero_point_min=128,
    zero_point_max=128,
)
DYNAMIC = QuantizedTensor(
    name="x",
    dtype="uint8",
    role="activation",
    scheme="asymmetric",
    axis=-1,
    scales=0,
    scale_min=0.0,
    scale_max=0.0,
    zero_point_min=0,
    zero_point_max=0,
)
SIGNED_CONV = Island(
    place="between",
    nodes=("conv",),
    operators=("Conv",),
    reason="the activations of Conv are int8: the kernels here take uint8, and onnxruntime turns "
    "one into the other only where one node reads it",
    fix="Let onnxq rewrite it: onnxq repair FILE.",
    macs=385_500_000,
    ns=10.0e6,
)
NOT_AUDITED = NotAudited(
    reason="onnxruntime 1.31.1 cannot load resnet18.int8.onnx: [ONNXRuntimeError] : 1 : FAIL : "
    "Node (/Add) Op (QLinearAdd) [TypeInferenceError] Scale and Zero-point must be a scalar",
    fix="It may be mended:  onnxq repair models-of-others/resnet18.int8.onnx",
)
EVERYWHERE = ("x86-amx", "x86-vnni", "x86", "arm64")
REWRITES = (
    RewriteFacts(
        name="sum-before-layer-norm",
        exactness="bit-exact",
        why="it keeps onnxruntime from fusing a kernel that is slower by 310 us",
        step="preparation",
        targets=EVERYWHERE,
    ),
    RewriteFacts(
        name="fuse-attention",
        exactness="real-exact",
        why="one node for ten",
        step="preparation",
        targets=EVERYWHERE[::-1],
        is_optional=True,
    ),
    RewriteFacts(
        name="shift-activations-to-uint8",
        exactness="approximate",
        why="int8 activations leave half of the convolutions in float on x86",
        step="repair",
        targets=("x86-amx", "x86-vnni", "x86"),
    ),
)
AUDIT = RuntimeAudit(
    kernels=125,
    macs=1_814_100_000,
    integer_macs=1_043_100_000,
    ns=40.0e6,
    islands=(
        SIGNED_CONV,
        SIGNED_CONV,
        Island(
            place="end",
            nodes=("a", "b", "c", "d", "e"),
            operators=("Tanh", "Mul", "Add", "Erf", "Div"),
            reason="onnxruntime has no integer kernel for Tanh",
            fix="",
            macs=0,
            ns=3.2e6,
        ),
        Island(
            place="between",
            nodes=(),
            operators=(),
            reason="integers are only brought from one scale to another",
            fix="Let onnxq rewrite it: onnxq repair FILE.",
            macs=0,
            ns=0.8e6,
        ),
    ),
    added=(
        AddedNode(
            name="Transpose",
            operator="Transpose",
            reason="integer convolutions and pools run with the channels last",
            ns=0.4e6,
        ),
    )
    * 2,
    slow=(
        SlowKernel(
            name="head",
            operator="QGemm",
            reason="the weights of QGemm are uint8: only int8 has fast code here",
            fix="Let onnxq rewrite it: onnxq repair FILE.",
            macs=512_000,
            ns=4.0e6,
        ),
    ),
)
KERNELS = (
    NodeTime(name="x_QuantizeLinear", operator="QuantizeLinear", ns=0.1e6, arithmetic="conversion"),
    NodeTime(
        name="conv_token_1",
        operator="QLinearConv",
        ns=0.6e6,
        covers=("conv", "relu"),
        macs=115_600_000,
        arithmetic="integer",
    ),
)
INSPECTION = InspectResult(
    model=OnnxModel(
        path="model.onnx",
        signature=SOURCE.signature,
        opset=18,
        ir_version=8,
        operators={"Conv": 20, "QuantizeLinear": 29, "DequantizeLinear": 71, "Gemm": 1},
        sha256="0" * 64,
        quantized_nodes=100,
    ),
    size=Size(file_bytes=11_800_000, initializer_bytes={"int8": 11_700_000, "float32": 70_000}),
    parameters=11_690_512,
    domains=("", "com.microsoft"),
    producer="onnx.quantize 0.1.0",
    min_runtime="1.17",
    quantized=(WEIGHT, ACTIVATION, DYNAMIC, *[WEIGHT] * 40),
)

_PACKAGES = (
    Package(name="onnx", version="1.23.2", extra=""),
    Package(name="onnxruntime", version="1.31.1", extra=""),
    Package(name="torch", version="2.13.0", extra="torch"),
    Package(name="onnxscript", version="0.7.2", extra="torch"),
    Package(name="tensorflow", version="", extra="keras"),
    Package(name="keras", version="3.15.1", extra="keras"),
    Package(name="tf2onnx", version="", extra="keras"),
)
DOCTOR = Doctor(
    onnxq="0.1.0",
    environment=ENVIRONMENT,
    target="x86-64 with VNNI: int8 is fast and its sums do not saturate",
    telemetry="onnxruntime's is off in every process that onnxq starts; onnxq has none",
    packages=_PACKAGES,
    file=NoFile(),
    counting="values are counted by the compiled kernel",
    cache=Cache(folder="/home/me/.cache/onnxq", size_bytes=12_400_000),
)
DOCTOR_WITH_FILE = Doctor(
    onnxq=DOCTOR.onnxq,
    environment=DOCTOR.environment,
    target=DOCTOR.target,
    telemetry=DOCTOR.telemetry,
    packages=DOCTOR.packages,
    counting=DOCTOR.counting,
    cache=DOCTOR.cache,
    file=FileAdvice(
        path="model.keras",
        file_kind="Keras 3 model",
        supported=True,
        condition="all its layers are Keras' own, and none is a Lambda",
        extra="keras",
        missing=("tensorflow", "tf2onnx"),
        disk_bytes=1_437_000_000,
        install="pip install 'onnxq[keras]'",
        trust="data",
        trust_reason="read in Keras' safe mode: a Lambda layer, which would run code, is refused",
        advice="onnxq run model.keras --data val.npz",
    ),
)
