"""What a repair comes to, in words: faster or not, equal or how near, step by step."""

from onnxq.cli.cells import plus_minus, ratio
from onnxq.cli.columns import clock_label
from onnxq.cli.notes import Note
from onnxq.documents import Repair
from onnxq.measurements import TIE_HIGH, TIE_LOW, SpeedRatio
from onnxq.reports import NoData
from onnxq.stages.repairing import RepairStep
from onnxq.wording import count_noun

_EQUAL_DB = 200.0


def repair_summary(done: Repair) -> tuple[str, str]:
    """Say in a sentence what came of it, and which colour it has.

    Args:
        done: What was done.

    Returns:
        The sentence, and a colour for its frame; empty where there is nothing to praise or blame.
    """
    if not kept_steps(done):
        return "Nothing was changed: the model is as it was given.", ""
    outputs = _outputs(done)
    if done.given_failure:
        return f"It can be loaded now, as the given model cannot; {outputs}.", "green"
    if not done.speed:
        return f"Repaired, not measured; {outputs}.", ""
    speed = done.speed[0]
    return f"{_standing(speed)}; {outputs}.", _frame(speed)


def _standing(speed: SpeedRatio) -> str:
    value, clock = speed.ratio, clock_label(speed)
    digits = 2
    if speed.is_tie:
        low, high = value.low, value.high
        return f"As fast as before ({clock}, 95% interval of the ratio {low:.2f} to {high:.2f})"
    if value.low > 1:
        return f"{ratio(value.value)} faster ({clock}, {plus_minus(value, digits)})"
    return f"Slower than before, {ratio(value.value)} ({clock}, {plus_minus(value, digits)})"


def _frame(speed: SpeedRatio) -> str:
    if speed.ratio.low > TIE_HIGH:
        return "green"
    return "red" if speed.ratio.high < TIE_LOW else "yellow"


def _outputs(done: Repair) -> str:
    if done.is_equal:
        return "outputs equal to the last bit"
    return (
        f"rounding noise {decibels(done.unrounded_db)} dB below the outputs, "
        f"{decibels(done.unrounded_db_before)} before"
    )


def kernels_sentence(done: Repair) -> str:
    """Say how much runs on integer kernels now, and how much did."""
    after, before = done.after, done.before
    return (
        f"{after.integer} of {after.integer + after.floats} convolutions and matrix products on "
        f"integer kernels, {before.integer} of {before.integer + before.floats} before; "
        f"{count_noun(after.conversions, 'conversion')} between float and integer, "
        f"{before.conversions} before."
    )


def proof_text(done: Repair) -> str:
    """Say for which CPU it was repaired, and what the steps were proven on."""
    rows = (
        "random rows; --calib takes yours"
        if isinstance(done.data, NoData)
        else f"rows of {done.data.calibration_spec or done.data.spec}"
    )
    return f"for {done.target}; each step compared on {rows}"


def kept_steps(done: Repair) -> tuple[RepairStep, ...]:
    """Return the steps that the repaired model has."""
    return tuple(step for step in done.steps if step.is_kept)


def decibels(sqnr_db: float) -> str:
    """Write a ratio of signal to noise; ``equal`` where there is no noise."""
    return "equal" if sqnr_db >= _EQUAL_DB else f"{sqnr_db:.1f}"


def outputs_word(step: RepairStep) -> str:
    """Say how near a step left the outputs to those before it, and on which kernels."""
    if step.left_out:
        return "left out"
    if step.is_equal:
        return "equal"
    return "equal on integers" if step.is_equal_optimized else f"{step.sqnr_db:.1f} dB"


def step_notes(done: Repair, *, everything: bool = False) -> dict[str, Note]:
    """Write a numbered note on each step that there is something to say about.

    Args:
        done: What was done.
        everything: Also say what each step is good for, and where it was taken.

    Returns:
        Notes by the slug of the step.
    """
    texts = {step.slug: _step_text(step, everything=everything) for step in done.steps}
    said = {slug: text for slug, text in texts.items() if text}
    names = {step.slug: step.name for step in done.steps}
    return {
        slug: Note(mark=str(number), subject=names[slug], text=text)
        for number, (slug, text) in enumerate(said.items(), start=1)
    }


def _step_text(step: RepairStep, *, everything: bool) -> str:
    parts = [f"left out: {step.left_out}" if step.left_out else "", step.note]
    if everything:
        parts += [step.why, _places(step)]
    return " ".join(f"{_capital(part).rstrip('.')}." for part in parts if part)


def _places(step: RepairStep) -> str:
    more = step.subjects - len(step.shown)
    others = f" and {more} more" if more > 0 else ""
    return f"at {', '.join(step.shown)}{others}" if step.shown else ""


def _capital(text: str) -> str:
    """Begin a sentence; onnxruntime spells itself small."""
    return text if text.startswith("onnx") else f"{text[:1].upper()}{text[1:]}"
