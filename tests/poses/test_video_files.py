"""Videos as they are decoded: times, rotation, and what is damaged."""

import random
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("av", exc_type=ImportError)
pytest.importorskip("cv2", exc_type=ImportError)

from mutations import mutated
from stick_figures import HEIGHT, WIDTH, figure, picture, write_video

from native_prep.datasets.recordings import BadClip
from native_prep.poses.video import media
from native_prep.poses.video.media import Picture, nearest, pictures, video_writer

UNEVEN = [0, 0.033, 0.066, 0.1, 0.266, 0.3, 0.75, 0.783]


def test_times_are_those_of_the_video(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", UNEVEN, "wave")
    found = list(pictures(str(path)))
    np.testing.assert_allclose([one.time for one in found], UNEVEN, atol=1e-3)
    late = write_video(tmp_path / "b.mp4", np.add(UNEVEN, 5), "wave")
    np.testing.assert_allclose([one.time for one in pictures(str(late))], UNEVEN, atol=1e-3)


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
def test_pictures_are_upright(tmp_path: Path, rotation: int) -> None:
    path = write_video(tmp_path / "a.mp4", [0, 0.1], "wave", rotation=rotation)
    found = [one.array() for one in pictures(str(path))]
    for image, time in zip(found, (0, 0.1), strict=True):
        assert image.shape == (HEIGHT, WIDTH, 3)
        assert np.abs(image.astype(int) - picture([figure("wave", time)])).mean() < 3


@pytest.mark.parametrize(
    ("rate", "fps", "taken"),
    [(30, 30, [0, 1, 2, 3, 4, 5]), (60, 30, [0, 2, 4]), (50, 30, [0, 2, 3, 5]), (25, 30, [0, 1, 2, 3, 4, 5])],
)
def test_the_nearest_pictures(rate: int, fps: int, taken: list[int]) -> None:
    frames = [Picture(number / rate, number) for number in range(6)]
    assert [one.frame for one in nearest(iter(frames), fps)] == taken


def test_every_time_has_its_nearest_picture() -> None:
    """Against looking at each pair, for times at random."""
    rng = np.random.default_rng(0)
    for _ in range(200):
        times = np.cumsum(rng.uniform(0.005, rng.choice([0.02, 0.2]), rng.integers(1, 30)))
        times -= times[0]
        fps = float(rng.choice([5, 12.5, 30]))
        found = [one.time for one in nearest((Picture(time, None) for time in times), fps)]
        instants = np.arange(int(times[-1] * fps) + 1) / fps
        wanted = {float(times[np.abs(times - instant).argmin()]) for instant in instants}
        assert wanted <= set(found) and set(found) <= set(times)
        assert len(found) <= len(instants) + 1
        assert found == sorted(found)


def fails(path: Path) -> str:
    with pytest.raises(BadClip) as caught:
        list(pictures(str(path)))
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
        list(pictures(str(tmp_path / "missing.mp4")))
    with pytest.raises(IsADirectoryError):
        list(pictures(str(tmp_path)))


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
    assert len(list(pictures(str(path)))) == 40
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
    segment = write_video(tmp_path / "segment.mp4", [0, 0.1], "wave")
    (tmp_path / "a.mp4").write_text(f"ffconcat version 1.0\nfile http://127.0.0.1:9/{segment.name}\n")
    fails(tmp_path / "a.mp4")
    (tmp_path / "b.mp4").write_text("#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1:9/a.ts\n#EXT-X-ENDLIST\n")
    fails(tmp_path / "b.mp4")


def test_too_large_a_picture_is_not_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_video(tmp_path / "a.mp4", [0, 0.1], "wave")
    monkeypatch.setattr(media, "_MOST_PIXELS", WIDTH * HEIGHT - 1)
    assert f"has pictures of {WIDTH}x{HEIGHT}: make them smaller" in fails(path)


def test_what_is_written_comes_back(tmp_path: Path) -> None:
    image = picture([figure("wave", 0)], (WIDTH + 1, HEIGHT + 1))  # H.264 wants even sides
    with video_writer(tmp_path / "a.part") as writer:
        for time in (0, 0.1, 0.1, 0.5):
            writer.write(image, time)
    found = list(pictures(str(tmp_path / "a.part")))
    np.testing.assert_allclose([one.time for one in found], [0, 0.1, 0.1, 0.5], atol=1e-3)
    assert found[0].array().shape == (HEIGHT, WIDTH, 3)


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
            times = [one.time for one in pictures(str(path)) if one.array().dtype == np.uint8]
            assert times == sorted(set(times))
            good += 1
        except BadClip as error:
            assert str(error).startswith(f"{path}: ") and "\n" not in str(error)
    assert 0 < good < 2000
