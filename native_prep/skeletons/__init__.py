"""Skeleton layouts, one YAML file each in `data/`, and the streams that are made of their joints."""
