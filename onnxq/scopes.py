"""Scopes: what of a model a recipe is let at, and what its interface becomes. Values only.

A scope stands beside a recipe and is not part of its name: the same recipe may be told to leave a
layer alone. Whether a node may be quantized is decided by the first of these that speaks of it:
``keep_float``, ``skip_operators``, ``rules`` (in order), ``operators``.
"""

from fnmatch import fnmatchcase
from typing import Literal, TypeAlias

from msgspec import Struct

from onnxq.range_methods import RangeMethod

IntegerInterface: TypeAlias = Literal["float", "uint8", "int8"]
Granularity: TypeAlias = Literal["recipe", "perchannel", "pertensor"]


class AsRecipe(Struct, frozen=True, tag="recipe"):
    """As the recipe says."""


class KeepFloat(Struct, frozen=True, tag="keep-float"):
    """The nodes stay float."""


class Quantize(Struct, frozen=True, tag="quantize"):
    """The nodes are quantized, where the recipe can, and in this way.

    Attributes:
        granularity: Of their weights' scales: as the recipe says, or otherwise.
        ranges: How ranges of what they read and return are chosen.
    """

    granularity: Granularity = "recipe"
    ranges: RangeMethod | AsRecipe = AsRecipe()


class Rule(Struct, frozen=True):
    """What becomes of some nodes.

    Attributes:
        action: What is done with them.
        nodes: GLOB on node names, as ``onnxq inspect`` shows them; empty matches every name.
        operator: Operator type, such as ``Conv``; empty matches every type.
    """

    action: KeepFloat | Quantize
    nodes: str = ""
    operator: str = ""

    def matches(self, name: str, operator: str) -> bool:
        """Whether the rule speaks of a node.

        Args:
            name: The node's.
            operator: Its type.
        """
        return (not self.nodes or fnmatchcase(name, self.nodes)) and (
            not self.operator or operator == self.operator
        )


class QuantizationScope(Struct, frozen=True):
    """What of a model a recipe is let at. The defaults change nothing.

    Attributes:
        operators: Quantize nodes of these types only; empty: all that the recipe can.
        skip_operators: Nodes of these types stay float.
        keep_float: GLOBs on node names; what they match stays float.
        io: dtype of the model's float inputs and outputs after quantizing; ``float`` leaves them.
            Integers need a static recipe.
        strict: Whether a node that was asked for and stays float is an error.
        rules: Finer wishes; the first that matches a node decides.
    """

    operators: tuple[str, ...] = ()
    skip_operators: tuple[str, ...] = ()
    keep_float: tuple[str, ...] = ()
    io: IntegerInterface = "float"
    strict: bool = False
    rules: tuple[Rule, ...] = ()

    def decide(self, name: str, operator: str) -> KeepFloat | Quantize:
        """Decide about one node.

        Args:
            name: The node's.
            operator: Its type.

        Returns:
            What is wished; :class:`Quantize` means "where the recipe can".
        """
        return self._first_word(name, operator)[0]

    def why_float(self, name: str, operator: str) -> str:
        """Say which wish keeps a node in float.

        Args:
            name: The node's.
            operator: Its type.

        Returns:
            A sentence without a full stop; empty where the recipe may quantize the node.
        """
        action, wish = self._first_word(name, operator)
        return wish if isinstance(action, KeepFloat) else ""

    def _first_word(self, name: str, operator: str) -> tuple[KeepFloat | Quantize, str]:
        """Return what the first wish that speaks of a node says, and why it then stays float."""
        for glob in self.keep_float:
            if fnmatchcase(name, glob):
                return KeepFloat(), f"keep_float {glob!r} keeps it float"
        if operator in self.skip_operators:
            return KeepFloat(), f"skip_operator {operator} keeps it float"
        for number, rule in enumerate(self.rules, start=1):
            if rule.matches(name, operator):
                return rule.action, f"rule {number} keeps it float"
        if self.operators and operator not in self.operators:
            return KeepFloat(), f"only operator {', '.join(self.operators)} was asked for"
        return Quantize(), ""


EVERYTHING = QuantizationScope()
"""A recipe may do all that it can."""
