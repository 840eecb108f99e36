"""What a verb would do: ``--plan``."""

from typing import Literal

from msgspec import Struct

from onnxq.findings import Finding


class PlannedStep(Struct, frozen=True, kw_only=True):
    """A stage that would be run.

    Attributes:
        name: The stage's name.
        subject: What it would work on.
        seconds: Estimated wall time; 0 where it cannot be told before.
        basis: What the estimate rests on; empty where there is none.
    """

    name: str
    subject: str
    seconds: float
    basis: str


class PlannedRecipe(Struct, frozen=True, kw_only=True):
    """A recipe that would be built, or why not.

    Attributes:
        alias: What people call it.
        recipe: Its derived name.
        file: Name of the file that it would write; empty where it would be skipped.
        skipped: Why it would be skipped; empty where it would be built.
        condition: What must be measured for it to be built; empty where it would be in any case.
    """

    alias: str
    recipe: str
    file: str
    skipped: str = ""
    condition: str = ""


class Plan(Struct, frozen=True, kw_only=True):
    """What a verb would do: ``--plan``. No framework was loaded to find out.

    Attributes:
        schema: ``onnxq/plan/1``.
        kind: ``plan``.
        onnxq: Version of onnxq that wrote it.
        verb: ``run``, ``convert``, ``quantize``, ``calibrate``, ``merge`` or ``profile``.
        sources: The models, as typed, each with its kind for a person.
        evaluation_rows: Rows that models would be judged on; 0 for none, -1 where only the
            user's function knows.
        calibration_rows: Rows that ranges would be calibrated on; likewise.
        detectable_drop: Smallest drop of a rate that the evaluation rows can be expected to
            show, as a fraction; 0 where there are none.
        steps: The stages, in order.
        recipes: The recipes, in order.
        out: Where files would be written; empty where none would.
        files: What would be written there.
        disk_bytes: Estimated size of those files, and of what the work folder holds meanwhile:
            private copies, rows and outputs; 0 for unknown.
        memory_bytes: Estimated peak of a child; 0 for unknown.
        findings: What a reader should know before.
        calibration_bytes: Memory that calibrating would take beyond what its process takes
            anyway; 0 for unknown, or where nothing would be calibrated.
        calibration_passes: Passes over the rows that the cap on memory asks for; likewise.
        made_for: For which CPU models would be made, and what follows; empty where none would.
        families: What usually wins in each family of models; empty where nothing is quantized.
        may_be_cached: Whether there is a cache, which may hold the calibration already: then it
            takes no time. That is not known before the rows were read.
    """

    schema: str = "onnxq/plan/1"
    kind: Literal["plan"] = "plan"
    onnxq: str
    verb: str
    sources: dict[str, str]
    evaluation_rows: int
    calibration_rows: int
    detectable_drop: float
    steps: tuple[PlannedStep, ...]
    recipes: tuple[PlannedRecipe, ...]
    out: str
    files: tuple[str, ...]
    disk_bytes: int
    memory_bytes: int
    findings: tuple[Finding, ...]
    calibration_bytes: int = 0
    calibration_passes: int = 0
    may_be_cached: bool = False
    made_for: str = ""
    families: str = ""
