"""Triton's kernels for the graph convolution; `agcn.model.fused_graph_conv` says what they compute.

Letters: N rows, C channels before, D after, T frames, V joints, three subsets of the graph, E channels of an embedding.
Features lie with their channels last, (N, T, V, C) in memory.

A program holds a tile of BT frames with all joints, padded to BV, a power of two. Its rows are numbered joint by joint,
v * BT + t, so that (BV * BT, BD), which a product with weights wants, and (BV, BT * BD), which a product with a graph
wants, are the same numbers in the same order: `reshape` turns one into the other.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

# Joints and frames in a tile, and warps for them: `bench gpu` times others.
tile_rows, num_warps = 128, 8
# Programs to keep a GPU of up to 132 multiprocessors busy with, where their number can be chosen.
_PROGRAMS = 528


@triton.jit
def _tile(
    base, frame, frames, channel, channels: tl.constexpr, joints: tl.constexpr, BV: tl.constexpr, BT: tl.constexpr
):
    """(BV * BT, B) of one row's features, zeros outside; the pointers and their mask are for storing."""
    rows = tl.arange(0, BV * BT)
    joint, at = rows // BT, frame + rows % BT
    pointers = base + (at * joints + joint)[:, None] * channels + channel[None, :]
    mask = ((joint < joints) & (at < frames))[:, None] & (channel < channels)[None, :]
    return pointers, mask


@triton.jit
def _graph(base, joints: tl.constexpr, BV: tl.constexpr, transposed: tl.constexpr):
    """(BV, BV) of one graph: from joint v (row) to joint w (column), or transposed; zeros outside."""
    row, column = tl.arange(0, BV)[:, None], tl.arange(0, BV)[None, :]
    at = column * joints + row if transposed else row * joints + column
    return tl.load(base + at, mask=(row < joints) & (column < joints), other=0.0)


@triton.jit
def _weighted(
    x, weight, frame, frames, out, channels: tl.constexpr, out_channels: tl.constexpr, joints: tl.constexpr,
    BV: tl.constexpr, BT: tl.constexpr, BC: tl.constexpr, BD: tl.constexpr,
):  # fmt: skip
    """One row of x times the weights of each subset: three of (BV * BT, BD)."""
    first = tl.zeros((BV * BT, BD), tl.float32)
    second = tl.zeros((BV * BT, BD), tl.float32)
    third = tl.zeros((BV * BT, BD), tl.float32)
    for start in range(0, channels, BC):
        channel = start + tl.arange(0, BC)
        pointers, mask = _tile(x, frame, frames, channel, channels, joints, BV, BT)
        tile = tl.load(pointers, mask=mask, other=0.0)
        at = weight + out[None, :] * channels + channel[:, None]  # (BC, BD) of weight (3, D, C)
        inside = (channel < channels)[:, None] & (out < out_channels)[None, :]
        subset = out_channels * channels
        first = tl.dot(tile, tl.load(at, mask=inside, other=0.0), first, input_precision="ieee")
        second = tl.dot(tile, tl.load(at + subset, mask=inside, other=0.0), second, input_precision="ieee")
        third = tl.dot(tile, tl.load(at + 2 * subset, mask=inside, other=0.0), third, input_precision="ieee")
    return first, second, third


@triton.jit
def _place(frames, tiles, BT: tl.constexpr, BD: tl.constexpr):
    """Row, first frame and channels of a program. Those of one frame run together, as they read the same features."""
    tile, block = tl.program_id(0) % tiles, tl.program_id(0) // tiles
    blocks = tl.cdiv(frames, BT)
    return (block // blocks).to(tl.int64), block % blocks * BT, tile * BD + tl.arange(0, BD)


@triton.jit(do_not_specialize=["frames"])
def _convolve(
    x, graphs, weight, y, frames,
    channels: tl.constexpr, out_channels: tl.constexpr, joints: tl.constexpr, transposed: tl.constexpr,
    BV: tl.constexpr, BT: tl.constexpr, BC: tl.constexpr, BD: tl.constexpr,
):  # fmt: skip
    """Into y the sum over subsets of graph times x times weight."""
    row, frame, out = _place(frames, tl.cdiv(out_channels, BD), BT, BD)
    first, second, third = _weighted(
        x + row * frames * joints * channels, weight, frame, frames, out, channels, out_channels, joints,
        BV, BT, BC, BD,
    )  # fmt: skip
    dtype = y.dtype.element_ty
    graph = graphs + row * 3 * joints * joints
    total = tl.zeros((BV, BT * BD), tl.float32)
    part = first.to(dtype).reshape(BV, BT * BD)
    total = tl.dot(_graph(graph, joints, BV, not transposed), part, total, input_precision="ieee")
    part = second.to(dtype).reshape(BV, BT * BD)
    total = tl.dot(_graph(graph + joints * joints, joints, BV, not transposed), part, total, input_precision="ieee")
    part = third.to(dtype).reshape(BV, BT * BD)
    total = tl.dot(_graph(graph + 2 * joints * joints, joints, BV, not transposed), part, total, input_precision="ieee")
    y += row * frames * joints * out_channels
    pointers, mask = _tile(y, frame, frames, out, out_channels, joints, BV, BT)
    tl.store(pointers, total.reshape(BV * BT, BD).to(dtype), mask=mask)


@triton.jit
def _store_graphs(parts, row, share, first, second, third, joints: tl.constexpr, BV: tl.constexpr):
    """Stores what a program with a tile of channels, a row and a share of the frames has summed up of three graphs."""
    size: tl.constexpr = joints * joints
    parts += ((share * tl.num_programs(0) + tl.program_id(0)) * tl.num_programs(1) + row) * 3 * size
    joint, other = tl.arange(0, BV)[:, None], tl.arange(0, BV)[None, :]
    mask = (joint < joints) & (other < joints)
    at = joint * joints + other
    tl.store(parts + at, first, mask=mask)
    tl.store(parts + size + at, second, mask=mask)
    tl.store(parts + 2 * size + at, third, mask=mask)


@triton.jit(do_not_specialize=["frames", "blocks_each"])
def _graph_gradients(
    x, weight, dy, parts, frames, blocks_each,
    channels: tl.constexpr, out_channels: tl.constexpr, joints: tl.constexpr,
    BV: tl.constexpr, BT: tl.constexpr, BC: tl.constexpr, BD: tl.constexpr,
):  # fmt: skip
    """Into parts, for each tile of channels and share of the frames, the gradient of every row's three graphs."""
    out = tl.program_id(0) * BD + tl.arange(0, BD)
    row, share = tl.program_id(1).to(tl.int64), tl.program_id(2)
    x += row * frames * joints * channels
    dy += row * frames * joints * out_channels
    first = tl.zeros((BV, BV), tl.float32)
    second = tl.zeros((BV, BV), tl.float32)
    third = tl.zeros((BV, BV), tl.float32)
    for block in range(share * blocks_each, min((share + 1) * blocks_each, tl.cdiv(frames, BT))):
        frame = block * BT
        from_first, from_second, from_third = _weighted(
            x, weight, frame, frames, out, channels, out_channels, joints, BV, BT, BC, BD
        )
        pointers, mask = _tile(dy, frame, frames, out, out_channels, joints, BV, BT)
        gradient = tl.load(pointers, mask=mask, other=0.0)
        to = tl.trans(gradient.reshape(BV, BT * BD))
        dtype = gradient.dtype
        first = tl.dot(from_first.to(dtype).reshape(BV, BT * BD), to, first, input_precision="ieee")
        second = tl.dot(from_second.to(dtype).reshape(BV, BT * BD), to, second, input_precision="ieee")
        third = tl.dot(from_third.to(dtype).reshape(BV, BT * BD), to, third, input_precision="ieee")
    _store_graphs(parts, row, share, first, second, third, joints, BV)


@triton.jit(do_not_specialize=["frames", "tiles", "tiles_each"])
def _weight_gradients(
    x, graphs, dy, parts, frames, tiles, tiles_each,
    channels: tl.constexpr, out_channels: tl.constexpr, joints: tl.constexpr,
    BV: tl.constexpr, BT: tl.constexpr, BC: tl.constexpr, BD: tl.constexpr,
):  # fmt: skip
    """Into parts, for each share of the tiles of all rows, the gradient of the weights (3, D, C)."""
    columns = tl.cdiv(channels, BC)
    channel = tl.program_id(0) % columns * BC + tl.arange(0, BC)
    out = tl.program_id(0) // columns * BD + tl.arange(0, BD)
    share = tl.program_id(1)
    blocks = tl.cdiv(frames, BT)
    first = tl.zeros((BC, BD), tl.float32)
    second = tl.zeros((BC, BD), tl.float32)
    third = tl.zeros((BC, BD), tl.float32)
    for tile in range(share * tiles_each, min((share + 1) * tiles_each, tiles)):
        row = (tile // blocks).to(tl.int64)
        frame = tile % blocks * BT
        pointers, mask = _tile(
            dy + row * frames * joints * out_channels, frame, frames, out, out_channels, joints, BV, BT
        )
        gradient = tl.load(pointers, mask=mask, other=0.0)
        dtype = gradient.dtype
        gradient = gradient.reshape(BV, BT * BD)
        pointers, mask = _tile(x + row * frames * joints * channels, frame, frames, channel, channels, joints, BV, BT)
        given = tl.trans(tl.load(pointers, mask=mask, other=0.0))
        graph = graphs + row * 3 * joints * joints
        part = tl.dot(_graph(graph, joints, BV, False), gradient, input_precision="ieee").to(dtype)
        first = tl.dot(given, part.reshape(BV * BT, BD), first, input_precision="ieee")
        part = tl.dot(_graph(graph + joints * joints, joints, BV, False), gradient, input_precision="ieee").to(dtype)
        second = tl.dot(given, part.reshape(BV * BT, BD), second, input_precision="ieee")
        graph += 2 * joints * joints
        part = tl.dot(_graph(graph, joints, BV, False), gradient, input_precision="ieee").to(dtype)
        third = tl.dot(given, part.reshape(BV * BT, BD), third, input_precision="ieee")
    size = out_channels * channels
    parts += share.to(tl.int64) * 3 * size + out[None, :] * channels + channel[:, None]
    mask = (out < out_channels)[None, :] & (channel < channels)[:, None]
    tl.store(parts, first, mask=mask)
    tl.store(parts + size, second, mask=mask)
    tl.store(parts + 2 * size, third, mask=mask)


@triton.jit
def _embedding(
    x, weight, bias, frame, frames, embedded, channels: tl.constexpr, embedding: tl.constexpr, joints: tl.constexpr,
    BV: tl.constexpr, BT: tl.constexpr, BC: tl.constexpr, BD: tl.constexpr,
):  # fmt: skip
    """One row of x times weights plus bias of each subset: three of (BV * BT, BD), as precise as x, zeros outside."""
    first, second, third = _weighted(x, weight, frame, frames, embedded, channels, embedding, joints, BV, BT, BC, BD)
    _, mask = _tile(x, frame, frames, embedded, embedding, joints, BV, BT)
    inside = embedded < embedding
    dtype = x.dtype.element_ty
    first = tl.where(mask, first + tl.load(bias + embedded, mask=inside, other=0.0)[None, :], 0.0).to(dtype)
    bias += embedding
    second = tl.where(mask, second + tl.load(bias + embedded, mask=inside, other=0.0)[None, :], 0.0).to(dtype)
    bias += embedding
    third = tl.where(mask, third + tl.load(bias + embedded, mask=inside, other=0.0)[None, :], 0.0).to(dtype)
    return first, second, third


@triton.jit(do_not_specialize=["frames", "blocks_each"])
def _similarities(
    x, weight, bias, parts, frames, blocks_each,
    channels: tl.constexpr, embedding: tl.constexpr, joints: tl.constexpr,
    BV: tl.constexpr, BT: tl.constexpr, BC: tl.constexpr, BD: tl.constexpr,
):  # fmt: skip
    """Into parts, for each tile of the embedding and share of the frames, theta' phi of every row's three subsets."""
    embedded = tl.program_id(0) * BD + tl.arange(0, BD)
    row, share = tl.program_id(1).to(tl.int64), tl.program_id(2)
    x += row * frames * joints * channels
    first = tl.zeros((BV, BV), tl.float32)
    second = tl.zeros((BV, BV), tl.float32)
    third = tl.zeros((BV, BV), tl.float32)
    for block in range(share * blocks_each, min((share + 1) * blocks_each, tl.cdiv(frames, BT))):
        frame = block * BT
        theta_first, theta_second, theta_third = _embedding(
            x, weight, bias, frame, frames, embedded, channels, embedding, joints, BV, BT, BC, BD
        )
        phi_first, phi_second, phi_third = _embedding(
            x, weight + 3 * embedding * channels, bias + 3 * embedding, frame, frames, embedded,
            channels, embedding, joints, BV, BT, BC, BD,
        )  # fmt: skip
        to = tl.trans(phi_first.reshape(BV, BT * BD))
        first = tl.dot(theta_first.reshape(BV, BT * BD), to, first, input_precision="ieee")
        to = tl.trans(phi_second.reshape(BV, BT * BD))
        second = tl.dot(theta_second.reshape(BV, BT * BD), to, second, input_precision="ieee")
        to = tl.trans(phi_third.reshape(BV, BT * BD))
        third = tl.dot(theta_third.reshape(BV, BT * BD), to, third, input_precision="ieee")
    _store_graphs(parts, row, share, first, second, third, joints, BV)


@triton.jit(do_not_specialize=["frames"])
def _embedding_gradients(
    x, weight, bias, dgraphs, dy, frames,
    channels: tl.constexpr, embedding: tl.constexpr, joints: tl.constexpr,
    BV: tl.constexpr, BT: tl.constexpr, BC: tl.constexpr, BD: tl.constexpr,
):  # fmt: skip
    """Into dy (N, T, V, 6 * E) the gradients of theta and phi, from those of theta' phi."""
    row, frame, embedded = _place(frames, tl.cdiv(embedding, BD), BT, BD)
    x += row * frames * joints * channels
    dgraphs += row * 3 * joints * joints
    dy += row * frames * joints * 6 * embedding
    first, second, third = _embedding(
        x, weight + 3 * embedding * channels, bias + 3 * embedding, frame, frames, embedded,
        channels, embedding, joints, BV, BT, BC, BD,
    )  # fmt: skip
    _store_products(dy, dgraphs, first, second, third, frame, frames, embedded, embedding, joints, False, BV, BT, BD)
    first, second, third = _embedding(
        x, weight, bias, frame, frames, embedded, channels, embedding, joints, BV, BT, BC, BD
    )
    dy += 3 * embedding
    _store_products(dy, dgraphs, first, second, third, frame, frames, embedded, embedding, joints, True, BV, BT, BD)


@triton.jit
def _store_products(
    dy, dgraphs, first, second, third, frame, frames, embedded, embedding: tl.constexpr, joints: tl.constexpr,
    transposed: tl.constexpr, BV: tl.constexpr, BT: tl.constexpr, BD: tl.constexpr,
):  # fmt: skip
    """Stores the product of each subset's graph, transposed or not, with its (BV * BT, BD)."""
    pointers, mask = _tile(dy, frame, frames, embedded, 6 * embedding, joints, BV, BT)
    mask = mask & (embedded < embedding)[None, :]
    dtype = dy.dtype.element_ty
    graph = _graph(dgraphs, joints, BV, transposed)
    y = tl.dot(graph, first.reshape(BV, BT * BD), input_precision="ieee")
    tl.store(pointers, y.reshape(BV * BT, BD).to(dtype), mask=mask)
    graph = _graph(dgraphs + joints * joints, joints, BV, transposed)
    y = tl.dot(graph, second.reshape(BV, BT * BD), input_precision="ieee")
    tl.store(pointers + embedding, y.reshape(BV * BT, BD).to(dtype), mask=mask)
    graph = _graph(dgraphs + 2 * joints * joints, joints, BV, transposed)
    y = tl.dot(graph, third.reshape(BV, BT * BD), input_precision="ieee")
    tl.store(pointers + 2 * embedding, y.reshape(BV * BT, BD).to(dtype), mask=mask)


def convolve(x: Tensor, graphs: Tensor, weight: Tensor, transposed: bool) -> Tensor:
    """(N, T, V, C), (N, 3, V, V), (3, D, C) -> (N, T, V, D); with the graphs transposed where that is asked for."""
    rows, frames, joints, channels = x.shape
    out_channels = weight.shape[1]
    y = x.new_empty(rows, frames, joints, out_channels)
    sizes = _sizes(joints, channels, out_channels, widest=64)
    programs = triton.cdiv(out_channels, sizes["BD"]) * rows * triton.cdiv(frames, sizes["BT"])
    _convolve[programs,](
        x, graphs, weight, y, frames, channels, out_channels, joints, transposed, **sizes, num_warps=num_warps
    )
    return y


def graph_gradients(x: Tensor, weight: Tensor, dy: Tensor) -> Tensor:
    """(N, T, V, C), (3, D, C), (N, T, V, D) -> float32 (N, 3, V, V)."""
    rows, frames, joints, channels = x.shape
    out_channels = weight.shape[1]
    sizes = _sizes(joints, channels, out_channels, widest=32)
    parts, each = _graph_parts(x, triton.cdiv(out_channels, sizes["BD"]), sizes["BT"])
    _graph_gradients[parts.shape[1], rows, parts.shape[0]](
        x, weight, dy, parts, frames, each, channels, out_channels, joints, **sizes, num_warps=num_warps
    )
    return parts.sum(dim=(0, 1))


def weight_gradients(x: Tensor, graphs: Tensor, dy: Tensor) -> Tensor:
    """(N, T, V, C), (N, 3, V, V), (N, T, V, D) -> float32 (3, D, C)."""
    rows, frames, joints, channels = x.shape
    out_channels = dy.shape[-1]
    sizes = _sizes(joints, channels, out_channels, widest=32)
    tiles = rows * triton.cdiv(frames, sizes["BT"])
    squares = triton.cdiv(out_channels, sizes["BD"]) * triton.cdiv(channels, sizes["BC"])
    each = triton.cdiv(tiles, max(1, min(tiles, _PROGRAMS // squares)))
    shares = triton.cdiv(tiles, each)
    parts = x.new_empty(shares, 3, out_channels, channels, dtype=torch.float32)
    _weight_gradients[squares, shares](
        x, graphs, dy, parts, frames, tiles, each, channels, out_channels, joints, **sizes, num_warps=num_warps
    )
    return parts.sum(dim=0)


def similarities(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """(N, T, V, C), theta's and phi's (2, 3, E, C), (2, 3, E) -> float32 (N, 3, V, V)."""
    rows, frames, joints, channels = x.shape
    embedding = weight.shape[2]
    sizes = _sizes(joints, channels, embedding, widest=32)
    parts, each = _graph_parts(x, triton.cdiv(embedding, sizes["BD"]), sizes["BT"])
    _similarities[parts.shape[1], rows, parts.shape[0]](
        x, weight, bias, parts, frames, each, channels, embedding, joints, **sizes, num_warps=num_warps
    )
    return parts.sum(dim=(0, 1))


def embedding_gradients(x: Tensor, weight: Tensor, bias: Tensor, dgraphs: Tensor) -> Tensor:
    """As `similarities`, and the gradient of what that returns, in the precision of x -> (N, T, V, 2 * 3 * E)."""
    rows, frames, joints, channels = x.shape
    embedding = weight.shape[2]
    sizes = _sizes(joints, channels, embedding, widest=32)
    dy = x.new_empty(rows, frames, joints, 6 * embedding)
    programs = triton.cdiv(embedding, sizes["BD"]) * rows * triton.cdiv(frames, sizes["BT"])
    _embedding_gradients[programs,](
        x, weight, bias, dgraphs, dy, frames, channels, embedding, joints, **sizes, num_warps=num_warps
    )
    return dy


def _graph_parts(x: Tensor, tiles: int, frames_each: int) -> tuple[Tensor, int]:
    """Room for graphs that are summed up by tiles of channels and shares of the frames; blocks of frames in a share."""
    rows, frames, joints, _ = x.shape
    blocks = triton.cdiv(frames, frames_each)
    each = triton.cdiv(blocks, max(1, min(blocks, _PROGRAMS // (tiles * rows))))
    return x.new_empty(triton.cdiv(blocks, each), tiles, rows, 3, joints, joints, dtype=torch.float32), each


def _sizes(joints: int, channels: int, out_channels: int, widest: int) -> dict[str, int]:
    """Sides of the tiles: at least the 16 that a matrix product takes; D at most `widest`, by what registers hold."""
    padded = max(16, triton.next_power_of_2(joints))
    return {
        "BV": padded,
        "BT": max(1, tile_rows // padded),
        "BC": min(64, max(16, triton.next_power_of_2(channels))),
        "BD": min(widest, max(16, triton.next_power_of_2(out_channels))),
    }
