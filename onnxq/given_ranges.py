"""Ranges of a file for a recipe on its scope; or why the file has none, in words that are typed."""

import re
from collections.abc import Sequence

from onnxq.errors import RecipeError, UsageError
from onnxq.ranges import TensorRanges
from onnxq.ranges_files import RangesFile
from onnxq.recipe_kinds import StaticQdq, alias_of, parse_method

_KEY = re.compile(r"(?P<method>.+?)(?P<int16>-int16)?(?P<scope>-[0-9a-f]{8})?", re.DOTALL)
_SCOPE_OPTIONS = "--keep-float, --operator, --skip-operator, --io or rules"


def find_ranges(
    file: RangesFile,
    key: str,
    model_sha256: str,
    *,
    origin: str = "",
    options: Sequence[str] = (),
) -> TensorRanges:
    """Find the ranges that a recipe needs.

    Args:
        file: A file of ranges.
        key: :func:`onnxq.recipe_kinds.ranges_key` of the recipe on its scope.
        model_sha256: Of the prepared model that is to be quantized.
        origin: What messages call the file.
        options: What was typed to get the scope, such as ``--io uint8``; ``rules`` for those.

    Returns:
        The ranges.

    Raises:
        UsageError: OQ147 if they are of another model, or there are none for this recipe.
    """
    if file.model_sha256 != model_sha256:
        message = (
            f"{origin or 'the file'} has ranges of another model: found "
            f"{_short(file.model_sha256)}, expected {_short(model_sha256)}."
        )
        hint = "Calibrate this model: onnxq calibrate MODEL --calib DATA -o FOLDER"
        raise UsageError(message, code="OQ147", hint=hint)
    if key not in file.sets:
        raise _not_calibrated(file, key, origin or "the file", options)
    found = file.sets[key]
    return TensorRanges(
        method=key,
        ranges=found.ranges,
        model_sha256=model_sha256,
        kept_float=found.kept_float,
        origin=origin,
    )


def _not_calibrated(file: RangesFile, key: str, origin: str, options: Sequence[str]) -> UsageError:
    """Say what a file was calibrated for, and which options must be as they were then."""
    wanted, _ = _recipe_words(key)
    has = [_recipe_words(one) for one in file.sets]
    told = dict.fromkeys(
        f"{recipe} with {_SCOPE_OPTIONS}" if is_scoped else recipe for recipe, is_scoped in has
    )
    given = ", ".join(options)
    message = (
        f"{origin} has no ranges for {wanted}{given and f' with {given}'}: it was calibrated for "
        f"{'; '.join(told) or 'no recipe'}."
    )
    typed = " ".join([wanted, *(one for one in options if one.startswith("-"))])
    again = f"onnxq calibrate MODEL --calib DATA {typed} -o FOLDER"
    if options and (wanted, False) in has:
        hint = f"Leave {given} out, as calibrate did, or calibrate with the same:  {again}"
    elif (wanted, True) in has:
        hint = f"Give the same {_SCOPE_OPTIONS} as calibrate got, or calibrate again:  {again}"
    elif has:
        without = f", without {given}" if options else ""
        hint = (
            f"Quantize by what it was calibrated for, {has[0][0]}{without}, or calibrate:  {again}"
        )
    else:
        hint = f"Calibrate for this recipe:  {again}"
    return UsageError(message, code="OQ147", hint=hint)


def _recipe_words(key: str) -> tuple[str, bool]:
    """Return what is typed to get ranges of some key, and whether its scope is not the default."""
    parts = _KEY.fullmatch(key)
    if not parts:
        return repr(key), False
    try:
        recipe = StaticQdq(
            parse_method(parts["method"]), activation="int16" if parts["int16"] else "uint8"
        )
    except RecipeError:  # of a file that was edited
        return repr(key), False
    return f"-r {alias_of(recipe)}", bool(parts["scope"])


def _short(sha256: str) -> str:
    return sha256[:12] or "none"
