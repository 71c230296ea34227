"""The family of networks that can be built: digits, units, modules, ONNX graphs and costs."""
