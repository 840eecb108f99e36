"""A prepared model, and what it takes to quantize it by any recipe."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import msgspec

from onnxq.findings import Finding
from onnxq.models import OnnxModel
from onnxq.pipeline.bench import Bench
from onnxq.pipeline.plans import Order
from onnxq.recipe_kinds import Float32, StaticQdq, ranges_key
from onnxq.stages import GATE, QUANTIZE, GateRequest, QuantizeRequest, QuantizeResult
from onnxq.tunings import Tuning

_OF_REWRITES = frozenset({"OQ116", "OQ213"})
"""Codes of findings whose subject is a rewrite."""

NOTHING_SLOW: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True)
class Blank:
    """A prepared model, and what it takes to quantize it.

    Attributes:
        bench: Where the stages are carried out.
        model: The prepared model.
        inputs: Path of the inputs of one inference, by input name.
        ranges: Path of ranges by key.
        tuning: For which CPU, with which rewrites.
    """

    bench: Bench
    model: OnnxModel
    inputs: Mapping[str, str]
    ranges: Mapping[str, str]
    tuning: Tuning

    def quantize(
        self, alias: str, order: Order, slow: Mapping[str, str] = NOTHING_SLOW
    ) -> QuantizeResult:
        """Quantize by one recipe, and let the result through the gates.

        Args:
            alias: What people call the recipe.
            order: The recipe, and what it applies to.
            slow: Why nodes stay float although it could quantize them, by first output.

        Returns:
            The quantized model. It raises what the stages raise.
        """
        recipe = order.recipe
        if isinstance(recipe, Float32):
            message = "fp32 is the prepared model: nothing is quantized for it"
            raise TypeError(message)
        request = QuantizeRequest(
            model=self.model,
            recipe=recipe,
            ranges=self.ranges_of(order),
            scope=order.scope,
            tuning=self.tuning,
            slow=dict(slow),
        )
        quantized = self.bench.run(QUANTIZE, request, alias)
        gate = GateRequest(
            candidate=quantized.model,
            original=self.model,
            inputs=dict(self.inputs),
            io=quantized.io,
            tuning=self.tuning,
        )
        passed = self.bench.run(GATE, gate, alias)
        own = (_of_recipe(alias, finding) for finding in quantized.findings)
        return msgspec.structs.replace(quantized, findings=(*own, *passed.findings))

    def ranges_of(self, order: Order) -> str:
        """Return the path of the ranges that a recipe needs; empty if it needs none."""
        recipe = order.recipe
        key = ranges_key(recipe, order.scope) if isinstance(recipe, StaticQdq) else ""
        return self.ranges.get(key, "")


def _of_recipe(alias: str, finding: Finding) -> Finding:
    """Let what a recipe's rewrites did be told of the recipe: others may do the same again."""
    if finding.code not in _OF_REWRITES:
        return finding
    evidence = {**finding.evidence, "rewrite": finding.subject}
    return msgspec.structs.replace(finding, subject=alias, evidence=evidence)
