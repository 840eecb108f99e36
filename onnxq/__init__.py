"""Turn a Keras, PyTorch or ONNX model into a smaller, faster ONNX model, and know what it cost."""
