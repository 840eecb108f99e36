"""The models of the matrix of sources, as data: where each lies, and what it takes and returns.

Nothing here loads a framework: the scripts that make files and the one that converts them share
this table.
"""

import os
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SHARED = Path(os.environ.get("ONNXQ_SHARED", ROOT.parent / "shared")).resolve()
ACCEPTANCE = "scripts/acceptance"
ORACLE_ROWS = 5
"""Rows of the batch that oracles are computed on; onnxq itself compares other batches."""


@dataclass(frozen=True, kw_only=True)
class Tensor:
    """One input.

    Attributes:
        name: Its name in the source.
        shape: Of one row.
        dtype: ``float32`` or ``int64``.
        least: Smallest value of random rows.
        most: Largest value; of integers the largest that is drawn.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str = "float32"
    least: float = 0.0
    most: float = 1.0

    @property
    def declaration(self) -> str:
        """What ``--input`` says of it."""
        shape = "x".join(map(str, ("N", *self.shape)))
        if self.dtype == "float32":
            return f"{self.name}:{shape}"
        return f"{self.name}:{shape}:{self.dtype}:{int(self.least)}..{int(self.most)}"


@dataclass(frozen=True, kw_only=True)
class Model:
    """A model of the matrix.

    Attributes:
        key: What its files are called.
        factory: The function that builds it, ``file.py:fn``.
        inputs: In the source's order.
        outputs: Names in the source's order, as the source's kind names them.
        file: Its trained weights, or the whole Keras model; empty for a definition alone.
        is_whole: Whether only its natural kind is tried: a large definition, or others' file.
        oracle_rows: Rows that its oracle is computed on.
        tflite_rows: Rows of the batch of its TFLite file; 0 is free. TFLite's converter refuses
            the lists of recurrent layers where the batch is free.
    """

    key: str
    factory: str
    inputs: tuple[Tensor, ...]
    outputs: tuple[str, ...] = ("output",)
    file: str = ""
    is_whole: bool = False
    oracle_rows: int = ORACLE_ROWS
    tflite_rows: int = 0

    @property
    def factory_file(self) -> Path:
        """The file that holds the factory."""
        return ROOT / self.factory.split(":")[0]

    @property
    def function(self) -> str:
        """The factory's name in it."""
        return self.factory.split(":")[1]


_IMAGE = Tensor(name="image", shape=(28, 28))
_PIXELS = Tensor(name="image", shape=(3, 224, 224), least=-2.0, most=2.0)
_CIFAR = Tensor(name="image", shape=(3, 32, 32), least=-2.0, most=2.0)
_FACES = Tensor(name="image", shape=(3, 240, 320), least=-1.0)
_TOKENS = Tensor(name="tokens", shape=(32,), dtype="int64", most=2047)
_TOWERS = (
    Tensor(name="zeta", shape=(16,), least=-1.0),
    Tensor(name="alpha", shape=(12, 12, 3), least=-1.0),
)

KERAS_MODELS: tuple[Model, ...] = (
    Model(
        key="mnist_tutorial",
        factory="models/mnist_tutorial_keras/mnist_tutorial.py:build",
        inputs=(_IMAGE,),
        outputs=("logits",),
        file="models/mnist_tutorial_keras/mnist_tutorial.keras",
    ),
    Model(
        key="mnist_cnn",
        factory="models/mnist_cnn_keras/mnist_cnn.py:build",
        inputs=(_IMAGE,),
        outputs=("logits",),
        file="models/mnist_cnn_keras/mnist_cnn.keras",
    ),
    Model(
        key="mnist_autoencoder",
        factory="models/mnist_autoencoder_keras/mnist_autoencoder.py:build",
        inputs=(_IMAGE,),
        outputs=("restored",),
        file="models/mnist_autoencoder_keras/mnist_autoencoder.keras",
    ),
    Model(
        key="banking77_gru",
        factory="models/banking77_gru_keras/banking77_gru.py:build",
        inputs=(_TOKENS,),
        outputs=("logits",),
        file="models/banking77_gru_keras/banking77_gru.keras",
        tflite_rows=1,
    ),
    Model(
        key="towers",
        factory=f"{ACCEPTANCE}/keras_nets.py:towers",
        inputs=_TOWERS,
        outputs=("score", "again"),
    ),
    Model(
        key="attention",
        factory=f"{ACCEPTANCE}/keras_nets.py:attention",
        inputs=(Tensor(name="sequence", shape=(10, 16), least=-1.0),),
        outputs=("scores",),
        tflite_rows=1,
    ),
    Model(
        key="mobilenet_v2",
        factory="models/applications_keras/nets.py:mobilenet_v2",
        inputs=(Tensor(name="input", shape=(224, 224, 3), least=-1.0),),
        outputs=("predictions",),
        is_whole=True,
        oracle_rows=2,
    ),
    Model(
        key="keras_resnet50",
        factory="models/applications_keras/nets.py:resnet50",
        inputs=(Tensor(name="input", shape=(224, 224, 3), least=-1.0),),
        outputs=("predictions",),
        is_whole=True,
        oracle_rows=2,
    ),
)

_RESNETS = "models/pytorch_cifar_resnet"
_CIFAR_WEIGHTS = {20: "12fca82f", 32: "d509ac18", 56: "4bfd9763"}

TORCH_MODELS: tuple[Model, ...] = (
    Model(
        key="mnist_mlp",
        factory="models/mnist_mlp_torch/net.py:build",
        inputs=(_IMAGE,),
        file="models/mnist_mlp_torch/weights.pt",
    ),
    Model(
        key="digits_resnet",
        factory="models/digits_resnet_torch/net.py:build",
        inputs=(Tensor(name="image", shape=(1, 28, 28)),),
        file="models/digits_resnet_torch/weights.pt",
    ),
    Model(
        key="banking77_encoder",
        factory="models/banking77_encoder_torch/net.py:build",
        inputs=(_TOKENS,),
        file="models/banking77_encoder_torch/weights.pt",
    ),
    Model(
        key="sst2_lstm",
        factory="models/sst2_lstm_torch/net.py:build",
        inputs=(Tensor(name="tokens", shape=(32,), dtype="int64", most=4095),),
        file="models/sst2_lstm_torch/weights.pt",
    ),
    *(
        Model(
            key=f"resnet{depth}",
            factory=f"{ACCEPTANCE}/nets.py:resnet{depth}",
            inputs=(_CIFAR,),
            file=str(SHARED / _RESNETS / f"resnet{depth}-{digest}.th"),
            is_whole=depth > min(_CIFAR_WEIGHTS),
        )
        for depth, digest in _CIFAR_WEIGHTS.items()
    ),
    Model(
        key="squeezenet",
        factory=f"{ACCEPTANCE}/nets.py:squeezenet1_0",
        inputs=(Tensor(name="image", shape=(3, 227, 227), least=-120.0, most=120.0),),
        file=str(
            SHARED
            / "models/pytorch_squeezenet_deepcomp/squeezenet1_0_deepcomp_torchvision_names.pth"
        ),
        is_whole=True,
        oracle_rows=2,
    ),
    *(
        Model(
            key=f"ultraface_{size}",
            factory=f"{ACCEPTANCE}/ultraface_nets.py:{size}",
            inputs=(_FACES,),
            outputs=("scores", "boxes"),
            file=str(SHARED / f"models/ultraface/version-{spelling}-320.pth"),
            is_whole=True,
            oracle_rows=2,
        )
        for size, spelling in (("rfb", "RFB"), ("slim", "slim"))
    ),
    Model(
        key="torch_towers",
        factory=f"{ACCEPTANCE}/nets.py:towers",
        inputs=(_TOWERS[0], Tensor(name="alpha", shape=(3, 12, 12), least=-1.0)),
        outputs=("score", "again"),
    ),
    *(
        Model(key=key, factory=factory, inputs=inputs, outputs=outputs, is_whole=True,
              oracle_rows=2)
        for key, factory, inputs, outputs in (
            ("resnet18", "models/resnet_torch/net.py:resnet18", (_PIXELS,), ("output",)),
            ("resnet50", "models/resnet_torch/net.py:resnet50", (_PIXELS,), ("output",)),
            ("torch_mobilenet_v2", "models/mobilenet_torch/net.py:mobilenet_v2", (_PIXELS,),
             ("output",)),
            ("mobilenet_v3_small", "models/mobilenet_torch/net.py:mobilenet_v3_small",
             (_PIXELS,), ("output",)),
            ("vit_s", "models/transformers_torch/net.py:vit_s", (_PIXELS,), ("output",)),
            ("bert_small", "models/transformers_torch/net.py:bert_small",
             (Tensor(name="input_ids", shape=(48,), dtype="int64", most=30521),
              Tensor(name="attention_mask", shape=(48,), dtype="int64", most=1)), ("output",)),
        )
    ),
)  # fmt: skip
