"""The player of skeletons: it moves, stops, turns and zooms by buttons, keys, mouse and touch; and what it is given."""

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.pages.clip_data import Track, clip_for_page
from bench.pages.page import embed, inline, render
from native_prep.skeletons.layouts import COCO17, KINETICS, LAYOUTS, NTU, NW_UCLA, Layout
from native_prep.skeletons.posture import joints_there
from native_prep.skeletons.streams import bones
from native_prep.synth.make import joint_batch

T = 40


def clip_of(layout: Layout = NTU, frames: int = T, **more: Any) -> dict[str, Any]:
    joints = joint_batch(layout, 1, frames, 2, seed=3, one_body_share=0.0)[0]
    return clip_for_page("wave", {"joint": joints, "bone": bones(joints, layout)}, layout, 20.0, **more)


def values_of(clip: dict[str, Any], track: int = 0) -> np.ndarray:
    """What the player makes of a track: (T, M, V, 3), NaN where nothing was seen."""
    one = clip["tracks"][track]
    small = np.frombuffer(base64.b64decode(one["data"]), "<i2").reshape(-1, one["bodies"], len(clip["joints"]), 3)
    return np.where(small == -32768, np.nan, small * np.array(one["scale"]) + np.array(one["offset"]))


def page_of(folder: Path, clip: dict[str, Any], options: dict[str, Any] | None = None) -> Path:
    body = f"""<div id="host"></div><script type="application/json" id="data">{embed(clip)}</script>
        <script>{inline("player.js")}
        const clip = JSON.parse(document.getElementById("data").textContent);
        const host = document.getElementById("host");
        const player = new SkeletonPlayer(host, clip, {json.dumps(options or {})});
        const frames = []; host.addEventListener("frame", event => frames.push(event.detail));
        const states = []; host.addEventListener("state", event => states.push(event.detail));
        </script></main>"""
    path = folder / "player.html"
    path.write_text(render("base.html", title="A clip").replace("</main>", body), encoding="utf-8")
    return path


def picture(page: Any) -> bytes:
    """What is on the canvas once it has been drawn."""
    page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
    return page.locator("canvas").screenshot()


def test_numbers_survive_in_sixteen_bits() -> None:
    joints = joint_batch(NTU, 1, T, 2, seed=1, one_body_share=0.0)[0]
    joints[:, 5, :, 1] = 0.0
    joints[:, :, 4, 0] = np.nan
    clip = clip_for_page("a", {"joint": joints}, NTU, 30.0)
    found = values_of(clip)
    assert np.isnan(found[5, 1]).all() and np.isnan(found[:, 0, 4]).all() and np.isfinite(found[:, 0, 5:]).all()
    there = np.isfinite(found)
    wanted = joints.transpose(1, 3, 2, 0)
    np.testing.assert_allclose(found[there], wanted[there], atol=1e-4)
    assert clip["recorded"] == T and clip["people"] == 2
    assert clip["text"] == "a: 40 frames, 2 people, 25 joints of ntu in three dimensions."


def test_a_clip_stays_small_and_keeps_its_time() -> None:
    clip = clip_of(frames=900)
    assert len(values_of(clip)) == 300 and clip["recorded"] == 900
    assert clip["fps"] == pytest.approx(20.0 / 3)
    one = clip_for_page("a", {"joint": joint_batch(NTU, 1, 300, 2, seed=1, one_body_share=0.0)[0]}, NTU, 30.0)
    assert len(json.dumps(one)) < 130_000


def test_bodies_that_never_appear_are_left_out_and_a_centre_may_be_the_origin() -> None:
    joints = joint_batch(NTU, 1, T, 2, seed=1, one_body_share=1.0)[0]
    joints[:, :, :, 0] -= joints[:, :, NTU.centre : NTU.centre + 1, 0]
    joints[:, 3, :, 0] = 0.0
    clip = clip_for_page("a", {"joint": joints, "bone": bones(joints, NTU)}, NTU, 30.0)
    assert [track["bodies"] for track in clip["tracks"]] == [1, 1]
    for track in (0, 1):  # the bone of the spine's top has no length
        assert np.isnan(values_of(clip, track)[3]).all() and np.isfinite(np.delete(values_of(clip, track), 3, 0)).all()


def test_image_joints_are_seen_by_their_scores() -> None:
    points = np.ones((3, 2, 17, 1), np.float32)
    points[2, 0, 3] = 0
    assert not joints_there(points, COCO17)[0, 3, 0] and joints_there(points, COCO17).sum() == 33


@pytest.mark.parametrize(("axis", "sign"), [(1, 1), (1, -1), (2, 1), (0, -1)])
@pytest.mark.parametrize("name", ("ntu", "nw-ucla", "h36m17", "azure32"))
def test_up_is_where_heads_are(name: str, axis: int, sign: int) -> None:
    layout = LAYOUTS[name]
    points = np.zeros((3, 4, layout.num_joints, 1), np.float32)
    points[:] = np.random.default_rng(0).normal(0, 0.02, points.shape)
    for joint, word in enumerate(layout.joints):
        points[axis, :, joint] += sign * (1.6 if "head" in word else 0.1 if "foot" in word or "ankle" in word else 0.9)
    assert clip_for_page("a", {"joint": points}, layout, 30.0)["tracks"][0]["up"] == (axis, sign)


def test_wrong_clips_are_named() -> None:
    with pytest.raises(ValueError, match=r"a: joint of shape \(3, 4, 20, 1\): give \(3, T, 25, M\)"):
        clip_for_page("a", {"joint": np.ones((3, 4, 20, 1))}, NTU, 30.0)
    with pytest.raises(ValueError, match="a: has no frame to show"):
        clip_for_page("a", {"joint": np.ones((3, 0, 25, 1))}, NTU, 30.0)
    assert clip_for_page("a", {"joint": np.zeros((3, 4, 25, 2))}, NTU, 30.0)["people"] == 0


def test_data_cannot_end_a_script() -> None:
    text = "</script><script>alert(1)</script><!-- & \u2028"
    made = str(embed({"name": text}))
    assert json.loads(made) == {"name": text} and not set("<>&\u2028") & set(made)
    assert "&lt;script&gt;" in render("base.html", title="<script>")
    with pytest.raises(ValueError, match="JSON"):
        embed([float("nan")])


def test_it_plays_and_stops(open_page: Callable, tmp_path: Path) -> None:
    page = open_page(page_of(tmp_path, clip_of()))
    first = picture(page)
    assert page.locator(".frame-number").inner_text() == f"1 / {T}"
    page.get_by_role("button", name="Play").click()
    page.wait_for_function("player.frame > 4")
    page.get_by_role("button", name="Pause").click()
    stopped = page.evaluate("player.frame")
    assert picture(page) != first
    page.wait_for_timeout(200)
    assert page.evaluate("player.frame") == stopped
    assert page.evaluate("frames.at(-1)") == stopped and page.evaluate("frames.length") > 2
    assert page.evaluate("states") == [True, False]


@pytest.mark.parametrize(("speed", "frame"), [("1", 5), ("4", 20), ("0.25", 1)])
def test_speed(open_page: Callable, tmp_path: Path, speed: str, frame: int) -> None:
    """A quarter of a second at 20 frames a second."""
    page = open_page(page_of(tmp_path, clip_of()))
    page.get_by_label("Speed").select_option(speed)
    seen = page.evaluate(
        """() => { player.play();
        for (const time of [1000, 1001, 1251]) { cancelAnimationFrame(player.ticking); player.tick(time); }
        player.pause();
        return player.frame; }"""
    )
    assert seen == frame


@pytest.mark.parametrize("controls", ("full", "small"))
def test_a_screen_reader_is_told_the_keys(open_page: Callable, tmp_path: Path, controls: str) -> None:
    page = open_page(page_of(tmp_path, clip_of(), {"controls": controls}))
    canvas = page.get_by_role("application", name="wave: 40 frames, 2 people")
    assert canvas.get_attribute("aria-roledescription") == "skeleton player"
    keys = page.locator(f"#{canvas.get_attribute('aria-describedby')}")
    assert keys.locator("li").count() == 5 and not keys.is_visible()
    first = picture(page)
    canvas.focus()
    page.keyboard.press("Shift+ArrowRight")
    assert page.evaluate("player.yaw") > 0.5 and picture(page) != first


def contrast(one: list[float], other: list[float]) -> float:
    """Of two colours of red, green and blue from 0 to 255, as WCAG 2.2 defines it."""
    bright = []
    for color in (one, other):
        linear = [part / 3294.6 if part <= 10.3 else ((part / 255 + 0.055) / 1.055) ** 2.4 for part in color]
        bright.append(0.05 + float(np.dot(linear, (0.2126, 0.7152, 0.0722))))
    return max(bright) / min(bright)


@pytest.mark.parametrize("theme", ("light", "dark"))
def test_colours_stand_out(open_page: Callable, tmp_path: Path, theme: str) -> None:
    page = open_page(page_of(tmp_path, clip_of()), color_scheme=theme)

    def color(name: str) -> list[float]:
        text = page.evaluate("name => getComputedStyle(document.documentElement).getPropertyValue(name)", f"--{name}")
        return [int(text[start : start + 2], 16) for start in (1, 3, 5)]

    bodies = [f"body-{number}" for number in range(1, 7)]
    others = ["low", "middle", "high", "control-line", *(f"series-{number}" for number in range(1, 6))]
    farthest = page.evaluate("FARTHEST")
    for ground in (color("panel"), color("sunken")):
        for name in (*bodies, *others):
            assert contrast(color(name), ground) >= 3, name
        for name in (*bodies, "muted"):
            far = [farthest * part + (1 - farthest) * below for part, below in zip(color(name), ground, strict=True)]
            assert contrast(far, ground) >= 3, name
        assert contrast(color("edge"), ground) >= 2
    border = page.evaluate("getComputedStyle(document.querySelector('.player select')).borderTopColor")
    assert [int(part) for part in border[4:-1].split(",")] == color("control-line")


def test_frames_by_hand(open_page: Callable, tmp_path: Path) -> None:
    page = open_page(page_of(tmp_path, clip_of()))
    first = picture(page)
    page.get_by_label("Frame", exact=True).fill("20")
    assert page.evaluate("player.frame") == 20 and picture(page) != first
    page.get_by_role("button", name="One frame back").click()
    page.get_by_role("button", name="One frame on").click()
    page.get_by_role("button", name="One frame on").click()
    assert page.locator(".frame-number").inner_text() == f"22 / {T}"
    page.locator("canvas").focus()
    page.keyboard.press("ArrowLeft")
    assert page.evaluate("player.frame") == 20
    page.keyboard.press("Space")
    page.wait_for_function("player.playing && player.frame !== 20")
    page.keyboard.press("Space")
    assert not page.evaluate("player.playing")
    page.evaluate("player.setFrame(999)")
    assert page.evaluate("player.frame") == T - 1
    page.get_by_label("Frame", exact=True).focus()
    page.keyboard.press("Home")  # the range's own key
    assert page.evaluate("player.frame") == 0


def test_turning_and_zooming(open_page: Callable, tmp_path: Path) -> None:
    page = open_page(page_of(tmp_path, clip_of()))
    seen = {picture(page)}
    first = next(iter(seen))
    canvas = page.locator("canvas")
    box = canvas.bounding_box()
    page.mouse.move(box["x"] + 300, box["y"] + 100)
    page.mouse.down()
    page.mouse.move(box["x"] + 420, box["y"] + 130)
    page.mouse.up()
    seen.add(picture(page))
    for name in ("Turn right", "Look from higher", "Zoom in"):
        page.get_by_role("button", name=name).click()
        seen.add(picture(page))
    canvas.focus()
    for key in ("+", "Shift+ArrowRight", "ArrowUp"):
        page.keyboard.press(key)
        seen.add(picture(page))
    zoom = page.evaluate("player.zoom")
    page.mouse.move(box["x"] + 300, box["y"] + 100)
    page.mouse.wheel(0, 100)
    page.wait_for_function(f"player.zoom < {zoom}")
    seen.add(picture(page))
    assert len(seen) == 9
    page.keyboard.press("Home")
    canvas.blur()
    page.mouse.move(0, 0)
    assert picture(page) == first


def test_touch(open_page: Callable, scrolls_sideways: Callable, unnamed_controls: Callable, tmp_path: Path) -> None:
    page = open_page(page_of(tmp_path, clip_of(), {"tracks": ["joint", "bone"]}), "phone")
    assert not scrolls_sideways(page) and unnamed_controls(page) == []
    page.get_by_role("button", name="Play").tap()
    page.wait_for_function("player.frame > 3")
    page.get_by_role("button", name="Pause").tap()
    zoom = page.evaluate("player.zoom")
    page.evaluate(  # two fingers apart
        """() => { const canvas = document.querySelector("canvas");
        canvas.setPointerCapture = () => {};
        const send = (kind, id, x) => canvas.dispatchEvent(new PointerEvent(kind,
            { pointerId: id, clientX: x, clientY: 100, pointerType: "touch" }));
        send("pointerdown", 1, 100); send("pointerdown", 2, 200); send("pointermove", 2, 300);
        send("pointerup", 1, 100); send("pointerup", 2, 300); }"""
    )
    assert page.evaluate("player.zoom") == pytest.approx(2 * zoom) and not page.evaluate("player.pointers.size")


def test_flat_pictures_stay_flat(open_page: Callable, tmp_path: Path) -> None:
    page = open_page(page_of(tmp_path, clip_of(KINETICS)))
    first = picture(page)
    page.get_by_role("button", name="Move left").click()
    assert picture(page) != first and page.evaluate("[player.yaw, player.pitch]") == [0.35, 0.12]
    page.evaluate("player.resetView()")
    assert picture(page) == first


@pytest.mark.parametrize("down", (False, True))
def test_heads_are_up(open_page: Callable, tmp_path: Path, down: bool) -> None:
    points = np.zeros((3, 2, 17, 1), np.float32)
    points[0, :, :, 0] = np.linspace(0.3, 0.6, 17)
    points[1, :, :, 0] = 0.2  # heads
    points[1, :, 11:, 0] = 0.7
    points[2] = 1.0
    if not down:
        points[1] = 0.5 - points[1]
    track = Track(points, y_down=down)
    page = open_page(page_of(tmp_path, clip_for_page("a", {"raw": track}, COCO17, 20.0)))
    place = page.evaluate(
        """() => { const view = player.views[0], project = player.projection(view, [0, 0, 400, 400]), at = [0, 0, 0];
        return [0, 16].map(joint => { view.point(0, 0, joint, at); return project(at)[1]; }); }"""
    )
    assert place[0] < place[1]


def test_nobody_is_seen_in_a_mirror(open_page: Callable, tmp_path: Path) -> None:
    """Who looks at us has the left hand on our right, whichever axis is up."""
    points = np.zeros((3, 2, NW_UCLA.num_joints, 1), np.float32)
    for joint, name in enumerate(NW_UCLA.joints):  # x to the camera's left, y up, z away from it, as Kinect has it
        x = -0.3 if "left" in name else 0.3 if "right" in name else 0.0
        points[:, :, joint, 0] = np.array([x, 1.6 if name == "head" else 0.0 if "foot" in name else 1.0, 3.0])[:, None]
    page = open_page(page_of(tmp_path, clip_for_page("a", {"joint": points}, NW_UCLA, 20.0)))
    hands = [NW_UCLA.joints.index("left hand"), NW_UCLA.joints.index("right hand")]
    place = page.evaluate(
        """hands => { player.yaw = 0; const view = player.views[0], at = [0, 0, 0];
        const project = player.projection(view, [0, 0, 400, 400]);
        return hands.map(joint => { view.point(0, 0, joint, at); return project(at)[0]; }); }""",
        hands,
    )
    assert place[0] > place[1]


def test_who_prefers_rest_is_left_in_peace(open_page: Callable, tmp_path: Path) -> None:
    path = page_of(tmp_path, clip_of(), {"autoplay": True})
    assert open_page(path).evaluate("player.playing")
    assert not open_page(path, reduced_motion="reduce").evaluate("player.playing")


def test_nobody_and_another_clip(open_page: Callable, tmp_path: Path) -> None:
    page = open_page(page_of(tmp_path, clip_for_page("none", {"joint": np.zeros((3, 5, 25, 2))}, NTU, 20.0)))
    page.evaluate(
        "other => { player.setClip(other); player.setValues(other.joints.map((_, at) => at / 25)); }", clip_of()
    )
    assert page.locator(".frame-number").inner_text() == f"1 / {T}"
    coloured = picture(page)
    page.evaluate("player.setValues(null)")
    plain = picture(page)
    page.evaluate("player.setBody(1, false)")
    assert len({coloured, plain, picture(page)}) == 3


def test_the_theme_is_remembered(open_page: Callable, tmp_path: Path) -> None:
    page = open_page(page_of(tmp_path, clip_of()), color_scheme="dark")
    dark = picture(page)
    page.get_by_role("button", name="Light theme").click()
    assert page.evaluate("currentTheme()") == "light" and picture(page) != dark
    page.reload()
    assert page.evaluate("currentTheme()") == "light"
    assert open_page(page_of(tmp_path, clip_of())).evaluate("currentTheme()") == "light"
