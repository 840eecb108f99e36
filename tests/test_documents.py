"""Every document survives its JSON, and readers pass over fields that they do not know."""

import json
import random

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import inspect as types

from onnxq.codes import CODES
from onnxq.documents import (
    Conversion,
    Plan,
    Profile,
    Quantization,
    artefact_files,
    document_to_json,
    read_document,
)
from onnxq.errors import OutputError
from onnxq.estimates import Estimate
from onnxq.findings import Finding
from onnxq.reports import Report
from onnxq.tensors import Signature, TensorSpec

DOCUMENTS = (Report, Conversion, Quantization, Profile, Plan)
WRITTEN = (Report, Conversion, Quantization)

SCALARS = {
    types.StrType: lambda chance: chance.choice(["", "x", "é", 'a "b"', "\n\x00", "漢"]),
    types.IntType: lambda chance: chance.randint(-(2**53), 2**53),
    types.FloatType: lambda chance: chance.choice([0.0, -0.0, 1e-308, 1.7e308, 1 / 3]),
    types.BoolType: lambda chance: chance.random() < HALF,
}
HALF = 0.5


def make(kind: types.Type, chance: random.Random) -> object:
    """Make a value of a type, as msgspec sees it."""
    match kind:
        case types.StructType(cls=cls, fields=fields):
            values = {one.name: make(one.type, chance) for one in fields}
            return cls(**SPECIAL.get(cls, lambda _chance, values: values)(chance, values))
        case types.UnionType(types=several):
            made = make(chance.choice(several), chance)
        case types.VarTupleType(item_type=item):
            made = tuple(make(item, chance) for _ in range(chance.randint(0, 2)))
        case types.DictType(key_type=key, value_type=value):
            made = {make(key, chance): make(value, chance) for _ in range(chance.randint(0, 2))}
        case types.LiteralType(values=several):
            made = chance.choice(several)
        case _:
            made = SCALARS[type(kind)](chance)
    return made


def ordered(chance, values):
    low, value, high = sorted(chance.uniform(-9, 9) for _ in range(3))
    return {**values, "low": low, "value": value, "high": high}


def coded(chance, values):
    return {**values, "code": chance.choice(sorted(CODES))}


def shaped(chance, values):
    return {**values, "shape": ("N", chance.randint(0, 9)), "scale": 0.0, "zero_point": 0}


def unique(_chance, values):
    return {side: specs[:1] for side, specs in values.items()}


SPECIAL = {Estimate: ordered, Finding: coded, TensorSpec: shaped, Signature: unique}
CHANCES = st.randoms(use_true_random=False)
CALM = settings(max_examples=20, deadline=None)


@pytest.mark.parametrize("kind", DOCUMENTS, ids=lambda kind: kind.__name__)
@given(chance=CHANCES)
@CALM
def test_json_and_back(kind, chance):
    document = make(types.type_info(kind), chance)
    assert msgspec.json.decode(document_to_json(document), type=kind) == document


@pytest.mark.parametrize("kind", WRITTEN, ids=lambda kind: kind.__name__)
@given(chance=CHANCES)
@CALM
def test_what_is_written_is_read_by_its_kind_whatever_else_it_says(kind, chance, tmp_path_factory):
    made = make(types.type_info(kind), chance)
    document = msgspec.structs.replace(made, kind=kind.__name__.lower())
    fields = json.loads(document_to_json(document))
    fields["from a later version"] = {"anything": [1, None]}
    fields["source"]["another one"] = "x"
    path = tmp_path_factory.mktemp("document") / "report.json"
    path.write_text(json.dumps(fields), encoding="utf-8")
    assert read_document(path) == document
    assert all(isinstance(name, str) for name in artefact_files(document))


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{", '{"kind": "profile"}', '{"kind": "novel"}', '{"kind": "report"}', "\x00"],
)
def test_what_is_no_document_of_ours_is_one_error(text, tmp_path):
    path = tmp_path / "report.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(OutputError) as caught:
        read_document(path)
    assert caught.value.code == "OQ193"
