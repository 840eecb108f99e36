"""Weights on disk go into a module, or it is said why they do not fit."""

import difflib
import pickle
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from onnxq.conversion.from_torch_safetensors import read_safetensors
from onnxq.errors import SourceError
from onnxq.findings import Finding
from onnxq.sniffing import FileKind, sniff_file

_NESTED = ("state_dict", "model_state_dict", "model", "net", "ema")
"""Where training scripts keep the weights among an optimizer's state and counters."""

_WRAPPERS = ("module.", "_orig_mod.")
"""Prefixes that DataParallel and torch.compile put before every name."""

_LISTED = 5
_SAVE = "torch.save(module.state_dict(), 'weights.pt')"


def load_weights(module: nn.Module, path: Path) -> tuple[Finding, ...]:
    """Load a state dict or a safetensors file into a module; every name and shape must fit.

    The weights may be nested under ``state_dict``, ``model_state_dict``, ``model``, ``net`` or
    ``ema``, and their names may carry the prefixes ``module.`` and ``_orig_mod.``.

    Args:
        module: On the CPU; its parameters and buffers are replaced.
        path: Of a file that ``torch.save`` or safetensors wrote. The latter leaves out all but
            one of several names for one tensor, so these may be missing.

    Returns:
        A note where the file holds more than one set of weights.

    Raises:
        SourceError: If the file cannot be read (OQ104), would run code when loaded (OQ109), or
            does not fit (OQ107).
    """
    weights, findings = find_state_dict(_read_checkpoint(path), path.name)
    weights = strip_wrappers(weights, frozenset(module.state_dict()))
    _check_shapes(module, weights, path.name)
    try:
        fit = module.load_state_dict(weights, strict=False)
    except RuntimeError as error:  # a hook or an extra state that refuses its value
        message = f"{path.name} does not fit {type(module).__name__}: {error}"
        raise SourceError(message, code="OQ107", hint="Check what wrote the file.") from error
    missing = _untied(module, fit.missing_keys)
    if missing or fit.unexpected_keys:
        raise _misfit(module, weights, missing, fit.unexpected_keys, path.name)
    return findings


def find_state_dict(
    checkpoint: object, name: str
) -> tuple[Mapping[str, Tensor], tuple[Finding, ...]]:
    """Find the weights in what a checkpoint holds.

    Args:
        checkpoint: As it was loaded.
        name: Of the file, for messages.

    Returns:
        The weights by name, and a note where there were several sets to choose from.

    Raises:
        SourceError: If there are none (OQ107).
    """
    if isinstance(checkpoint, Mapping):
        sets = [key for key in _NESTED if isinstance(checkpoint.get(key), Mapping)]
        if sets:
            found, findings = find_state_dict(checkpoint[sets[0]], name)
            return found, findings + _several(sets, name)
        if any(isinstance(value, Tensor) for value in checkpoint.values()):
            return checkpoint, ()
    keys = list(checkpoint)[:_LISTED] if isinstance(checkpoint, Mapping) else []
    found_here = f"the keys {keys}" if keys else f"a {type(checkpoint).__name__}"
    message = f"{name} holds no weights by name: found {found_here}."
    raise SourceError(message, code="OQ107", hint=f"Save the weights alone:  {_SAVE}")


def strip_wrappers(weights: Mapping[str, Tensor], expected: frozenset[str]) -> dict[str, Tensor]:
    """Remove the prefixes that wrappers around a module put before its names.

    Args:
        weights: By name.
        expected: The module's own names; a prefix that these carry too stays.

    Returns:
        The same weights by the module's own names.
    """
    stripped = dict(weights)
    while not expected & stripped.keys():
        prefix = next((p for p in _WRAPPERS if all(n.startswith(p) for n in stripped)), "")
        if not prefix:
            break
        stripped = {name.removeprefix(prefix): tensor for name, tensor in stripped.items()}
    return stripped


def _read_checkpoint(path: Path) -> object:
    if sniff_file(path) is FileKind.SAFETENSORS:
        return read_safetensors(path)
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        offenders = _unsafe_globals(path)
        if not offenders:
            raise _damaged(path, error) from error
        message = f"{path.name} would run code when it is loaded: it names {', '.join(offenders)}."
        hint = f"In the environment that wrote it, save the weights alone:  {_SAVE}"
        raise SourceError(message, code="OQ109", hint=hint) from error
    except (RuntimeError, EOFError, ValueError, KeyError, OSError) as error:
        raise _damaged(path, error) from error


def _unsafe_globals(path: Path) -> list[str]:
    try:
        return torch.serialization.get_unsafe_globals_in_checkpoint(path)[:_LISTED]
    except (ValueError, pickle.UnpicklingError):
        # Formats before 1.6: the pickle alone says it, in torch's own words.
        return ["classes that are not weights"] if _is_legacy(path) else []


def _is_legacy(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(1) == pickle.PROTO


def _damaged(path: Path, error: Exception) -> SourceError:
    message = f"{path.name} is not a whole PyTorch checkpoint: {str(error).partition(chr(10))[0]}"
    return SourceError(message, code="OQ104", hint="Download or save it again.")


def _several(sets: list[str], name: str) -> tuple[Finding, ...]:
    if len(sets) == 1:
        return ()
    others = " and ".join(repr(key) for key in sets[1:])
    return (
        Finding(
            code="OQ157",
            subject=name,
            message=f"{name} holds several sets of weights: {sets[0]!r} is used, not {others}.",
            fix=f"To use another: torch.save(torch.load({name!r})[{sets[1]!r}], 'weights.pt')",
        ),
    )


def _check_shapes(module: nn.Module, weights: Mapping[str, Tensor], name: str) -> None:
    own = {key: value for key, value in module.state_dict().items() if isinstance(value, Tensor)}
    wrong = [
        f"{key}: file {list(weights[key].shape)}, module {list(value.shape)}"
        for key, value in own.items()
        if isinstance(weights.get(key), Tensor) and weights[key].shape != value.shape
    ]
    if not wrong:
        return
    message = (
        f"{name} does not fit {type(module).__name__}: {len(wrong)} of {len(own)} shapes differ: "
        f"{_some(wrong, separator='; ')}."
    )
    hint = "The factory must build what was trained: same sizes, same number of classes."
    raise SourceError(message, code="OQ107", hint=hint)


def _untied(module: nn.Module, missing: list[str]) -> list[str]:
    """Leave out names of a tensor that was loaded under another name: tied weights."""
    own = {key: value for key, value in module.state_dict().items() if isinstance(value, Tensor)}
    loaded = {_storage(own[key]) for key in own.keys() - set(missing) if own[key].numel()}
    return [key for key in missing if key not in own or _storage(own[key]) not in loaded]


def _storage(tensor: Tensor) -> tuple[int, tuple[int, ...], tuple[int, ...]]:
    return tensor.data_ptr(), tuple(tensor.shape), tensor.stride()


def _misfit(
    module: nn.Module,
    weights: Mapping[str, Tensor],
    missing: list[str],
    unexpected: list[str],
    name: str,
) -> SourceError:
    own = module.state_dict()
    parts = [
        f"{word} {len(keys)} of {total}: {_some(keys)}"
        for word, keys, total in (
            ("missing", missing, len(own)),
            ("unexpected", unexpected, len(weights)),
        )
        if keys
    ]
    message = f"{name} does not fit {type(module).__name__}: {'; '.join(parts)}."
    near = [
        f"{found[0]} -> {key}"
        for key in missing
        if (found := difflib.get_close_matches(key, unexpected, n=1))
        and getattr(weights[found[0]], "shape", ()) == getattr(own[key], "shape", ())
    ]
    if near:
        hint = f"Did you mean {_some(near)}? Rename the keys of the file, or the module's layers."
    else:
        hint = "The factory must build what was trained; keys of another network do not fit."
    return SourceError(message, code="OQ107", hint=hint)


def _some(words: list[str], *, separator: str = ", ") -> str:
    more = len(words) - _LISTED
    listed = separator.join(words[:_LISTED])
    return f"{listed} and {more} more" if more > 0 else listed
