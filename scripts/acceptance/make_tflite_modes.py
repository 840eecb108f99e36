"""Write the five kinds of file of TFLite's post-training tutorials, and what each answers.

Usage: python scripts/acceptance/make_tflite_modes.py FOLDER
"""

import contextlib
import io
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

os.environ |= {"TF_CPP_MIN_LOG_LEVEL": "3", "TF_ENABLE_ONEDNN_OPTS": "0"}  # else it chatters

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from source_models import ROOT

sys.path.insert(0, str(ROOT))

from models.mnist import calibration_rows, test_rows

MODEL = "models/mnist_tutorial_keras/mnist_tutorial.keras"
MODES = ("float", "dynamic_range", "full_integer", "float16", "int16x8")
_BATCH = 1000


def main() -> None:
    """Write ``MODE.tflite`` and ``MODE.npy``, its logits for MNIST's test rows."""
    folder = Path(sys.argv[1])
    network = keras.models.load_model(ROOT / MODEL, compile=False)
    images = test_rows()["image"].astype(np.float32)
    for mode in MODES:
        with contextlib.redirect_stdout(io.StringIO()):
            content = converter_for(mode, network).convert()
        (folder / f"{mode}.tflite").write_bytes(content)
        np.save(folder / f"{mode}.npy", interpret(content, images))


def converter_for(mode: str, network: keras.Model) -> tf.lite.TFLiteConverter:
    """Set TFLite's converter up as its tutorials do."""
    converter = tf.lite.TFLiteConverter.from_keras_model(network)
    if mode != "float":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if mode == "float16":
        converter.target_spec.supported_types = [tf.float16]
    if mode in {"full_integer", "int16x8"}:
        converter.representative_dataset = representative
    if mode == "full_integer":
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = converter.inference_output_type = tf.uint8
    if mode == "int16x8":
        wanted = tf.lite.OpsSet.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8
        converter.target_spec.supported_ops = [wanted]
    return converter


def representative() -> Iterator[list[NDArray[np.float32]]]:
    """Hand out the rows that onnxq calibrates on, one by one."""
    for image in calibration_rows()["image"]:
        yield [image[None].astype(np.float32)]


def interpret(content: bytes, images: NDArray[np.float32]) -> NDArray[np.float32]:
    """Run a file on rows by TFLite's interpreter; integers are taken and given as it says."""
    interpreter = tf.lite.Interpreter(model_content=content)
    (given,), (answered,) = interpreter.get_input_details(), interpreter.get_output_details()
    interpreter.resize_tensor_input(given["index"], (_BATCH, *images.shape[1:]))
    interpreter.allocate_tensors()
    found = []
    for start in range(0, len(images), _BATCH):
        interpreter.set_tensor(given["index"], to_integers(images[start : start + _BATCH], given))
        interpreter.invoke()
        found.append(to_numbers(interpreter.get_tensor(answered["index"]), answered))
    return np.concatenate(found)


def to_integers(values: NDArray[np.float32], detail: dict[str, Any]) -> NDArray[np.generic]:
    """Quantize rows as an input says; float inputs take them as they are."""
    dtype = np.dtype(detail["dtype"])
    if dtype.kind == "f":
        return values
    scale, zero_point = detail["quantization"]
    ends = np.iinfo(dtype)
    steps = np.rint(values / scale) + zero_point
    return np.asarray(np.clip(steps, ends.min, ends.max).astype(dtype))


def to_numbers(values: NDArray[np.generic], detail: dict[str, Any]) -> NDArray[np.float32]:
    """Dequantize what an output gives."""
    scale, zero_point = detail["quantization"]
    numbers = values.astype(np.float32)
    return np.asarray((numbers - zero_point) * scale if scale else numbers)


if __name__ == "__main__":
    main()
