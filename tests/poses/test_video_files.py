"""Videos as they are decoded: times, rotation, and what is damaged."""

import os
import random
import socket
import struct
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("av", exc_type=ImportError)
pytest.importorskip("cv2", exc_type=ImportError)

from mutations import mutated
from stick_figures import HEIGHT, WIDTH, figure, picture, write_video

from native_prep.datasets.recordings import BadClip
from native_prep.poses.video import media
from native_prep.poses.video.media import VideoFrame, read_frames, video_writer
from native_prep.poses.video.rate import Resampler, select_nearest

UNEVEN = [0, 0.033, 0.066, 0.1, 0.266, 0.3, 0.75, 0.783]


def test_times_are_those_of_the_video(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", UNEVEN, "wave")
    found = list(read_frames(str(path)))
    np.testing.assert_allclose([one.time for one in found], UNEVEN, atol=1e-3)
    late = write_video(tmp_path / "b.mp4", np.add(UNEVEN, 5), "wave")
    np.testing.assert_allclose([one.time for one in read_frames(str(late))], UNEVEN, atol=1e-3)


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
def test_pictures_are_upright(tmp_path: Path, rotation: int) -> None:
    path = write_video(tmp_path / "a.mp4", [0, 0.1], "wave", rotation=rotation)
    found = [one.image() for one in read_frames(str(path))]
    for image, time in zip(found, (0, 0.1), strict=True):
        assert image.shape == (HEIGHT, WIDTH, 3)
        assert np.abs(image.astype(int) - picture([figure("wave", time)])).mean() < 3


@pytest.mark.parametrize(
    ("rate", "fps", "taken"),
    [(30, 30, [0, 1, 2, 3, 4, 5]), (60, 30, [0, 2, 4]), (50, 30, [0, 2, 3, 5]), (25, 30, [0, 1, 2, 3, 4, 5])],
)
def test_the_nearest_pictures(rate: int, fps: int, taken: list[int]) -> None:
    frames = [VideoFrame(number / rate, number) for number in range(6)]
    assert [one.frame for one in select_nearest(iter(frames), fps)] == taken


def test_every_time_has_its_nearest_picture() -> None:
    """Against looking at each pair, for times at random."""
    rng = np.random.default_rng(0)
    for _ in range(200):
        times = np.cumsum(rng.uniform(0.005, rng.choice([0.02, 0.2]), rng.integers(1, 30)))
        times -= times[0]
        fps = float(rng.choice([5, 12.5, 30]))
        found = [one.time for one in select_nearest((VideoFrame(time, None) for time in times), fps)]
        instants = np.arange(int(times[-1] * fps) + 1) / fps
        wanted = {float(times[np.abs(times - instant).argmin()]) for instant in instants}
        assert wanted <= set(found) and set(found) <= set(times)
        assert len(found) <= len(instants) + 1
        assert found == sorted(found)
        resampler = Resampler(fps)
        numbers = [number for time in found for number, _ in resampler.add(time, {})]
        assert numbers == list(range(int(times[-1] * fps + 0.05) + 1)), "all frames up to the last time"


def fails(path: Path) -> str:
    with pytest.raises(BadClip) as caught:
        list(read_frames(str(path)))
    text = str(caught.value)
    assert text.startswith(f"{path}: ") and "\n" not in text and text.count(": ") >= 2
    return text


def test_what_is_no_video_is_one_line(tmp_path: Path) -> None:
    good = write_video(tmp_path / "good.mp4", np.arange(40) / 30, "wave").read_bytes()
    for name, content, says in (
        ("text.mp4", b"hello", "is no video, or damaged"),
        ("empty.mp4", b"", "is no video, or damaged"),
        ("cut.mp4", good[: len(good) // 2], "is no video, or damaged"),
        ("codec.mp4", good.replace(b"avc1", b"zzz1"), "its codec is not known"),
    ):
        (tmp_path / name).write_bytes(content)
        assert says in fails(tmp_path / name)
    with pytest.raises(FileNotFoundError):
        list(read_frames(str(tmp_path / "missing.mp4")))
    os.mkfifo(tmp_path / "pipe.mp4")
    assert "is no file, but a pipe or a device" in fails(tmp_path / "pipe.mp4")
    with pytest.raises(IsADirectoryError):
        list(read_frames(str(tmp_path)))


def test_a_video_that_ends_too_early(tmp_path: Path) -> None:
    import av

    path = tmp_path / "a.avi"  # its header says how many frames there are, and a cut one still opens
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=30)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for number in range(40):
            frame = av.VideoFrame.from_ndarray(picture([figure("wave", number / 30)]), format="bgr24")
            frame.pts = number
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    content = path.read_bytes()
    assert len(list(read_frames(str(path)))) == 40
    path.write_bytes(content[: len(content) // 2])
    assert "of the 40 frames that it promises: copy it again" in fails(path)


def test_sound_alone_is_no_video(tmp_path: Path) -> None:
    import av

    with av.open(str(tmp_path / "a.mp4"), "w") as container:
        stream = container.add_stream("aac", rate=16000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.rate = 16000
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    assert "holds no pictures, sound alone perhaps" in fails(tmp_path / "a.mp4")


def test_a_playlist_is_not_followed(tmp_path: Path) -> None:
    """Neither to a file beside it, nor over a network that is there."""
    segment = write_video(tmp_path / "segment.mp4", np.arange(10) / 30, "wave")
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        there = f"http://127.0.0.1:{server.getsockname()[1]}/{segment.name}"
        for name, text in (
            ("concat.mp4", f"ffconcat version 1.0\nfile {segment.name}\n"),
            ("itself.mp4", "ffconcat version 1.0\nfile itself.mp4\n"),
            ("far.mp4", f"ffconcat version 1.0\nfile {there}\n"),
            ("near.m3u8", f"#EXTM3U\n#EXTINF:1,\n{segment.name}\n#EXT-X-ENDLIST\n"),
            ("hls.mp4", f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{there}\n#EXT-X-ENDLIST\n"),
        ):
            (tmp_path / name).write_text(text)
            fails(tmp_path / name)
        with pytest.raises(BlockingIOError):
            server.accept()


def test_a_trimmed_video_is_whole(tmp_path: Path) -> None:
    """Telephones cut a video by its edit list alone: the frames that are not shown are in the file still."""
    path = write_video(tmp_path / "a.mp4", np.arange(60) / 30, "wave")
    content = bytearray(path.read_bytes())
    place = content.index(b"elst") + 12
    (duration,) = struct.unpack(">I", content[place : place + 4])
    content[place : place + 4] = struct.pack(">I", duration * 6 // 10)
    path.write_bytes(content)
    frames = list(read_frames(str(path)))
    assert 35 <= len(frames) <= 37 and frames[-1].time < 1.25


@pytest.mark.parametrize(("width", "height"), [(4, 2000), (4000, 2)])
def test_too_narrow_a_video(tmp_path: Path, width: int, height: int) -> None:
    with video_writer(tmp_path / "a.mp4") as writer:
        for number in range(3):
            writer.write(np.zeros((height, width, 3), np.uint8), number / 30)
    assert f"has frames of {width}x{height}, too narrow to show anybody" in fails(tmp_path / "a.mp4")


def test_too_large_a_picture_is_not_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_video(tmp_path / "a.mp4", [0, 0.1], "wave")
    monkeypatch.setattr(media, "_MOST_PIXELS", WIDTH * HEIGHT - 1)
    assert f"has frames of {WIDTH}x{HEIGHT}: make them smaller" in fails(path)


def test_what_is_written_comes_back(tmp_path: Path) -> None:
    image = picture([figure("wave", 0)], (WIDTH + 1, HEIGHT + 1))  # H.264 wants even sides
    with video_writer(tmp_path / "a.part") as writer:
        for time in (0, 0.1, 0.1, 0.5):
            writer.write(image, time)
    found = list(read_frames(str(tmp_path / "a.part")))
    np.testing.assert_allclose([one.time for one in found], [0, 0.1, 0.1, 0.5], atol=1e-3)
    assert found[0].image().shape == (HEIGHT, WIDTH, 3)


def test_without_an_encoder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(media, "_ENCODERS", ("h265000",))
    with (
        pytest.raises(ValueError, match=r"o\.mp4: FFmpeg here encodes neither H\.264 nor MPEG-4"),
        video_writer(tmp_path / "o.mp4"),
    ):
        pass


def test_two_thousand_mutations(tmp_path: Path) -> None:
    """Whatever bytes a video holds, it gives pictures or one line."""
    seeds = [
        write_video(tmp_path / "a.mp4", UNEVEN, "wave").read_bytes(),
        write_video(tmp_path / "b.mp4", [0, 0.1], "squat", rotation=90).read_bytes(),
    ]
    rng, path, good = random.Random(0), tmp_path / "c.mp4", 0
    for _ in range(2000):
        path.write_bytes(mutated(rng.choice(seeds), rng))
        try:
            times = [one.time for one in read_frames(str(path)) if one.image().dtype == np.uint8]
            assert times == sorted(set(times))
            good += 1
        except BadClip as error:
            assert str(error).startswith(f"{path}: ") and "\n" not in str(error)
    assert 0 < good < 2000
