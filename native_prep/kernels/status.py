"""What kernels report: a code, where in the file, a number or two; and how that is told to a user.

Kernels hold no strings and raise nothing, so that the same functions run on threads and on GPUs; whoever calls them
turns the code into one line `FILE:LINE: what is wrong: what to do`.
"""

OK = 0
UNREADABLE = 1
TOO_BIG = 2
EMPTY = 3
NOT_A_NUMBER = 4
OUT_OF_RANGE = 5
UNDECIDED = 6
ENDS_EARLY = 10
NOT_A_COUNT = 11
NO_FRAMES = 12
TOO_MANY_FRAMES = 13
BODY_FIELDS = 14
JOINT_COUNT = 15
JOINT_FIELDS = 16
TRAILING = 17
JSON_SYNTAX = 20
JSON_ENDS = 21
JSON_DEPTH = 22
JSON_TRAILING = 23
NOT_WHOLE = 24
NO_DATA = 30
NO_LABEL = 31
NO_FRAME_INDEX = 32
FRAME_INDEX = 33
NO_SKELETON = 34
NO_POSE = 35
POSE_LENGTH = 36
SCORE_LENGTH = 37
NOT_A_LABEL = 38
CLIP_JOINTS = 39
POINT_LENGTH = 40
NO_SHARE = 41
# {first} and {second} are the two numbers that go with the code.
_TEXT = {
    TOO_BIG: "is larger than {first} MiB, which no clip is: move it away",
    EMPTY: "is empty: fetch it again",
    NOT_A_NUMBER: "not a number: fetch the file again",
    OUT_OF_RANGE: "a number out of range (at most {first} on either side of zero): fetch the file again, or correct "
    "its unit",
    ENDS_EARLY: "ends after {first} of its {second} frames: the file was cut off, fetch it again",
    NOT_A_COUNT: "expected a whole number on a line of its own: the file is damaged, fetch it again",
    NO_FRAMES: "says that there are no frames: leave the clip out",
    TOO_MANY_FRAMES: "has {first} frames, there is room for {second}: cut it, or prepare with a larger --max-frames",
    BODY_FIELDS: "the line of a body has {first} numbers instead of 10: the file is damaged, fetch it again",
    JOINT_COUNT: "has {first} joints, NTU needs {second}: use files recorded with Kinect v2",
    JOINT_FIELDS: "the line of a joint has {first} numbers instead of 12: the file is damaged, fetch it again",
    TRAILING: "goes on after the last of its {first} frames: the file is damaged, fetch it again",
    JSON_SYNTAX: "not JSON: the file is damaged, fetch it again",
    JSON_ENDS: "ends inside a value: the file was cut off, fetch it again",
    JSON_DEPTH: "JSON nested deeper than 64 levels: fetch the file again",
    JSON_TRAILING: "goes on after the end of its JSON value: the file is damaged, fetch it again",
    NOT_WHOLE: "expected a whole number of at most nine digits: the file is damaged, fetch it again",
    NO_DATA: "has no list of frames: fetch the file again",
    NO_LABEL: "has no label: fetch the file again",
    NO_FRAME_INDEX: "a frame without frame_index: fetch the file again",
    FRAME_INDEX: "frame_index {first} is not in 0...{second}: give a larger --max-frames or fetch the file again",
    NO_SKELETON: "a frame without its list of skeletons: fetch the file again",
    NO_POSE: "a skeleton without pose or score: fetch the file again",
    POSE_LENGTH: "a pose of {first} numbers instead of {second}: use skeletons of the data set's own joints",
    SCORE_LENGTH: "{first} scores instead of {second}: use skeletons of the data set's own joints",
    NOT_A_LABEL: "label {first} is not one of the data set's {second}: use the data set's own files",
    CLIP_JOINTS: "has {first} joints, the data set needs {second}: use the data set's own files",
    NO_SHARE: "x, y or a score of {first}, expected shares of the picture and scores from 0 to 1: divide pixels by the "
    "picture's size",
    POINT_LENGTH: "a joint of {first} numbers instead of 3: use the data set's own files",
}


def explain(code: int, first: int = 0, second: int = 0) -> str:
    """What a code means and what to do about it, without the file's name.

    Raises:
        KeyError: the code is none that needs explaining (`UNREADABLE` is told in the system's own words).
    """
    return _TEXT[code].format(first=first, second=second)
