"""Sources become ONNX models that are proven to compute the same."""
