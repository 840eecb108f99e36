"""The preprocessing option: text to value and back. Loads no array library.

::

    spec    = [preset] {"," item}          item = key "=" value
    preset  = imagenet | keras-caffe | zero-one | minus-one-one
    key     = order | size | crop | resize | scale | mean | std
"""

import difflib
import re

import msgspec

from onnxq.datasets.values import AsGiven, PreprocessSpec
from onnxq.errors import UsageError

PRESETS: dict[str, PreprocessSpec] = {
    "imagenet": PreprocessSpec(
        size=256, crop=224, scale=255.0, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225)
    ),
    "keras-caffe": PreprocessSpec(order="bgr", size=256, crop=224, mean=(103.939, 116.779, 123.68)),
    "zero-one": PreprocessSpec(scale=255.0),
    "minus-one-one": PreprocessSpec(scale=127.5, mean=(1.0,)),
}
"""Names for specs in wide use: torchvision's ImageNet models, and the three modes of
``keras.applications.imagenet_utils.preprocess_input`` (``torch`` is ``imagenet``)."""

KEYS = ("order", "size", "crop", "resize", "scale", "mean", "std")

_EXAMPLE = "order=bgr,size=256,crop=227,scale=1,mean=104:117:123,std=1:1:1"
_Value = str | int | float | tuple[float, ...]


def parse_preprocess(text: str) -> PreprocessSpec:
    """Parse a preset, a spec, or a preset with changes (``imagenet,crop=227``).

    A changed ``order`` carries a preset's mean and std along, since they belong to colours. A
    changed ``resize`` replaces a preset's ``size`` and ``crop``.

    Args:
        text: As typed after ``--preprocess``.

    Returns:
        The spec.

    Raises:
        UsageError: OQ126, if it cannot be parsed or asks for the impossible.
    """
    head, *rest = (item.strip() for item in text.split(","))
    preset = "=" not in head
    base = _preset(head) if preset else PreprocessSpec()
    items = [_parse_item(item) for item in (rest if preset else [head, *rest])]
    keys = [key for key, _ in items]
    repeated = sorted({key for key in keys if keys.count(key) > 1})
    if repeated:
        message = f"{repeated[0]!r} is given twice in --preprocess {text}."
        raise _unparsable(message)
    changes = _carried(base, dict(items)) | _fields(items)
    try:
        return msgspec.structs.replace(base, **changes)
    except ValueError as error:
        message = f"--preprocess {text} cannot be applied: {error}."
        raise _unparsable(message) from error


def render_preprocess(spec: PreprocessSpec | AsGiven) -> str:
    """Print a spec so that :func:`parse_preprocess` gives it back.

    Args:
        spec: What to print.

    Returns:
        Text such as ``order=rgb,size=256,crop=224,scale=255,mean=…,std=…``, without what does
        nothing; ``as-given`` for rows that are fed as they are.
    """
    if isinstance(spec, AsGiven):
        return "as-given"
    items = [f"order={spec.order}"]
    items += [f"resize={spec.resize_height}x{spec.resize_width}"] if spec.resize_height else []
    items += [f"size={spec.size}"] if spec.size else []
    items += [f"crop={spec.crop}"] if spec.crop else []
    items += [f"scale={_number(spec.scale)}"]
    items += [f"mean={_numbers(spec.mean)}"] if spec.mean != (0.0,) else []
    items += [f"std={_numbers(spec.std)}"] if spec.std != (1.0,) else []
    return ",".join(items)


def without_geometry(spec: PreprocessSpec) -> PreprocessSpec:
    """Return the spec with nothing resized and nothing cropped."""
    return msgspec.structs.replace(spec, size=0, crop=0, resize_height=0, resize_width=0)


def _preset(name: str) -> PreprocessSpec:
    if name in PRESETS:
        return PRESETS[name]
    near = difflib.get_close_matches(name, [*PRESETS, *KEYS], n=1)
    guess = f" Did you mean {near[0]!r}?" if near else ""
    message = f"there is no preprocessing called {name!r}.{guess}"
    raise _unparsable(message)


def _parse_item(item: str) -> tuple[str, _Value]:
    key, sign, value = (part.strip() for part in item.partition("="))
    if not sign:
        message = f"{item!r} is not KEY=VALUE in --preprocess; a preset comes first."
        raise _unparsable(message)
    if key not in KEYS:
        near = difflib.get_close_matches(key, KEYS, n=1)
        guess = f" Did you mean {near[0]!r}?" if near else ""
        message = f"{key!r} is not a key of --preprocess, which are {', '.join(KEYS)}.{guess}"
        raise _unparsable(message)
    return key, _parse_value(key, value)


def _parse_value(key: str, value: str) -> _Value:
    try:
        match key:
            case "order":
                return value.lower()
            case "size" | "crop":
                return int(value)
            case "scale":
                return float(value)
            case "resize":
                return _check_pair(value)
            case _:
                return tuple(float(number) for number in value.split(":"))
    except ValueError:
        forms = {"size": "a length in pixels", "crop": "a length in pixels", "scale": "a number"}
        forms |= {"resize": "HEIGHTxWIDTH, such as 240x320"}
        form = forms.get(key, "one number, or three with ':' between them")
        message = f"{key}={value} in --preprocess: expected {form}."
        raise _unparsable(message) from None


def _check_pair(value: str) -> str:
    if not re.fullmatch(r"[1-9][0-9]*x[1-9][0-9]*", value.lower(), re.ASCII):
        raise ValueError(value)
    return value.lower()


def _fields(items: list[tuple[str, _Value]]) -> dict[str, _Value]:
    fields: dict[str, _Value] = {}
    for key, value in items:
        if key == "resize":
            height, width = str(value).split("x")
            fields |= {"resize_height": int(height), "resize_width": int(width)}
        else:
            fields[key] = value
    return fields


def _carried(base: PreprocessSpec, items: dict[str, _Value]) -> dict[str, _Value]:
    """Return what else of a preset changes with the items that change."""
    carried: dict[str, _Value] = {}
    if {base.order, items.get("order", base.order)} == {"rgb", "bgr"}:
        carried |= {"mean": base.mean[::-1], "std": base.std[::-1]}
    if "resize" in items:
        carried |= {"size": 0, "crop": 0}
    return carried


def _number(value: float) -> str:
    return repr(value).removesuffix(".0")


def _numbers(values: tuple[float, ...]) -> str:
    return ":".join(map(_number, values))


def _unparsable(message: str) -> UsageError:
    presets = ", ".join(PRESETS)
    hint = f"Name a preset ({presets}), or say it all:  --preprocess {_EXAMPLE}"
    return UsageError(message, code="OQ126", hint=hint)
