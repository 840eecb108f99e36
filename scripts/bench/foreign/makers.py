"""Who quantizes, with what, and which models each is asked for."""

from dataclasses import dataclass

CNNS = ("resnet18", "mobilenet_v2")
ALL = (*CNNS, "bert_small")


@dataclass(frozen=True)
class Maker:
    """A tool in one of its ways of quantizing.

    Attributes:
        script: Beside this file; takes MODEL ROWS OUT --style STYLE.
        style: What of its ways.
        requirements: What its environment is made of, a file beside this one; empty for ours.
        models: Names of functions in nets.py.
    """

    script: str
    style: str = "default"
    requirements: str = ""
    models: tuple[str, ...] = ALL


MAKERS: dict[str, Maker] = {
    "ort-qdq": Maker("ort_defaults.py", "qdq"),
    "ort-qoperator": Maker("ort_defaults.py", "qoperator"),
    "nncf": Maker("nncf_ptq.py", requirements="requirements-nncf.txt"),
    "nncf-transformer": Maker(
        "nncf_ptq.py", "transformer", "requirements-nncf.txt", ("bert_small",)
    ),
    "modelopt": Maker("modelopt_int8.py", "fp32", "requirements-modelopt.txt"),
    "modelopt-fp16": Maker("modelopt_int8.py", "fp16", "requirements-modelopt.txt"),
    "quark": Maker("quark_a8w8.py", requirements="requirements-quark.txt"),
    "aimet": Maker("aimet_qdq.py", requirements="requirements-aimet.txt"),
    "torch-fx": Maker("torch_fx_qat.py", "fake", "requirements-torchao.txt", CNNS),
    "torch-fx-folded": Maker("torch_fx_qat.py", "folded", "requirements-torchao.txt", CNNS),
    "torch-fx-converted": Maker("torch_fx_qat.py", "converted", "requirements-torchao.txt", CNNS),
    "torch-pt2e": Maker("torch_pt2e_qat.py", "x86", "requirements-torchao.txt", CNNS),
    "torch-pt2e-xnnpack": Maker("torch_pt2e_qat.py", "xnnpack", "requirements-torchao.txt", CNNS),
}
"""By the name of their folder. None is a dependency of onnxq: each lives in its own environment."""
