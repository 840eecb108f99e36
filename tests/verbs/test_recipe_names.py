"""Recipes of one name: a file's and a built-in one are not mixed up."""

import pytest

from onnxq.errors import RecipeError
from onnxq.verbs.asking import ask_orders


def test_a_recipe_of_a_file_does_not_stand_in_for_another_of_its_name(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text('[recipe.fp16]\nrecipe = "int8"\n', encoding="utf-8")
    assert list(ask_orders([str(path)])) == ["fp16"]
    for asked in ([str(path), "fp16"], ["fp16", str(path)]):
        with pytest.raises(RecipeError, match="two different recipes are named 'fp16'"):
            ask_orders(asked)


def test_the_same_recipe_twice_is_built_once():
    assert list(ask_orders(["int8", "fp16", "int8"])) == ["int8", "fp16"]
