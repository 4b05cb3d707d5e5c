"""Models in the forms that others read: folders, ONNX, GGUF. Imports what trains and measures."""
