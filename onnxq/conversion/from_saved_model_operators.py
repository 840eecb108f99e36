"""Which operators a SavedModel holds, read from its protobuf: nothing is loaded, nothing runs.

A graph is a program: TensorFlow runs whatever operators it names, when a SavedModel is loaded
(initializers) and when it is called. So those that reach beyond tensors are looked for first.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from google.protobuf import text_format
from google.protobuf.message import DecodeError
from tensorflow.core.framework.graph_pb2 import GraphDef
from tensorflow.core.framework.node_def_pb2 import NodeDef
from tensorflow.core.protobuf.meta_graph_pb2 import MetaGraphDef
from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

from onnxq.errors import SourceError

_REACHING_OUT = re.compile(
    r"PyFunc|File|Reader|Record|Dataset|Rpc|Remote|Summary|Debug|Print|Snapshot|Save|Restore|"
    r"Checkpoint|BigQuery|ImmutableConst|LMDB|Sql|Proto|Socket|Http|Iterator|Send$|Recv$|Shell|"
    r"Dump|LoadAndRemap|Vocab|Skipgram|FixedUnigram|Session|Event|Sleep|"
    r"Xla|Mlir|TPU|TRT|Collective|Nccl"
)
"""What the names of TensorFlow's operators for files, Python, the network, logs and machine code
have in them (tensorflow/core/ops of TensorFlow 2.21); harmless ones among them are refused too."""

_CHECKPOINTING = frozenset({
    "Save", "SaveV2", "SaveSlices", "Restore", "RestoreV2", "RestoreSlice", "MergeV2Checkpoints",
})  # fmt: skip
"""Every SavedModel has them in a saver of its own, which nothing here runs."""

_HARMLESS = frozenset({"ShardedFilename"})
"""A saver's too: it formats a name."""

SAVE_AGAIN = "Save or download it again: model.export('folder') or tf.saved_model.save(...)."
_VARIABLES = "variables/variables.index"
_INITIALIZER = "__saved_model_init_op"


def read_meta_graph(folder: Path) -> MetaGraphDef:
    """Read the graph of a SavedModel that serves.

    Args:
        folder: Holds ``saved_model.pb`` (or ``.pbtxt``) and ``variables/``.

    Returns:
        The graph with the tag ``serve``, or the only one.

    Raises:
        SourceError: If files are missing (OQ101) or damaged (OQ104).
    """
    saved = _parse(folder)
    graphs = list(saved.meta_graphs)
    if not graphs:
        message = f"{folder.name} is damaged: its saved_model.pb holds no graph."
        raise SourceError(message, code="OQ104", hint=SAVE_AGAIN)
    serving = [graph for graph in graphs if "serve" in graph.meta_info_def.tags]
    found = (serving or graphs)[0]
    _check_variables(folder, found)
    return found


def find_signature(meta_graph: MetaGraphDef, name: str, given: str) -> None:
    """Raise if a SavedModel has no signature of a name.

    Args:
        meta_graph: From :func:`read_meta_graph`.
        name: The signature's.
        given: What the user calls the SavedModel.

    Raises:
        SourceError: OQ118, with the signatures that there are.
    """
    names = sorted(key for key in meta_graph.signature_def if not key.startswith("__"))
    if name in names:
        return
    if not names:
        message = f"{given} has no signatures, so that nothing in it can be called by name."
        hint = "Save it with one: model.export('folder'), or signatures= of tf.saved_model.save."
        raise SourceError(message, code="OQ118", hint=hint)
    message = f"{given} has no signature {name!r}; it has {', '.join(map(repr, names))}."
    hint = "\n".join(f"  --signature {name}" for name in names)
    raise SourceError(message, code="OQ118", hint=f"Name one of them:\n{hint}")


def check_operators(meta_graph: MetaGraphDef, given: str) -> None:
    """Raise if a SavedModel holds operators that touch more than tensors.

    Args:
        meta_graph: From :func:`read_meta_graph`.
        given: What the user calls the SavedModel.

    Raises:
        SourceError: OQ109, naming them.
    """
    found = reaching_out(meta_graph)
    if not found:
        return
    names = ", ".join(f"{name} ({count}x)" for name, count in sorted(found.items()))
    message = f"{given} holds operators that can touch files, Python, logs or the network: {names}."
    hint = (
        "If you trust whoever made it as you would trust a program of theirs, add --trust: they "
        "then run in a child process, as you.\n"
        "Else save the model again without them."
    )
    raise SourceError(message, code="OQ109", hint=hint)


def reaching_out(meta_graph: MetaGraphDef) -> Counter[str]:
    """Count the operators that touch more than tensors, by name.

    Args:
        meta_graph: From :func:`read_meta_graph`.

    Returns:
        Those in the graph and in every library function, called or not; a saver's own only
        where a signature, an initializer, or a function that loading can call reaches them.
    """
    graph = meta_graph.graph_def
    everywhere = Counter(node.op for node in _all_nodes(graph))
    reached = Counter(node.op for node in _reached(meta_graph))
    return Counter({
        name: count
        for name, count in everywhere.items()
        if _REACHING_OUT.search(name)
        and name not in _HARMLESS
        and (name not in _CHECKPOINTING or reached[name])
    })  # fmt: skip


def _parse(folder: Path) -> SavedModel:
    saved, binary, text = SavedModel(), folder / "saved_model.pb", folder / "saved_model.pbtxt"
    try:
        if binary.is_file():
            saved.ParseFromString(binary.read_bytes())
            return saved
        if text.is_file():
            parsed: SavedModel = text_format.Parse(text.read_text(encoding="utf-8"), saved)
            return parsed
    except (DecodeError, text_format.ParseError, UnicodeDecodeError) as error:
        message = f"{folder.name} is damaged: its saved_model.pb cannot be parsed: {error}"
        raise SourceError(message, code="OQ104", hint=SAVE_AGAIN) from error
    message = f"{folder.name} is not a SavedModel: saved_model.pb is not in it."
    raise SourceError(message, code="OQ101", hint=SAVE_AGAIN)


def _check_variables(folder: Path, meta_graph: MetaGraphDef) -> None:
    """Raise if the graph has variables and their files are not there."""
    operators = {node.op for node in _all_nodes(meta_graph.graph_def)}
    if not operators & {"VarHandleOp", "VariableV2", "Variable"}:
        return
    shards = list((folder / "variables").glob("variables.data-*"))
    if (folder / _VARIABLES).is_file() and shards:
        return
    message = f"{folder.name} is incomplete: its variables are not in {folder.name}/variables."
    hint = f"Copy the whole folder, with {_VARIABLES} and variables.data-*."
    raise SourceError(message, code="OQ101", hint=hint)


def _all_nodes(graph: GraphDef) -> Iterator[NodeDef]:
    yield from graph.node
    for function in graph.library.function:
        yield from function.node_def


def _reached(meta_graph: MetaGraphDef) -> Iterator[NodeDef]:
    """Yield what a signature, an initializer or an object's function runs.

    TensorFlow calls functions of objects, such as a table's creator, while it loads them; a
    saver's functions are none of an object's.
    """
    graph = meta_graph.graph_def
    nodes = {node.name: node for node in graph.node}
    functions = {function.signature.name: function for function in graph.library.function}
    waiting = [_node_of(name) for name in _roots(meta_graph)]
    seen: set[str] = set()
    called = list(meta_graph.object_graph_def.concrete_functions)
    while waiting:
        node = nodes.get(waiting.pop())
        if node is None or node.name in seen:
            continue
        seen.add(node.name)
        yield node
        waiting += map(_node_of, node.input)
        called += _calls(node)
    visited: set[str] = set()
    while called:
        name = called.pop()
        if name in visited or name not in functions:
            continue
        visited.add(name)
        for node in functions[name].node_def:
            yield node
            called += _calls(node)


def _roots(meta_graph: MetaGraphDef) -> Iterator[str]:
    for signature in meta_graph.signature_def.values():
        yield from (tensor.name for tensor in signature.outputs.values())
    for key in ("saved_model_main_op", "legacy_init_op", _INITIALIZER):
        if key in meta_graph.collection_def:
            yield from meta_graph.collection_def[key].node_list.value


def _node_of(tensor: str) -> str:
    return tensor.lstrip("^").partition(":")[0]


def _calls(node: NodeDef) -> Iterable[str]:
    for value in node.attr.values():
        if value.func.name:
            yield value.func.name
        yield from (function.name for function in value.list.func)
