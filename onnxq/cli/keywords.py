"""The keywords of the verbs that are flags, by group: what the type checker compares."""

from typing import TypedDict


class SourceOptions(TypedDict):
    """What says how a model is to be read."""

    weights: str
    input: tuple[str, ...]
    signature: str
    trust: bool


class RowsOptions(TypedDict):
    """What says which rows there are and how they become a model's inputs."""

    data: str
    preprocess: str
    map: tuple[str, ...]


class JudgingOptions(TypedDict):
    """What says how rows are judged."""

    metric: str
    judge_output: str


class ScopeOptions(TypedDict):
    """What says how a model is quantized, and what is left in float."""

    recipe: tuple[str, ...]
    operator: tuple[str, ...]
    skip_operator: tuple[str, ...]
    keep_float: tuple[str, ...]
    io: str
    strict: bool


class LimitOptions(TypedDict):
    """What the user demands."""

    max_drop: str
    min_speedup: str
    max_size: str


class TimingOptions(TypedDict):
    """What says how latency is measured."""

    threads: tuple[int, ...]
    batch: int
    seconds: float


class FolderOptions(TypedDict):
    """What says where files go."""

    out: str
    overwrite: bool


class ConvertOptions(SourceOptions, RowsOptions, FolderOptions):
    """The keywords of ``convert`` that are flags."""

    check: bool
    limit: int
    seed: int


class QuantizeOptions(SourceOptions, ScopeOptions, FolderOptions):
    """The keywords of ``quantize`` that are flags."""

    check: bool
    calib: str
    preprocess: str
    map: tuple[str, ...]
    classes: str
    limit: int
    seed: int


class ProfileOptions(SourceOptions, RowsOptions, JudgingOptions, TimingOptions):
    """The keywords of ``profile`` that are flags."""

    provider: tuple[str, ...]
    classes: str
    limit: int
    seed: int


class RunOptions(
    SourceOptions,
    RowsOptions,
    JudgingOptions,
    ScopeOptions,
    LimitOptions,
    TimingOptions,
    FolderOptions,
):
    """The keywords of ``run`` that are flags."""

    check: bool
    calib: str
    classes: str
    limit: int
    allow_chance_accuracy: bool
    seed: int


class InspectOptions(RowsOptions):
    """The keywords of ``inspect`` that are flags."""

    reference: str
    classes: str
