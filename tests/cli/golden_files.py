"""What a person looks at, as files in tests/goldens: rewritten by scripts/update_goldens.py."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import click
from msgspec.structs import replace
from sample_documents import (
    CALIBRATION,
    STOPPED_EARLY,
    calibration,
    calibration_plan,
    conversion,
    merged_calibration,
    plan,
    profile,
    providers_profile,
    quantization,
    recipes,
    repair,
    shard_calibration,
    small_plan,
    unchecked_conversion,
    unmeasured_repair,
)
from sample_inspections import (
    AUDIT,
    DOCTOR,
    DOCTOR_WITH_FILE,
    INSPECTION,
    KERNELS,
    NOT_AUDITED,
    REWRITES,
)
from sample_reports import SAMPLES

from onnxq.cli.main import onnxq
from onnxq.cli.presenting import error_text
from onnxq.cli.render import render_report
from onnxq.cli.render_calibration import render_calibration
from onnxq.cli.render_conversion import render_conversion
from onnxq.cli.render_doctor import render_doctor
from onnxq.cli.render_inspection import render_inspection
from onnxq.cli.render_plan import render_plan
from onnxq.cli.render_profile import render_profile
from onnxq.cli.render_quantization import render_quantization
from onnxq.cli.render_recipes import render_recipes
from onnxq.cli.render_repair import render_repair
from onnxq.cli.render_rewrites import render_rewrites
from onnxq.cli.screen import Screen
from onnxq.errors import DatasetError

FOLDER = Path(__file__).parents[1] / "goldens"
FILES = ("report.json", "resnet18.fp32.onnx", "resnet18.int8.onnx", "serve.py")
CALIBRATED = ("report.json", "resnet18.ranges.json", "resnet18.statistics")
REPAIRED = ("modelopt.repaired.onnx", "report.json")
BUILT = ("report.json", "resnet18.int4-weights.onnx", "resnet18.int8.onnx")
NARROW = Screen(columns=60)
SCREENS = {
    "80": Screen(columns=80),
    "100": Screen(columns=100),
    "120": Screen(columns=120),
    "80-ascii": Screen(columns=80, ascii_only=True),
    "80-color": Screen(columns=80, color=True),
}


def report_text(sample: str, screen: Screen) -> str:
    report = SAMPLES[sample]()
    files = () if report.interrupted else FILES
    return render_report(report, screen, out="onnxq-out", files=files)


def help_text(path: tuple[str, ...]) -> str:
    command: click.Command = onnxq
    for name in path:
        assert isinstance(command, click.Group)
        command = command.commands[name]
    settings = {**command.context_settings, "terminal_width": 80}
    context = click.Context(command, info_name=" ".join(("onnxq", *path)), **settings)
    return f"{command.get_help(context)}\n"


def converted(screen: Screen) -> str:
    return render_conversion(conversion(), screen, out="onnxq-out", files=("resnet18.onnx",))


def quantized(screen: Screen) -> str:
    return render_quantization(quantization(), screen, out="onnxq-out", files=BUILT)


def repaired(screen: Screen) -> str:
    return render_repair(repair(), screen, out="onnxq-out", files=REPAIRED)


def calibrated(screen: Screen) -> str:
    return render_calibration(calibration(), screen, out="onnxq-out", files=CALIBRATED)


def planned(screen: Screen) -> str:
    return render_plan(
        plan(), screen, ("onnxq", "run", "model.keras", "--plan", "--max-drop", "1pp")
    )


def listed(screen: Screen) -> str:
    return render_recipes(recipes(), screen)


def error_sample(screen: Screen) -> str:
    error = DatasetError(
        "val.npz does not fit the model.\n"
        "  model wants    x       float32  [N, 3, 224, 224]\n"
        "  val.npz has    images  uint8    [1000, 224, 224, 3]",
        code="OQ121",
        hint="Say which array feeds it. Try:\n  --map x=images --preprocess imagenet",
    )
    return error_text(error, screen)


HELPS = (
    (),
    ("run",),
    ("convert",),
    ("quantize",),
    ("repair",),
    ("calibrate",),
    ("merge",),
    ("profile",),
    ("inspect",),
    ("recipes",),
    ("recipes", "show"),
    ("doctor",),
    ("completion",),
)
DOCUMENTS: dict[str, Callable[[Screen], str]] = {
    "conversion": converted,
    "quantization": quantized,
    "repair": repaired,
    "calibration": calibrated,
    "profile": partial(render_profile, profile()),
    "plan": planned,
    "recipes": listed,
}
GOLDENS: dict[str, Callable[[], str]] = {
    **{
        f"report-{sample}-{name}.txt": partial(report_text, sample, screen)
        for sample in SAMPLES
        for name, screen in SCREENS.items()
        if sample == "shipping" or name in {"80", "80-ascii"}
    },
    **{
        f"help{''.join(f'-{word}' for word in path)}.txt": partial(help_text, path)
        for path in HELPS
    },
    **{
        f"inspection-{name}.txt": partial(
            render_inspection, INSPECTION, "resnet18.int8.onnx", SCREENS[name]
        )
        for name in ("80", "80-ascii", "120")
    },
    **{
        f"inspection-not-run-{name}.txt": partial(
            render_inspection,
            replace(INSPECTION, quantized=INSPECTION.quantized[:3], audit=NOT_AUDITED),
            "resnet18.int8.onnx",
            screen,
        )
        for name, screen in {"60": NARROW, "80": SCREENS["80"]}.items()
    },
    **{
        f"rewrites-{name}.txt": partial(render_rewrites, REWRITES, screen)
        for name, screen in {"60": NARROW, **SCREENS}.items()
        if name in {"60", "80", "80-ascii"}
    },
    **{
        f"inspection-runtime-{name}.txt": partial(
            render_inspection,
            replace(INSPECTION, quantized=(), audit=AUDIT, kernels=KERNELS),
            "resnet18.int8.onnx",
            SCREENS[name],
            everything=True,
        )
        for name in ("80", "120")
    },
    **{
        f"doctor-{name}.txt": partial(render_doctor, DOCTOR, SCREENS[name])
        for name in ("80", "120")
    },
    **{
        f"{kind}-{name}.txt": partial(draw, SCREENS[name])
        for kind, draw in DOCUMENTS.items()
        for name in ("80", "80-ascii", "100", "120")
    },
    "conversion-unchecked-80.txt": partial(
        render_conversion, unchecked_conversion(), SCREENS["80"]
    ),
    "quantization-file-80.txt": partial(
        render_quantization,
        quantization(),
        SCREENS["80"],
        out="small.onnx",
        files=("small.onnx",),
        everything=True,
    ),
    "repair-everything-80.txt": partial(
        render_repair,
        unmeasured_repair(),
        SCREENS["80"],
        out="small.onnx",
        files=("small.onnx",),
        everything=True,
    ),
    "calibration-everything-80.txt": partial(
        render_calibration,
        replace(
            calibration(),
            data=replace(CALIBRATION, calibration_rows=2000),
            effort=STOPPED_EARLY,
            sets=calibration().sets[:1],
        ),
        SCREENS["80"],
        out="onnxq-out",
        files=CALIBRATED,
        everything=True,
    ),
    "calibration-shard-80.txt": partial(
        render_calibration,
        shard_calibration(),
        SCREENS["80"],
        out="part2",
        files=("report.json", "resnet18.2of4.statistics"),
    ),
    "calibration-merged-80.txt": partial(
        render_calibration, merged_calibration(), SCREENS["80"], out="onnxq-out", files=CALIBRATED
    ),
    "plan-calibration-80.txt": partial(
        render_plan,
        calibration_plan(),
        SCREENS["80"],
        ("onnxq", "calibrate", "model.onnx", "--calib", "train.npz", "--plan"),
    ),
    "profile-providers-80.txt": partial(render_profile, providers_profile(), SCREENS["80"]),
    "profile-providers-120.txt": partial(render_profile, providers_profile(), SCREENS["120"]),
    "plan-small-80.txt": partial(
        render_plan, small_plan(), SCREENS["80"], ("onnxq", "profile", "a.onnx", "b.onnx", "--plan")
    ),
    "doctor-file-80.txt": partial(render_doctor, DOCTOR_WITH_FILE, SCREENS["80"]),
    "error-80.txt": partial(error_sample, SCREENS["80"]),
    "error-80-color.txt": partial(error_sample, SCREENS["80-color"]),
}
