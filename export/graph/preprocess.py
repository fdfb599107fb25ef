"""The preparation of raw joints as tensor operations, for engines that take them as the sensor gives them.

What `native_prep` makes of the same numbers, but for the choice of bodies: those of most motion come first, zeros stand
where nobody is. Letters: N clips, C channels, T frames, V joints, M bodies.
"""

import torch
from torch import Tensor, nn

from agcn.data import pyskl
from native_prep.skeletons.layouts import KINETICS, NTU, Layout


def preprocess_for(layout: Layout) -> nn.Module:
    """The module for the raw clips of a skeleton.

    Raises:
        ValueError: its raw clips need no preparation, or one that engines do not have.
    """
    if layout == NTU:
        return NtuPreprocess(layout)
    if layout == KINETICS:
        return KineticsPreprocess()
    raise ValueError(
        f"--with-prep: an engine prepares clips of ntu and kinetics, not of {layout.name}: "
        "leave it out and prepare them with native_prep"
    )


class PysklPreprocess(nn.Module):
    """Raw (N, 3, T, V, M) -> what the feeder's `convention: pyskl` makes of it for the first view of a test.

    Args:
        layout: of x y score, where raw x and y are shares of the picture, or of x y z in metres.
        frames: T; a clip ends with its last frame that is not all zero.
        size: frames that the network sees.
        with_next: for four streams, 2 * size frames, see `agcn.data.pyskl.sample_frames`.

    Raises:
        ValueError: see `agcn.data.pyskl.check_layout`.
    """

    table: Tensor

    def __init__(self, layout: Layout, frames: int, size: int, with_next: bool) -> None:
        super().__init__()
        pyskl.check_layout(layout)
        self.layout, self.with_next, self.image = layout, with_next, layout.coordinates == "image"
        self.centre_picture = KineticsPreprocess() if self.image else nn.Identity()
        self.register_buffer("table", pyskl.frame_table(frames, size))

    def forward(self, raw: Tensor) -> Tensor:
        """Raw (N, 3, T, V, M) -> (N, 3, size or 2 * size, V, M)."""
        x, length = pyskl.normalise(self.centre_picture(raw), self.layout)
        index = self.table.index_select(0, length)
        return pyskl.sample_frames(x, index, length, self.with_next, self.image)


class NtuPreprocess(nn.Module):
    """Raw (N, 3, T, V, M), metres -> prepared, the same shape: gaps filled, centred and turned.

    Source: pre_normalization in data_gen/preprocess.py of 2s-AGCN.
    """

    def __init__(self, layout: Layout) -> None:
        super().__init__()
        self.layout = layout

    def forward(self, raw: Tensor) -> Tensor:
        """Raw (N, 3, T, V, M) -> prepared, the same shape."""
        x = _filled(raw.permute(0, 4, 2, 3, 1))  # (N, M, T, V, C)
        # Joints at the origin are none: they stay there.
        x = (x - x[:, :1, :, self.layout.centre, None]) * (x.sum(dim=4, keepdim=True) != 0)
        x = x.permute(0, 4, 2, 3, 1)  # (N, C, T, V, M)
        return pyskl.turn_body(x, self.layout)


class KineticsPreprocess(nn.Module):
    """Raw (N, 3, T, V, M), shares of the picture and scores -> centred, y up, zero where the score is.

    Source: feeder/feeder_kinetics.py of 2s-AGCN.
    """

    def forward(self, raw: Tensor) -> Tensor:
        """Raw (N, 3, T, V, M) -> prepared, the same shape."""
        x, y, score = raw.unbind(dim=1)  # (N, T, V, M) each
        seen = score != 0
        return torch.stack([(x - 0.5) * seen, (0.5 - y) * seen, score], dim=1)


def _filled(x: Tensor) -> Tensor:
    """Bodies (N, M, T, V, C) that start in frame 0 and repeat from there after their last frame."""
    frames = x.shape[2]
    seen = x.sum(dim=(3, 4)) != 0  # (N, M, T)
    count = torch.arange(frames, device=x.device)  # (T,)
    last = torch.where(seen, count + 1, 0).amax(dim=2, keepdim=True)  # (N, M, 1)
    # A body that starts late loses all its empty frames: those that are seen go first, in order. As numbers below 2^24
    # that are all different, so that every runtime sorts them alike.
    key = torch.where(seen, count, count + frames).float()
    order = torch.topk(key, frames, dim=2, largest=False).indices  # (N, M, T)
    on_time = seen[:, :, :1]
    order = torch.where(on_time, count, order)
    length = torch.where(on_time, last, seen.long().sum(dim=2, keepdim=True)).clamp(min=1)  # (N, M, 1)
    index = torch.gather(order, 2, count % length)  # (N, M, T)
    return torch.gather(x, 2, index[..., None, None].expand(x.shape))
