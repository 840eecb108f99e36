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


class RecipeOptions(TypedDict):
    """What says by which recipes a model is quantized, and what is left in float."""

    recipe: tuple[str, ...]
    operator: tuple[str, ...]
    skip_operator: tuple[str, ...]
    keep_float: tuple[str, ...]
    io: str


class TuningOptions(TypedDict):
    """What says for which CPU graphs are made fit, and how."""

    target: str
    rewrite: tuple[str, ...]
    skip_rewrite: tuple[str, ...]


class ScopeOptions(RecipeOptions):
    """The same where models are built."""

    strict: bool


class CalibratingOptions(TypedDict):
    """What says how ranges are calibrated."""

    calib: str
    calib_rows: str
    histogram_sample: int
    max_memory: str
    cache_dir: str
    cache: bool


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


class QuantizeOptions(
    SourceOptions, CalibratingOptions, ScopeOptions, TuningOptions, FolderOptions
):
    """The keywords of ``quantize`` that are flags."""

    check: bool
    ranges: str
    preprocess: str
    map: tuple[str, ...]
    classes: str
    limit: int
    seed: int


class CalibrateOptions(
    SourceOptions, CalibratingOptions, RecipeOptions, TuningOptions, FolderOptions
):
    """The keywords of ``calibrate`` that are flags."""

    check: bool
    shard: str
    preprocess: str
    map: tuple[str, ...]
    classes: str
    limit: int
    seed: int


class MergeOptions(SourceOptions, RecipeOptions, TuningOptions, FolderOptions):
    """The keywords of ``merge`` that are flags."""

    check: bool
    seed: int


class RepairOptions(TuningOptions, TimingOptions, FolderOptions):
    """The keywords of ``repair`` that are flags."""

    input: tuple[str, ...]
    calib: str
    preprocess: str
    map: tuple[str, ...]
    limit: int
    measure: bool
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
    CalibratingOptions,
    ScopeOptions,
    TuningOptions,
    LimitOptions,
    TimingOptions,
    FolderOptions,
):
    """The keywords of ``run`` that are flags."""

    check: bool
    classes: str
    limit: int
    allow_chance_accuracy: bool
    seed: int


class InspectOptions(RowsOptions):
    """The keywords of ``inspect`` that are flags."""

    reference: str
    runtime: bool
    input: tuple[str, ...]
    classes: str
