"""`bench prep`: the baselines first, then the kernels and whole commands side by side."""
