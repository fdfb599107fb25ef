"""What is built of the graph: TensorRT engines, AOTInductor packages, a Triton repository."""
