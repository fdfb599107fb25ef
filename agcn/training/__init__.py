"""The training loop, and what it needs: setup, optimizer, resumption, processes, log."""
