import pytest

from onnxq.scopes import EVERYTHING, KeepFloat, QuantizationScope, Quantize, Rule

PER_TENSOR = Quantize(granularity="pertensor")


def test_everything_may_be_quantized():
    assert EVERYTHING.decide("a", "Conv") == Quantize()
    assert EVERYTHING.why_float("a", "Conv") == ""


@pytest.mark.parametrize(
    ("scope", "why"),
    [
        (QuantizationScope(keep_float=("head/*", "stem")), "keep_float 'head/*' keeps it float"),
        (QuantizationScope(skip_operators=("Conv",)), "skip_operator Conv keeps it float"),
        (
            QuantizationScope(operators=("Gemm", "MatMul")),
            "only operator Gemm, MatMul was asked for",
        ),
        (QuantizationScope(rules=(Rule(KeepFloat(), nodes="head/*"),)), "rule 1 keeps it float"),
        (QuantizationScope(rules=(Rule(KeepFloat(), operator="Conv"),)), "rule 1 keeps it float"),
        (QuantizationScope(rules=(Rule(KeepFloat()),)), "rule 1 keeps it float"),
    ],
)
def test_each_wish_keeps_a_node_float_and_says_so(scope, why):
    assert scope.decide("head/conv", "Conv") == KeepFloat()
    assert scope.why_float("head/conv", "Conv") == why


def test_the_first_rule_that_matches_decides():
    rules = (
        Rule(PER_TENSOR, nodes="head/*", operator="Conv"),
        Rule(KeepFloat(), nodes="head/*"),
        Rule(Quantize(), operator="Gemm"),
    )
    scope = QuantizationScope(rules=rules, operators=("Conv",))
    assert scope.decide("head/1", "Conv") == PER_TENSOR
    assert scope.decide("head/2", "Gemm") == KeepFloat()
    assert scope.decide("body/1", "Gemm") == Quantize()
    assert scope.decide("body/2", "MatMul") == KeepFloat()


def test_what_is_kept_by_name_stays_whatever_rules_say():
    rules = (Rule(Quantize(), nodes="*"),)
    scope = QuantizationScope(rules=rules, keep_float=("a",), skip_operators=("Conv",))
    assert scope.decide("a", "Gemm") == KeepFloat()
    assert scope.decide("b", "Conv") == KeepFloat()


def test_globs_know_case():
    assert QuantizationScope(keep_float=("Head*",)).decide("head", "Conv") == Quantize()
