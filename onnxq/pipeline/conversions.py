"""``convert``: a model becomes ONNX, and it is proven that it computes the same."""

import datetime as dt
import importlib.metadata

import msgspec

from onnxq.documents import Conversion
from onnxq.pipeline.arrivals import convert_source
from onnxq.pipeline.bench import open_bench
from onnxq.pipeline.handing_over import check_destination, hand_over
from onnxq.pipeline.plans import ConvertPlan, Destination
from onnxq.pipeline.reporting import SANDBOX, float_artefact, source_facts, source_stem
from onnxq.pipeline.work_folders import kept_files, work_folder
from onnxq.sources import Source
from onnxq.stages import INSPECT, InspectRequest


def execute_conversion(plan: ConvertPlan) -> Conversion:
    """Convert a model, and write it.

    Args:
        plan: What to do.

    Returns:
        What was done.

    Raises:
        OnnxqError: What a stage raised; nothing was written then.
    """
    given = plan.given
    check_destination(plan.out, kept_files(plan.out, given, given.data))
    with work_folder() as folder:
        bench = open_bench(folder, plan.course)
        converted = convert_source(given, bench)
        inspected = bench.run(INSPECT, InspectRequest(path=converted.model.path), "the result")
        file = converted_file(given.source, plan.out)
        document = Conversion(
            onnxq=importlib.metadata.version("onnxq"),
            created=dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
            command=plan.course.command,
            source=source_facts(given.source, converted),
            artefact=msgspec.structs.replace(
                float_artefact(file, converted.model, inspected.size),
                quantized_nodes=converted.model.quantized_nodes,
            ),
            out=str(plan.out.path),
            findings=converted.findings,
            seconds=dict(bench.seconds),
            sandbox=SANDBOX,
        )
        return hand_over(plan.out, {file: converted.model.path}, document)


def converted_file(source: Source, out: Destination) -> str:
    """Return the name of the file that a conversion writes."""
    return out.path.name if out.is_file else f"{source_stem(source)}.onnx"
