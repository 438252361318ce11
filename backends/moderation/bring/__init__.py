"""Bring your own model: any source to an ONNX file, a manifest and labels in the next version folder of a role."""
