"""The CUDA driver of the kernels: the same numbers on a GPU, a thread a line and a thread a frame."""
