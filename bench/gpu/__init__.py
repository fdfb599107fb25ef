"""`bench gpu`: everything that needs a GPU, each part in a process of its own."""
