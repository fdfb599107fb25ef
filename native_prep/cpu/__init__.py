"""The CPU driver of the kernels: files, one file, or frames in memory, to prepared clips."""
