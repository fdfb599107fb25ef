"""The four streams: what a network is shown of one prepared clip.

Arrays are (..., C, T, V, M): C channels, T frames, V joints, M bodies; a batch axis N may stand in front.
"""

import numpy as np

from native_prep.skeletons.layouts import Layout

STREAMS = ("joint", "bone", "joint_motion", "bone_motion")


def check_streams(streams: tuple[str, ...] | list[str]) -> tuple[str, ...]:
    """The streams asked for, each once, in the order of `STREAMS`.

    Raises:
        ValueError: one is unknown, or none is asked for.
    """
    for stream in streams:
        if stream not in STREAMS:
            raise ValueError(f"no stream is called {stream!r}: use one of {', '.join(STREAMS)}")
    if not streams:
        raise ValueError(f"no stream is asked for: use one or more of {', '.join(STREAMS)}")
    return tuple(stream for stream in STREAMS if stream in streams)


def bones(joint: np.ndarray, layout: Layout) -> np.ndarray:
    """Each joint minus the joint its bone starts from, in every channel (2s-AGCN, gen_bone_data).

    Args:
        joint: (..., C, T, V, M).
        layout: names the bone of each of the V joints.

    Returns:
        An array of the same shape and type.

    Raises:
        ValueError: the joints of the array are not those of the layout.
    """
    if joint.shape[-2] != layout.num_joints:
        raise ValueError(
            f"the clip has {joint.shape[-2]} joints, layout {layout.name} has {layout.num_joints}: use its layout"
        )
    return joint - joint[..., list(layout.bone_parents), :]


def motion(clip: np.ndarray) -> np.ndarray:
    """Each frame's change to the next one; the last frame's is zero (2s-AGCN, gen_motion_data).

    Args:
        clip: (..., C, T, V, M).

    Returns:
        An array of the same shape and type.
    """
    moved = np.zeros_like(clip)
    moved[..., :-1, :, :] = clip[..., 1:, :, :] - clip[..., :-1, :, :]
    return moved


def stream_of(joint: np.ndarray, stream: str, layout: Layout) -> np.ndarray:
    """The stream called `stream` of a joint clip (..., C, T, V, M).

    Raises:
        ValueError: there is no such stream.
    """
    check_streams((stream,))
    clip = bones(joint, layout) if stream.startswith("bone") else joint
    return motion(clip) if stream.endswith("motion") else clip
