"""How models and rows come in: converted, loaded, and the inputs of one inference."""

import re
from pathlib import Path

from onnxq.datasets.values import CalibrationSet, DataRequest, EvaluationSet, NoRows
from onnxq.errors import SourceError, UsageError
from onnxq.models import OnnxModel
from onnxq.pipeline.bench import Bench
from onnxq.pipeline.plans import Given
from onnxq.pipeline.private_copies import absolute_request, copy_source, trusted_folders
from onnxq.sources import InputDeclaration, source_path
from onnxq.stages import (
    CONVERT,
    LOAD_ROWS,
    ConvertRequest,
    ConvertResult,
    LoadRowsRequest,
    LoadRowsResult,
    NoDataRequest,
)

NO_SUCH_ROWS = NoRows()
NO_ROWS = LoadRowsResult(
    evaluation=NO_SUCH_ROWS, calibration=NO_SUCH_ROWS, labelled=False, classes=0, findings=()
)
_FILE_FUNCTION = re.compile(r"(?P<file>[^:]+\.py):[A-Za-z_]\w*")


def convert_source(given: Given, bench: Bench) -> ConvertResult:
    """Copy what the user gave, and convert the copy in a child.

    Args:
        given: The model.
        bench: Where the stage is carried out.

    Returns:
        The converted model. It raises what the stage raises.
    """
    copies = bench.place.new_folder("source")
    request = ConvertRequest(
        source=copy_source(given.source, copies, bench.place),
        declared=given.declared,
        data=absolute_request(given.data),
        check=given.check,
        seed=given.seed,
        trusted_folders=_folders(given),
        trust=given.trust,
        working_folder=str(Path.cwd()),
    )
    return bench.run(CONVERT, request, source_path(given.source))


def refuse_quantized(given: Given, converted: ConvertResult, *, instead: str) -> None:
    """Refuse to go on with a model that is quantized already.

    Args:
        given: What the user gave.
        converted: The model.
        instead: What can be done with it; the words before its name.

    Raises:
        SourceError: OQ110.
    """
    if converted.quantized_already:
        name = source_path(given.source)
        message = f"{name} is quantized already ({converted.quantized_already})."
        raise SourceError(message, code="OQ110", hint=f"{instead} {name}")


def load_rows(
    bench: Bench,
    model: OnnxModel,
    data: DataRequest | NoDataRequest,
    calibration: DataRequest | NoDataRequest,
    declared: tuple[InputDeclaration, ...],
    *,
    split: bool,
    calibration_rows: int = 0,
) -> LoadRowsResult:
    """Load rows that fit a model.

    Args:
        bench: Where the stage is carried out.
        model: What the rows must fit.
        data: Rows to judge on; without them those of ``calibration`` are loaded alone.
        calibration: Rows to calibrate on.
        declared: Inputs as ``--input`` declares them.
        split: Whether some of ``data`` are kept for calibration where ``calibration`` is empty.
        calibration_rows: How many of them at most; 0 for the default.

    Returns:
        The stored rows; none where nothing was given. It raises what the stage raises.
    """
    judge = isinstance(data, DataRequest)
    first = absolute_request(data if judge else calibration)
    if isinstance(first, NoDataRequest):
        return NO_ROWS
    request = LoadRowsRequest(
        data=first,
        calibration=absolute_request(calibration) if judge else NoDataRequest(),
        signature=model.signature,
        declared=declared,
        split=split,
        judge=judge,
        calibration_rows=calibration_rows,
        trusted_folders=code_folders(*_specs(data, calibration)),
    )
    return bench.run(LOAD_ROWS, request, " and ".join(dict.fromkeys(_specs(data, calibration))))


def inference_rows(
    model: OnnxModel, asked: int, rows: EvaluationSet | CalibrationSet | NoRows = NO_SUCH_ROWS
) -> int:
    """Return the rows of one inference: the model's own where its batch is fixed.

    Args:
        model: Which.
        asked: What ``--batch`` says, or what models beside it are measured at; 0 for neither.
        rows: Rows that were loaded: they show which inputs have no batch axis.

    Returns:
        How many.

    Raises:
        UsageError: If another batch is asked for than the model's fixed one (OQ100).
    """
    whole = () if isinstance(rows, NoRows) else rows.rows.whole
    if len(whole) == len(model.signature.inputs) > 0:
        return 1
    fixed = model.signature.fixed_batch_beside(whole)
    if fixed and asked and asked != fixed:
        message = f"a batch of {asked} was asked for, and the model's is fixed at {fixed}."
        hint = "Leave --batch out, or export the model with a free batch axis."
        raise UsageError(message, code="OQ100", hint=hint)
    return fixed or asked or 1


def store_inference(
    bench: Bench,
    model: OnnxModel,
    rows: EvaluationSet | CalibrationSet | NoRows,
    declared: tuple[InputDeclaration, ...],
    *,
    batch_rows: int,
    seed: int,
) -> dict[str, str]:
    """Store the inputs of one inference: rows that were given, or random ones.

    Args:
        bench: In whose work folder they go.
        model: Which.
        rows: Rows to take.
        declared: Sizes of free axes and values of integers where there are no rows.
        batch_rows: Rows of the inference.
        seed: Of random values.

    Returns:
        Path of an ``.npy`` array by input name.
    """
    from onnxq.datasets.timing_rows import store_timing_rows  # noqa: PLC0415 - numpy, late

    return store_timing_rows(
        model.signature,
        rows,
        declared,
        batch_rows=batch_rows,
        seed=seed,
        folder=bench.place.new_folder("timing"),
    )


def code_folders(*named: str) -> tuple[str, ...]:
    """Return the folders that functions named on the command line are imported from.

    Args:
        named: Such as ``rows.py:validation`` or ``pkg.mod:fn``; other texts are passed over.

    Returns:
        The folders of the files that are named, then the working folder.
    """
    files = [match["file"] for text in named if (match := _FILE_FUNCTION.fullmatch(text))]
    folders = [*(str(Path(file).resolve().parent) for file in files), str(Path.cwd())]
    return tuple(dict.fromkeys(folders))


def _folders(given: Given) -> tuple[str, ...]:
    specs = _specs(given.data)
    return tuple(dict.fromkeys((*trusted_folders(given.source), *code_folders(*specs))))


def _specs(*requests: DataRequest | NoDataRequest) -> tuple[str, ...]:
    return tuple(request.spec for request in requests if isinstance(request, DataRequest))
