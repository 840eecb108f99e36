"""Arguments of Python callers, checked once at the front against what a verb's parameters say.

A command line hands over text of the right types; Python hands over anything. What means the same
is taken (``calib_rows=16``, ``out=Path("out")``, ``recipe="int8"``), all else is refused in the
terms of the call, before any work is done.
"""

import functools
import inspect
import os
from collections.abc import Callable, Iterable, Mapping
from collections.abc import Set as AbstractSet
from decimal import Decimal
from numbers import Integral, Real
from operator import or_
from types import GenericAlias
from typing import Annotated, ParamSpec, TypeGuard, TypeVar, get_args, get_origin

from onnxq.errors import UsageError
from onnxq.verbs.option_types import AS_TEXT, Spelling
from onnxq.wording import shorten, with_article

P = ParamSpec("P")
R = TypeVar("R")

_VARIADIC = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)


def checked(function: Callable[P, R]) -> Callable[P, R]:
    """Check a function's arguments before it is called.

    Args:
        function: Annotated with plain types and those of :mod:`onnxq.verbs.option_types`.

    Returns:
        A function that takes what these accept and hands over what they are.
    """
    signature = inspect.signature(function)
    call: Callable[..., R] = function

    @functools.wraps(function)
    def check_and_call(*args: P.args, **options: P.kwargs) -> R:
        bound = bind_arguments(function.__name__, signature, args, options)
        return call(*bound.args, **bound.kwargs)

    shown = accepted_signature(signature)
    check_and_call.__annotations__ = accepted_annotations(shown)
    vars(check_and_call)["__signature__"] = shown
    return check_and_call


def bind_arguments(
    name: str,
    signature: inspect.Signature,
    args: tuple[object, ...],
    options: Mapping[str, object],
) -> inspect.BoundArguments:
    """Check a call's arguments, and bring them to the types that the parameters have.

    Args:
        name: Of the function, for messages.
        signature: Of the function.
        args: As called.
        options: As called.

    Returns:
        The arguments to call the function with.

    Raises:
        TypeError: If the function has no such parameter, or lacks an argument, as Python has it.
        UsageError: OQ100, if an argument is of a type that cannot be meant.
    """
    try:
        bound = signature.bind(*args, **options)
    except TypeError as error:
        message = f"{name}(): {error}"
        raise TypeError(message) from None
    for key, value in bound.arguments.items():
        parameter = signature.parameters[key]
        if parameter.kind not in _VARIADIC:
            bound.arguments[key] = _take(key, value, parameter.annotation)
    return bound


def accepted_signature(signature: inspect.Signature) -> inspect.Signature:
    """Return a signature that says what is accepted, in the place of what it becomes."""
    return signature.replace(
        parameters=[
            one if one.kind in _VARIADIC else one.replace(annotation=_accepted(one.annotation))
            for one in signature.parameters.values()
        ]
    )


def accepted_annotations(signature: inspect.Signature) -> dict[str, object]:
    """Return the annotations of a signature, as ``__annotations__`` has them."""
    parameters = {name: one.annotation for name, one in signature.parameters.items()}
    return {**parameters, "return": signature.return_annotation}


def _accepted(annotation: object) -> object:
    plain, spelling = _read(annotation)
    if get_origin(plain) is tuple:
        element = _accepted(get_args(plain)[0])
        return or_(element, GenericAlias(tuple, (element, ...)))
    others = {"none": (), "whole": (int,), "any": (float,)}[spelling.numbers]
    paths = (os.PathLike[str],) if spelling.paths else ()
    return functools.reduce(or_, (*others, *paths), plain)


def _read(annotation: object) -> tuple[object, Spelling]:
    """Return the type that an annotation means, and how else it may be given."""
    if get_origin(annotation) is not Annotated:
        return annotation, AS_TEXT
    plain, *notes = get_args(annotation)
    return plain, next((note for note in notes if isinstance(note, Spelling)), AS_TEXT)


def _take(name: str, value: object, annotation: object) -> object:
    """Bring a value to an annotated type; what is annotated otherwise is taken as it is."""
    plain, spelling = _read(annotation)
    if plain is str:
        return _take_text(name, value, spelling)
    if plain is bool:
        return _take_switch(name, value)
    if plain is int:
        return _take_whole(name, value)
    if plain is float:
        return _take_number(name, value)
    if get_origin(plain) is tuple:
        return _take_several(name, value, get_args(plain)[0])
    if get_origin(plain) is Callable and not callable(value):
        raise _refused(name, value, "a function", f"Leave {name} out, or hand over a function.")
    return value


def _take_text(name: str, value: object, spelling: Spelling) -> str:
    if isinstance(value, str):
        return value
    if spelling.paths and isinstance(value, os.PathLike):
        return os.fsdecode(value)
    takes_whole, takes_any = spelling.numbers != "none", spelling.numbers == "any"
    if (takes_whole and _is_whole(value)) or (takes_any and _is_number(value)):
        return f"{_write_number(value)}{spelling.unit}"
    kinds = (
        "a text",
        *["a path"] * spelling.paths,
        *["a number" if takes_any else "a whole number"] * takes_whole,
    )
    raise _refused(name, value, " or ".join(kinds), _hint_text(name, value, spelling))


def _hint_text(name: str, value: object, spelling: Spelling) -> str:
    if value is None:
        return f"Leave {name} out."
    if spelling.rows:
        return _hint_rows(name, value)
    if isinstance(value, Integral | Real) and not spelling.example:
        return f'Write {name}="{value}"'
    return f'Write a text, as in {name}="{spelling.example or "..."}"'


def _hint_rows(name: str, value: object) -> str:
    """Say how what holds rows is handed over; a stage reads them in a process of its own."""
    module, function = getattr(value, "__module__", ""), getattr(value, "__qualname__", "")
    is_named = function.isidentifier() and module not in {"", "__main__"}
    spec = f"{module}:{function}" if is_named else "pkg.mod:fn"
    by_function = f'{name}="{spec}"'
    if callable(value):
        return f"Name the function, which another process imports and calls: {by_function}"
    arrays = "**arrays" if isinstance(value, Mapping) else "x=array"
    saved = f'np.savez("rows.npz", {arrays}) and {name}="rows.npz"'
    return f"Save arrays, by the names of the inputs: {saved}; or name a function: {by_function}"


def _take_switch(name: str, value: object) -> bool:
    if isinstance(value, bool):
        return value
    raise _refused(name, value, "True or False", f"Write {name}=True, or leave {name} out.")


def _take_whole(name: str, value: object) -> int:
    if _is_whole(value):
        return int(value)
    raise _refused(name, value, "a whole number", _hint_number(name, value, "16"))


def _take_number(name: str, value: object) -> float:
    if _is_number(value):
        return float(value)
    raise _refused(name, value, "a number", _hint_number(name, value, "20.0"))


def _hint_number(name: str, value: object, example: str) -> str:
    if value is None:
        return f"Leave {name} out."
    meant = value.strip() if isinstance(value, str) and value.strip().isdecimal() else example
    return f"Write a number without quotes, as in {name}={meant}"


def _take_several(name: str, value: object, annotation: object) -> tuple[object, ...]:
    """Take a tuple, or what is as good: another sequence, or a single element."""
    plain, spelling = _read(annotation)
    single = isinstance(value, str | os.PathLike | Real)
    if single:
        return (_take(name, value, annotation),)
    if not isinstance(value, Iterable) or isinstance(value, bytes | Mapping | AbstractSet):
        text = f'"{spelling.example or "..."}"' if plain is str else "1"
        hint = f"Leave {name} out." if value is None else f"Write a tuple, as in {name}=({text},)"
        raise _refused(name, value, "a tuple", hint)
    return tuple(_take(f"{name}[{n}]", one, annotation) for n, one in enumerate(value))


def _is_whole(value: object) -> TypeGuard[Integral]:
    """Whether it is a whole number, of numpy too; ``True`` is none here."""
    return not isinstance(value, bool) and isinstance(value, Integral)


def _is_number(value: object) -> TypeGuard[Real]:
    return not isinstance(value, bool) and isinstance(value, Real)


def _write_number(value: Real) -> str:
    """Write a number without an exponent, which no option's text has."""
    if isinstance(value, Integral):
        return str(int(value))
    return format(Decimal(repr(float(value))), "f")


def _refused(name: str, value: object, expected: str, hint: str) -> UsageError:
    message = f"{name}: found {_describe(value)}, expected {expected}."
    return UsageError(message, code="OQ100", hint=hint)


def _describe(value: object) -> str:
    if isinstance(value, str):
        return f"the text {shorten(value)!r}"
    if value is None or isinstance(value, bool | int | float):
        return repr(value)
    return with_article(value)
