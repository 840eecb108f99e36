"""``profile``: any number of models side by side."""

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

from onnxq.errors import UsageError
from onnxq.events import Tell, tell_nobody
from onnxq.pipeline.planning import describe_profile
from onnxq.pipeline.plans import ProfilePlan
from onnxq.pipeline.profiles import execute_profile
from onnxq.providers import DEFAULT_PROVIDER, parse_provider
from onnxq.source_parsing import is_factory
from onnxq.verbs.asking import (
    ask_course,
    ask_judging,
    ask_rows,
    ask_timing,
    check_numbers,
    opened_model,
)
from onnxq.verbs.option_types import (
    ClassesText,
    InputText,
    MapText,
    MetricText,
    PreprocessText,
    ProviderText,
    RowsText,
    WeightsPath,
)
from onnxq.verbs.verb import verb


@verb(execute_profile, describe_profile)
def profile(  # noqa: PLR0913 - one keyword an option, as on the command line
    models: tuple[object, ...] | object,
    *,
    provider: tuple[ProviderText, ...] = (DEFAULT_PROVIDER,),
    weights: WeightsPath = "",
    input: tuple[InputText, ...] = (),  # noqa: A002 - the flag's name
    signature: str = "",
    trust: bool = False,
    data: RowsText = "",
    preprocess: PreprocessText = "",
    map: tuple[MapText, ...] = (),  # noqa: A002 - the flag's name
    classes: ClassesText = "",
    limit: int = 0,
    metric: MetricText = "",
    judge_output: str = "",
    threads: tuple[int, ...] = (),
    batch: int = 0,
    seconds: float = 20.0,
    seed: int = 0,
    command: tuple[str, ...] = (),
    tell: Tell = tell_nobody,
) -> Iterator[ProfilePlan]:
    """Measure models side by side: accuracy or agreement, size, latency.

    A given ``.onnx`` file is run as it is; other models are converted first.

    Args:
        models: One model or several, each as for :func:`onnxq.run`; the first is what the
            others are compared with.
        provider: Who runs them: ``cpu``, ``openvino``, ``dnnl``, ``xnnpack``.
        weights: Weights for the model that a factory returns; not for the files beside it.
        input: Declared inputs, ``NAME:SHAPE[:dtype[:lo..hi]]``, each for the models that have it.
        signature: Which signature of a SavedModel; default: ``serving_default``.
        trust: Let code from the model files run.
        data: Rows to evaluate on.
        preprocess: How images become rows: a preset or a spec.
        map: ``INPUT=ARRAY`` pairs, where the names differ.
        classes: A class list, or a regular expression on the file name with one group.
        limit: Most rows used; 0 uses all.
        metric: What is computed against the labels; default: told from them.
        judge_output: The output that the labels are about, where there are several.
        threads: Thread counts that latency is measured at; default: 1 and all cores.
        batch: Rows of one inference; 0 is the models' own fixed batch, or 1 where it is free.
        seconds: Wall time for measuring latency, all models together.
        seed: Of random rows and bootstraps.
        command: What was typed; for the document.
        tell: Who listens to events.

    Returns:
        One row per model and provider.

    Raises:
        OnnxqError: A foreseen failure.
    """
    named = models if isinstance(models, tuple | list) else (models,)
    check_numbers(limit=limit, seed=seed)
    _check_models(named)
    providers = tuple(dict.fromkeys(parse_provider(one) for one in provider))
    rows = ask_rows(data, preprocess=preprocess, map=map, classes=classes, limit=limit, seed=seed)
    judging = ask_judging(metric=metric, judge_output=judge_output, seed=seed)
    timing = ask_timing(threads=threads, batch=batch, seconds=seconds, seed=seed)
    factories = [one for one in named if isinstance(one, str) and is_factory(one)]
    folders = [one for one in named if isinstance(one, str | os.PathLike) and Path(one).is_dir()]
    with ExitStack() as stack:
        given = {
            _name(model): stack.enter_context(
                opened_model(
                    model,
                    data=rows,
                    weights=weights if _takes(model, factories) else "",
                    input=input,
                    signature=signature if _takes(model, folders) else "",
                    trust=trust,
                    seed=seed,
                )
            )
            for model in named
        }
        yield ProfilePlan(
            models=given,
            providers=providers,
            data=rows,
            judging=judging,
            timing=timing,
            course=ask_course("profile", named[0], command, tell),
        )


def _takes(model: object, takers: Sequence[object]) -> bool:
    """Whether an option is for a model: for those of its kind, and refused where there is none."""
    return model in takers or not takers


def _name(model: object) -> str:
    if isinstance(model, str | os.PathLike):
        return os.fspath(model)
    return type(model).__name__


def _check_models(models: tuple[object, ...] | list[object]) -> None:
    names = [_name(model) for model in models]
    twice = sorted({name for name in names if names.count(name) > 1})
    complaint = ""
    if not names:
        complaint = "profile needs at least one model."
    elif twice:
        complaint = f"{twice[0]} is named twice."
    if complaint:
        raise UsageError(complaint, code="OQ100", hint="See onnxq profile --help.")
