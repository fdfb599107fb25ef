"""Kernels that turn a batch of NTU `.skeleton` texts into raw coordinates, a thread a line.

The texts of F files stand one behind another in `text` (uint8, and as uint64 `words`), each followed by at least
`SLACK` line feeds; file f is text[begins[f]:ends[f]]. First, where lines start: each thread counts the line feeds of
64 characters, a running sum of the blocks' counts tells each block its first line, and a second look writes the
starts. Then a thread a file goes from frame to frame: it reads only the counts of bodies, since a body has a known
number of lines. It leaves a list of bodies, and the lines of those are read a thread each.

A file in which anything is odd gets a mark in `odd` and no more: the CPU's reader then says what, and in which line.
"""

from numba import types

from native_prep.cuda.target import THREADS, cuda, kernel
from native_prep.kernels import status
from native_prep.kernels.jit import njit, njit_forceinline
from native_prep.kernels.numbers import parse_number
from native_prep.kernels.skeleton_text import (
    BODY_LINES,
    MAX_BODIES,
    NUM_JOINTS,
    count_fields,
    count_line,
    is_gap,
    line_readers,
)
from native_prep.kernels.swar import count_line_feeds

_WORDS = 8  # of eight characters, that a thread looks through for line feeds
STRETCH = 8 * _WORDS * THREADS  # characters of a block
_body_line, _joint_line = line_readers(parse_number, count_fields)


@kernel
def clear(raw, body_lines, for_cpu):
    """Before a batch: no coordinates (`raw` is flat), no bodies, nothing for_cpu."""
    for index in range(cuda.grid(1), raw.size, cuda.gridsize(1)):
        raw[index] = 0.0
    for index in range(cuda.grid(1), body_lines.size, cuda.gridsize(1)):
        body_lines[index] = -1
    for index in range(cuda.grid(1), for_cpu.size, cuda.gridsize(1)):
        for_cpu[index] = 0


@njit_forceinline
def _feeds_of_thread(words, first, stop):
    count = 0
    for index in range(first, min(first + _WORDS, stop)):
        count += count_line_feeds(words[index])
    return count


@kernel
def count_lines(words, stop, counts):
    """The line feeds of each block's stretch of text, to `counts` (one a block)."""
    own = cuda.shared.array(THREADS, types.int64)
    thread = cuda.threadIdx.x
    own[thread] = _feeds_of_thread(words, cuda.grid(1) * _WORDS, stop)
    cuda.syncthreads()
    if thread == 0:
        total = 0
        for other in range(THREADS):
            total += own[other]
        counts[cuda.blockIdx.x] = total


@kernel
def sum_lines(counts, blocks, lines):
    """`counts` become running sums, without the own one; `lines` (1,) their total. For one block of threads."""
    own = cuda.shared.array(THREADS, types.int64)
    thread = cuda.threadIdx.x
    share = (blocks + THREADS - 1) // THREADS
    first, stop = min(thread * share, blocks), min((thread + 1) * share, blocks)
    total = 0
    for index in range(first, stop):
        total += counts[index]
    own[thread] = total
    cuda.syncthreads()
    before = 0
    for other in range(thread):
        before += own[other]
    for index in range(first, stop):
        count = counts[index]
        counts[index] = before
        before += count
    if thread == THREADS - 1:
        lines[0] = before


@kernel
def start_lines(text, words, stop, counts, starts):
    """Where each line starts, to `starts`, as far as there is room; `counts` are the running sums."""
    own = cuda.shared.array(THREADS, types.int64)
    thread, first = cuda.threadIdx.x, cuda.grid(1) * _WORDS
    own[thread] = _feeds_of_thread(words, first, stop)
    cuda.syncthreads()
    line = counts[cuda.blockIdx.x] + 1
    for other in range(thread):
        line += own[other]
    if cuda.grid(1) == 0:
        starts[0] = 0
    if own[thread] > 0:
        for at in range(8 * first, 8 * min(first + _WORDS, stop)):
            if text[at] == 10:
                if line < starts.size:
                    starts[line] = at + 1
                line += 1


@njit
def _line_from(starts, lines, at):
    """The first of the sorted `starts` that is not before `at`."""
    low, high = 0, lines
    while low < high:
        middle = (low + high) // 2
        if starts[middle] < at:
            low = middle + 1
        else:
            high = middle
    return low


@njit
def first_body(line, file):
    """Where a file's bodies begin in the list of bodies: no two files' can meet."""
    return line // BODY_LINES + file


@njit
def _walk(text, end, starts, line, last, file, max_frames, body_lines, body_places):
    """The frames of a file whose lines are `line` to `last`, or -1; notes the first line of each body."""
    code, frames, _ = count_line(text, starts[line])
    if code != status.OK or frames == 0 or frames > max_frames:
        return -1
    slot = first_body(line, file)
    line += 1
    for frame in range(frames):
        if line >= last:
            return -1
        code, bodies, _ = count_line(text, starts[line])
        if code != status.OK:
            return -1
        line += 1
        for body in range(bodies):
            if line + BODY_LINES > last:
                return -1
            body_lines[slot] = line
            body_places[slot] = ((file * max_frames) + frame) * (MAX_BODIES + 1) + min(body, MAX_BODIES)
            slot += 1
            line += BODY_LINES
    for at in range(starts[line], end):
        if not is_gap(text[at]):
            return -1
    return frames


@kernel
def walk_files(text, begins, ends, starts, lines, max_frames, frames, for_cpu, body_lines, body_places):
    """A thread a file: its frames, and the list of its bodies. `max_frames` is T."""
    for file in range(cuda.grid(1), begins.size, cuda.gridsize(1)):
        frames[file] = 0
        found = -1
        if lines[0] < starts.size:
            line = _line_from(starts, lines[0], begins[file])
            last = _line_from(starts, lines[0], ends[file])
            if line < last:
                found = _walk(text, ends[file], starts, line, last, file, max_frames, body_lines, body_places)
        if found < 0:
            for_cpu[file] = 1
        else:
            frames[file] = found


@kernel
def read_bodies(text, starts, lines, body_lines, body_places, raw, for_cpu):
    """A thread a line: x y z of each joint, to `raw` (F, T, 4, V, 3); bodies past the fourth are only checked."""
    point = cuda.local.array(3, types.float64)
    max_frames = raw.shape[1]
    slots = min(first_body(lines[0], for_cpu.size), body_lines.size)
    for index in range(cuda.grid(1), slots * BODY_LINES, cuda.gridsize(1)):
        slot, part = index // BODY_LINES, index % BODY_LINES
        if body_lines[slot] < 0:
            continue
        frame, body = body_places[slot] // (MAX_BODIES + 1), body_places[slot] % (MAX_BODIES + 1)
        file, frame = frame // max_frames, frame % max_frames
        at = starts[body_lines[slot] + part]
        if part == 0:
            code, value, at = _body_line(text, at)
        elif part == 1:
            code, value, at = count_line(text, at)
            if value != NUM_JOINTS:
                code = status.JOINT_COUNT
        else:
            code, value, at = _joint_line(text, at, point)
            if code == status.OK and body < MAX_BODIES:
                for axis in range(3):
                    raw[file, frame, body, part - 2, axis] = point[axis]
        if code != status.OK:
            for_cpu[file] = 1
