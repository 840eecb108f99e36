"""What a live model computed in its caller's process, kept for the comparison in a child."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np

from onnxq.arrays import Array, Predict
from onnxq.conversion.parity import answer_probe, compare_output
from onnxq.conversion.parity_probes import Probe, make_probes
from onnxq.conversion.tolerances import Tolerance
from onnxq.errors import ParityError
from onnxq.sources import InputDeclaration
from onnxq.tensors import Signature

_INDEX = "proof.json"


class StoredProbe(msgspec.Struct, frozen=True, kw_only=True):
    """A probe that the source answered.

    Attributes:
        kind: As :class:`~onnxq.conversion.parity_probes.Probe` has it.
        batch_rows: Rows in the batch.
        inputs: File of an ``.npy`` array beside the index, by input name.
        outputs: The same of what the source computed, by output name.
    """

    kind: str
    batch_rows: int
    inputs: dict[str, str]
    outputs: dict[str, str]


class Proof(msgspec.Struct, frozen=True, kw_only=True):
    """The index of a proof on disk.

    Attributes:
        probes: What was asked and answered.
        tolerance: How far an export may be from the answers.
        declared: The inputs as declared, or as derived from rows.
        doubt: What a difference would probably come from.
    """

    probes: tuple[StoredProbe, ...]
    tolerance: Tolerance
    declared: tuple[InputDeclaration, ...]
    doubt: str


@dataclass(frozen=True, kw_only=True)
class LoadedProof:
    """A proof, ready to compare an export with.

    Attributes:
        index: What stands about it on disk.
        probes: What was asked.
        predict: The source's answers, played back for these probes and no others.
    """

    index: Proof
    probes: tuple[Probe, ...]
    predict: Predict


def record_proof(  # noqa: PLR0913 - one keyword a part of the question
    reference: Predict,
    signature: Signature,
    rows: dict[str, Array],
    folder: Path,
    *,
    declared: tuple[InputDeclaration, ...],
    traced_rows: int,
    seed: int,
    tolerance: Tolerance,
    doubt: str,
) -> Path:
    """Ask a source for its outputs on the probes that its export is compared on, and store both.

    Args:
        reference: The source, run by its own framework.
        signature: Of the export.
        rows: An array by each input's name, axis 0 being rows; empty where there are none.
        folder: Where files go; must not exist yet.
        declared: Sizes of free axes and values of integers, used where there are no rows.
        traced_rows: Rows of the batch that the source was traced at; 0 for none.
        seed: Of random values and of the choice of rows.
        tolerance: How far an export may be from it.
        doubt: What a difference would probably come from.

    Returns:
        The path of the index.

    Raises:
        ParityError: If the source is random (OQ152).
        ConversionError: If the source fails (OQ151).
        SourceError: If there are no rows, and an input's sizes or integers are not known (OQ112).
    """
    folder.mkdir()
    stored: list[StoredProbe] = []
    for probe in make_probes(signature, rows, declared, traced_rows=traced_rows, seed=seed):
        outputs = answer_probe(reference, probe)
        if not stored:
            _check_repeatable(outputs, answer_probe(reference, probe), probe, tolerance)
        if outputs:
            stored.append(_store(probe, outputs, folder, f"{len(stored)}"))
    proof = Proof(probes=tuple(stored), tolerance=tolerance, declared=declared, doubt=doubt)
    index = folder / _INDEX
    index.write_bytes(msgspec.json.encode(proof))
    return index


def load_proof(index: Path) -> LoadedProof:
    """Load what :func:`record_proof` stored.

    Args:
        index: What it returned.

    Returns:
        The proof.
    """
    proof = msgspec.json.decode(index.read_bytes(), type=Proof)
    probes = tuple(
        Probe(one.kind, one.batch_rows, _load(one.inputs, index.parent), derived=False)
        for one in proof.probes
    )
    answers = {
        _key(probe.inputs): _load(one.outputs, index.parent)
        for probe, one in zip(probes, proof.probes, strict=True)
    }

    def replay(inputs: Mapping[str, Array]) -> dict[str, Array]:
        return answers[_key(inputs)]

    return LoadedProof(index=proof, probes=probes, predict=replay)


def _check_repeatable(
    first: dict[str, Array], second: dict[str, Array], probe: Probe, tolerance: Tolerance
) -> None:
    for name, expected in first.items():
        try:
            compare_output(name, expected, second[name], probe, tolerance)
        except ParityError as error:
            message = f"Output {name!r} of the model differs from run to run: it is random, or "
            message += "remembers what it was fed before."
            hint = "Make it repeatable: no dropout, noise or counters at inference."
            raise ParityError(message, code="OQ152", hint=hint) from error


def _store(probe: Probe, outputs: dict[str, Array], folder: Path, stem: str) -> StoredProbe:
    def save(arrays: dict[str, Array], side: str) -> dict[str, str]:
        files = {name: f"{stem}-{side}-{at}.npy" for at, name in enumerate(arrays)}
        for name, file in files.items():
            np.save(folder / file, arrays[name], allow_pickle=False)
        return files

    return StoredProbe(
        kind=probe.kind,
        batch_rows=probe.batch_rows,
        inputs=save(probe.inputs, "in"),
        outputs=save(outputs, "out"),
    )


def _load(files: dict[str, str], folder: Path) -> dict[str, Array]:
    return {name: np.load(folder / file, allow_pickle=False) for name, file in files.items()}


def _key(inputs: Mapping[str, Array]) -> tuple[tuple[str, tuple[int, ...], bytes], ...]:
    return tuple((name, inputs[name].shape, inputs[name].tobytes()) for name in sorted(inputs))
