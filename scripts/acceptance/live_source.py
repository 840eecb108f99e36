"""Convert one live model of the matrix from Python, and print its document as ``--json`` does.

Usage: python scripts/acceptance/live_source.py KEY FOLDER OUT
"""

import sys
from pathlib import Path

import msgspec
from source_models import KERAS_MODELS, TORCH_MODELS

import onnxq
from onnxq.documents import document_to_json


def main() -> int:
    """Convert; 1, with the error as a document, if it was refused."""
    key, folder, out = sys.argv[1:]
    model = next(one for one in (*KERAS_MODELS, *TORCH_MODELS) if one.key == key)
    is_keras = model in KERAS_MODELS
    wanted = [t for t in model.inputs if not is_keras or t.dtype != "float32"]
    declared = tuple(tensor.declaration for tensor in wanted)
    if is_keras:
        import keras  # noqa: PLC0415 - only this model's own framework

        live: object = keras.models.load_model(Path(folder) / f"{key}.keras", compile=False)
    else:
        from make_torch_sources import load  # noqa: PLC0415 - only this model's own framework

        live = load(model)
    try:
        done = onnxq.convert(live, input=declared, out=out)
    except onnxq.OnnxqError as error:
        told = {"code": error.code, "message": error.message, "hint": error.hint}
        sys.stdout.buffer.write(msgspec.json.encode({"error": told}))
        return 1
    sys.stdout.buffer.write(document_to_json(done))
    return 0


if __name__ == "__main__":
    sys.exit(main())
