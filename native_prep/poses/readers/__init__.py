"""Readers of pose files, one module a program that writes them."""
