"""Write each Keras model of the matrix in every kind of file that Keras and TensorFlow know.

Usage: python scripts/acceptance/make_keras_sources.py FOLDER
"""

import contextlib
import io
import os
import runpy
import sys
import warnings
from functools import partial
from pathlib import Path

os.environ |= {"TF_CPP_MIN_LOG_LEVEL": "3", "TF_ENABLE_ONEDNN_OPTS": "0"}  # else it chatters

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from source_models import KERAS_MODELS, ROOT, Model
from source_oracles import Rows, write_oracle


def main() -> None:
    """Write all of them into the folder that is named."""
    folder = Path(sys.argv[1])
    for model in KERAS_MODELS:
        network = load(model)
        write_oracle(model, folder, partial(compute, network, model.outputs))
        if not model.is_whole:
            write_kinds(model, network, folder)
        print(f"made {model.key}", flush=True)


def compute(
    network: keras.Model, outputs: tuple[str, ...], rows: Rows
) -> list[NDArray[np.generic]]:
    """Run a network on rows; its outputs in order."""
    found = network(rows if len(rows) > 1 else next(iter(rows.values())), training=False)
    named = isinstance(found, dict)
    return [np.asarray(found[name]) for name in outputs] if named else [np.asarray(found)]


def load(model: Model) -> keras.Model:
    """Load a trained model, or make one by its factory."""
    if model.file:
        return keras.models.load_model(ROOT / model.file, compile=False)
    return runpy.run_path(str(model.factory_file))[model.function]()


def write_kinds(model: Model, network: keras.Model, folder: Path) -> None:
    """Write one model in every kind that it can be written in."""
    network.save(folder / f"{model.key}.keras")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Keras calls HDF5 legacy
        network.save(folder / f"{model.key}.h5")
    network.save_weights(folder / f"{model.key}.weights.h5")
    with contextlib.redirect_stdout(io.StringIO()):
        network.export(folder / f"{model.key}_saved_model", verbose=False)
    with contextlib.redirect_stdout(io.StringIO()):
        content = converter_of(model, network, folder).convert()
    (folder / f"{model.key}.tflite").write_bytes(content)


def converter_of(model: Model, network: keras.Model, folder: Path) -> tf.lite.TFLiteConverter:
    """Prepare TFLite's converter, with the batch that it can do."""
    if not model.tflite_rows:
        return tf.lite.TFLiteConverter.from_keras_model(network)
    fixed = folder / f"{model.key}_fixed_batch"
    specs = [
        keras.InputSpec(shape=(model.tflite_rows, *t.shape), dtype=t.dtype, name=t.name)
        for t in model.inputs
    ]
    network.export(fixed, verbose=False, input_signature=specs)
    return tf.lite.TFLiteConverter.from_saved_model(str(fixed))


if __name__ == "__main__":
    main()
