"""`bench prep`: the plain ways first, then the kernels and whole commands side by side."""
