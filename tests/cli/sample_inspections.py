"""Made-up findings of inspect and doctor for the tests of the renderer."""

from sample_reports import ENVIRONMENT, SOURCE

from onnxq.doctoring import Cache, Doctor, NoFile
from onnxq.file_advice import FileAdvice
from onnxq.measurements import Size
from onnxq.models import OnnxModel
from onnxq.packages import Package
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
