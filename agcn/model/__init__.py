"""The network: graph, layers, the ten blocks, and one row for all absent bodies."""
