"""What a scope says about the nodes of a graph, and whether it speaks of this graph at all."""

import difflib
from collections.abc import Iterable
from fnmatch import fnmatchcase

import msgspec
from onnx import ModelProto, NodeProto

from onnxq.errors import RecipeError
from onnxq.graph.nodes import walk_nodes
from onnxq.graph.operator_kinds import FOLLOWING
from onnxq.scopes import KeepFloat, QuantizationScope, Quantize

_SHOWN = 8


def wish_for(node: NodeProto, scope: QuantizationScope) -> KeepFloat | Quantize:
    """Return what a scope says about a node.

    A list of operators speaks of those that compute: what only moves or activates values follows
    its neighbours, unless it is named by another wish.

    Args:
        node: Of a prepared model, in which every node has a name.
        scope: The wishes.
    """
    return _about(node, scope).decide(node.name, node.op_type)


def why_kept_float(node: NodeProto, scope: QuantizationScope) -> str:
    """Say which wish keeps a node in float; empty where none does.

    Args:
        node: Of a prepared model.
        scope: The wishes.
    """
    return _about(node, scope).why_float(node.name, node.op_type)


def check_scope(proto: ModelProto, scope: QuantizationScope) -> None:
    """Refuse wishes that speak of nothing in a model: most likely they are misspelt.

    Args:
        proto: A prepared float model.
        scope: The wishes.

    Raises:
        RecipeError: OQ164, with near misses.
    """
    nodes = list(walk_nodes(proto.graph))
    types = sorted({node.op_type for node in nodes})
    names = [node.name for node in nodes]
    for operator in (*scope.operators, *scope.skip_operators):
        if operator not in types:
            shown = f"It has {_listed(types)}."
            if operator == "MatMul" and "Gemm" in types:
                shown += " Where an Add follows, the preparation made a Gemm of a MatMul."
            _refuse(f"operator {operator!r}", operator, types, shown)
    for glob in scope.keep_float:
        if not any(fnmatchcase(name, glob) for name in names):
            _refuse(f"node like {glob!r}", glob, names, _some_names(names))
    for number, rule in enumerate(scope.rules, start=1):
        if any(rule.matches(node.name, node.op_type) for node in nodes):
            continue
        what = f"node for rule {number} ({rule.operator or 'any operator'}, {rule.nodes or '*'})"
        if rule.operator and rule.operator not in types:
            _refuse(what, rule.operator, types, f"It has {_listed(types)}.")
        _refuse(what, rule.nodes, names, _some_names(names))


def _about(node: NodeProto, scope: QuantizationScope) -> QuantizationScope:
    if scope.operators and node.op_type in FOLLOWING and node.op_type not in scope.operators:
        return msgspec.structs.replace(scope, operators=())
    return scope


def _refuse(what: str, typed: str, known: Iterable[str], shown: str) -> None:
    by_plain = {name.lower(): name for name in known}
    near = difflib.get_close_matches(typed.strip("*").lower(), by_plain, n=1, cutoff=0.5)
    guess = f"Did you mean {by_plain[near[0]]!r}? " if near else ""
    message = f"the model has no {what}."
    raise RecipeError(message, code="OQ164", hint=f"{guess}{shown}")


def _some_names(names: list[str]) -> str:
    """List names; a prepared model has other nodes than its source, so say how to see its own."""
    told = f"Its nodes, once prepared: {_listed(names)}."
    if len(names) <= _SHOWN:
        return told
    ways = "onnxq quantize MODEL -r fp32 -o fp32.onnx  and  onnxq inspect fp32.onnx -v"
    return f"{told} All of them:  {ways}"


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
