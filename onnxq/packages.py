"""Which packages onnxq uses, which extra brings them, and which are installed."""

import importlib.metadata

from msgspec import Struct

BASE_PACKAGES = (
    "numpy", "onnx", "onnxruntime", "onnxslim", "msgspec", "psutil", "rich", "click",
    "platformdirs",
)  # fmt: skip
EXTRAS: dict[str, tuple[str, ...]] = {
    "torch": ("torch", "onnxscript"),
    "keras": ("tensorflow", "keras", "tf2onnx"),
    "keras-torch": ("keras", "torch", "onnxscript"),
    "images": ("pillow",),
    "data": ("pyarrow",),
}
"""What each extra brings; a test compares it with the package's own metadata."""

EXTRA_DISK_BYTES = {
    "torch": 904_000_000,
    "keras": 1_437_000_000,
    "keras-torch": 968_000_000,
    "images": 20_000_000,
    "data": 178_000_000,
}
"""Measured on Linux x86-64 with the CPU builds, beside the base; CUDA builds take several GB."""

_DISTRIBUTIONS = {
    "tensorflow": ("tensorflow-cpu", "tensorflow"),
    "onnxruntime": (
        "onnxruntime",
        "onnxruntime-openvino",
        "onnxruntime-gpu",
        "onnxruntime-directml",
        "onnxruntime-qnn",
        "ort-nightly",
    ),
}
"""What brings a package whose distribution may be called otherwise."""


class Package(Struct, frozen=True, kw_only=True):
    """A package that onnxq uses.

    Attributes:
        name: What it is called.
        version: Empty where it is missing.
        extra: The extra that brings it; empty for the base.
        distributions: What it was installed as, such as ``onnxruntime-openvino``. If there are
            several, each has overwritten files of the others.
    """

    name: str
    version: str
    extra: str
    distributions: tuple[str, ...] = ()


def list_packages() -> tuple[Package, ...]:
    """List the packages of the base and of the extras; nothing is imported."""
    extras = [(name, extra) for extra, names in EXTRAS.items() for name in names]
    return tuple(
        Package(
            name=name,
            version=installed_version(name),
            extra=extra,
            distributions=installed_distributions(name),
        )
        for name, extra in (*((name, "") for name in BASE_PACKAGES), *extras)
    )


def installed_version(name: str) -> str:
    """Return a package's version; empty where it is not installed."""
    for distribution in _DISTRIBUTIONS.get(name, (name,)):
        if version := _version(distribution):
            return version
    return ""


def installed_distributions(name: str) -> tuple[str, ...]:
    """Return the distributions that brought a package; there should be one at most."""
    return tuple(one for one in _DISTRIBUTIONS.get(name, (name,)) if _version(one))


def _version(distribution: str) -> str:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return ""


def missing_packages(extra: str) -> tuple[str, ...]:
    """Return the packages of an extra that are not installed; none for the base."""
    return tuple(name for name in EXTRAS.get(extra, ()) if not installed_version(name))


def install_command(extra: str) -> str:
    """Return the command that installs an extra."""
    return f"pip install 'onnxq[{extra}]'"
