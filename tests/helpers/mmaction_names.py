"""A model's weights as MMAction2 and PYSKL name them."""

from collections import OrderedDict

import torch

from agcn.model.network import Model

PARTS = {"gcn1": "gcn", "tcn1": "tcn", "residual": "residual"}


def theirs(model: Model, classifier: str = "fc") -> dict[str, torch.Tensor]:
    """A model's weights under MMAction2's names."""
    state = OrderedDict({"backbone.A": model.l1.gcn1.A.clone()})
    for name, value in model.state_dict().items():
        block, _, rest = name.partition(".")
        if block == "fc":
            state[f"cls_head.{classifier}.{rest}"] = value
        elif block == "data_bn":
            state[f"backbone.{name}"] = value
        else:
            part, _, inner = rest.partition(".")
            inner = "A" if inner == "PA" else inner
            state[f"backbone.gcn.{int(block[1:]) - 1}.{PARTS[part]}.{inner}"] = value
    return state
