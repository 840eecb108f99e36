"""What a repair comes to, in words: faster or not, equal or how near, step by step."""

from onnxq.cli.cells import NOT_MEASURED, ratio, ratio_with_error
from onnxq.cli.columns import clock_label
from onnxq.cli.notes import Note
from onnxq.documents import Repair
from onnxq.measurements import TIE_HIGH, TIE_LOW, SpeedRatio
from onnxq.reports import NoData
from onnxq.stages.repairing import KernelCount, RepairStep
from onnxq.wording import count_noun

_EQUAL_DB = 200.0
_BROKEN_DB = 6.0
"""So much more noise, as it is served, than its makers meant: four times the power."""
_KEEP = "keep the given file"
_MEASURED_ELSEWHERE = "OQ206"


def repair_summary(done: Repair) -> tuple[str, str]:
    """Say in a sentence or two what came of it, and which colour it has.

    Args:
        done: What was done.

    Returns:
        The sentences, and a colour for their frame; empty where there is nothing to praise or
        blame.
    """
    if not kept_steps(done):
        text = f"Nothing was changed: {_KEEP}, what was written computes the same."
        return text, ""
    outputs = _outputs(done)
    if done.given_failure:
        return f"It can be served now, as the given model cannot. {outputs}", "green"
    if not done.speed:
        if _score(done.after) > _score(done.before):
            return f"Repaired, not measured. {outputs}", ""
        advice = f"{_KEEP} unless it measures slower"
        return f"Repaired, not measured: no more runs on integer kernels, {advice}. {outputs}", (
            "yellow"
        )
    speed = done.speed[0]
    if any(finding.code == _MEASURED_ELSEWHERE for finding in done.findings):
        where = f"that is of this CPU, not of {done.target}, which it was made for"
        return f"{_standing(speed)}; {where}. {outputs}", ""
    return f"{_standing(speed)}. {outputs}", _frame(speed)


def _score(count: KernelCount) -> tuple[int, int]:
    return count.integer, -count.conversions


def _standing(speed: SpeedRatio) -> str:
    value, clock = speed.ratio, clock_label(speed)
    if speed.is_tie:
        low, high = value.low, value.high
        return f"As fast as before ({clock}, 95% interval of the ratio {low:.2f} to {high:.2f})"
    measured = ratio_with_error(value)
    share = ratio(value.value)
    around = measured.removeprefix(share).strip()
    if value.low > 1:
        return f"{share} faster ({clock}, {around})"
    return f"Slower than before, {share} ({clock}, {around}): {_KEEP}"


def _frame(speed: SpeedRatio) -> str:
    if speed.ratio.low > TIE_HIGH:
        return "green"
    return "red" if speed.ratio.high < TIE_LOW else "yellow"


def _outputs(done: Repair) -> str:
    """Say how near outputs are to the given model's: as both are served, and without optimizing.

    onnxruntime's optimizations replace the float arithmetic of pairs by integer kernels, so that
    what is equal without them is not as it is served, and the other way round.
    """
    if done.given_failure:
        same = "equal to the last bit" if done.is_equal else _distance(done.sqnr_db)
        return (
            f"Without onnxruntime's optimizations outputs are {same}; as served, rounding "
            f"noise is {_below(done.unrounded_db)}."
        )
    served, meant = done.served_unrounded_db_before, done.unrounded_db_before
    noise = f"As served, rounding noise is {_below(done.unrounded_db)}, {decibels(served)} before"
    if served < meant - _BROKEN_DB:
        exact = " Outputs equal to the last bit without optimizations." if done.is_equal else ""
        return (
            f"{noise}: onnxruntime's optimizations break the given file, which has "
            f"{decibels(meant)} dB without them.{exact}"
        )
    if done.is_equal or done.is_equal_served:
        return _sameness(done)
    return f"{noise}. {_sameness(done)}"


def _sameness(done: Repair) -> str:
    apart = _distance(done.served_sqnr_db)
    if done.is_equal and done.is_equal_served:
        return "Outputs equal to the last bit, with onnxruntime's optimizations and without."
    if done.is_equal:
        own = _from_itself(done)
        return (
            f"Outputs equal to the last bit without onnxruntime's optimizations; as served {apart}"
            f"{own}."
        )
    if done.is_equal_served:
        return (
            "Outputs equal to the last bit as served; without onnxruntime's optimizations "
            f"{_distance(done.sqnr_db)}."
        )
    return f"Outputs {apart} as served{_from_itself(done)}."


def _from_itself(done: Repair) -> str:
    """Say how far the given file is from itself: what optimizing it changes."""
    own = done.given_optimized_sqnr_db
    if own >= _EQUAL_DB:
        return ""
    how = f"{own:.1f} dB" if own > -_EQUAL_DB else "no measurable distance"
    return f", where the given file's are {how} from its own unoptimized ones"


def _distance(sqnr_db: float) -> str:
    if sqnr_db >= _EQUAL_DB:
        return "equal to the last bit"
    return f"{sqnr_db:.1f} dB apart" if sqnr_db > -_EQUAL_DB else "not comparable"


def _below(sqnr_db: float) -> str:
    if sqnr_db >= _EQUAL_DB:
        return "nil"
    if sqnr_db <= -_EQUAL_DB:
        return "not measurable"
    return f"{sqnr_db:.1f} dB below the outputs"


def kernels_sentence(done: Repair) -> str:
    """Say how much runs on integer kernels now, and how much did."""
    after, before = done.after, done.before
    kernels = f"{after.integer} of {after.integer + after.floats} convolutions and matrix products"
    conversions = f"{count_noun(after.conversions, 'conversion')} between float and integer"
    if done.given_failure:
        return f"{kernels} on integer kernels; {conversions}."
    return (
        f"{kernels} on integer kernels, {before.integer} of {before.integer + before.floats} "
        f"before; {conversions}, {before.conversions} before."
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
    if sqnr_db >= _EQUAL_DB:
        return "equal"
    return f"{sqnr_db:.1f}" if sqnr_db > -_EQUAL_DB else NOT_MEASURED


def outputs_word(step: RepairStep) -> str:
    """Say how near a step left the outputs to those before it, and on which kernels."""
    if step.left_out:
        return "left out"
    if step.is_equal:
        return "equal"
    if step.is_equal_optimized:
        return "equal as served"
    return f"{step.sqnr_db:.1f} dB" if step.sqnr_db > -_EQUAL_DB else "changed"


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
    return {
        slug: Note(mark=str(number), subject=slug, text=text)
        for number, (slug, text) in enumerate(said.items(), start=1)
    }


def _step_text(step: RepairStep, *, everything: bool) -> str:
    parts = [f"left out: {step.left_out}" if step.left_out else "", step.note, _apart_text(step)]
    if everything:
        parts += [step.why, _places(step)]
    return " ".join(f"{_capital(part).rstrip('.')}." for part in parts if part)


def _apart_text(step: RepairStep) -> str:
    """Explain equality that holds on integer kernels alone."""
    if not step.is_kept or step.is_equal or not step.is_equal_optimized:
        return ""
    apart = _distance(step.sqnr_db)
    return f"with onnxruntime's optimizations, as it is served, equal; without them {apart}"


def _places(step: RepairStep) -> str:
    more = step.subjects - len(step.shown)
    others = f" and {more} more" if more > 0 else ""
    return f"at {', '.join(step.shown)}{others}" if step.shown else ""


def _capital(text: str) -> str:
    """Begin a sentence; onnxruntime spells itself small."""
    return text if text.startswith("onnx") else f"{text[:1].upper()}{text[1:]}"
