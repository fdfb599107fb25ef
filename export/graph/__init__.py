"""The network as it is deployed: folded, as ONNX, in half precision or int8, and the parity rule."""
