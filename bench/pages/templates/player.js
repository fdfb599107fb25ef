"use strict";
// A player of skeletons on a canvas. What it plays is made by bench/pages/clip_data.py.
//
//   const player = new SkeletonPlayer(host, clip, { controls: "full", tracks: ["raw", "prepared"] });
//   player.play(); player.pause(); player.setFrame(12); player.setClip(other);
//   host.addEventListener("frame", event => event.detail);   // the frame that is seen, from 0
//   host.addEventListener("state", event => event.detail);   // whether it plays, whenever it starts or pauses

const ABSENT = -32768;
const TURN_STEP = Math.PI / 12;
const ZOOM_STEP = 1.25;
const FARTHEST = 0.8; // opacity
const SPEEDS = [0.25, 0.5, 1, 2, 4];
// What the four arrows do: with pictures in space, and with flat ones.
const ARROWS = [
  ["left", "Turn left", "Move left", [-1, 0]],
  ["right", "Turn right", "Move right", [1, 0]],
  ["over", "Look from higher", "Move up", [0, 1]],
  ["under", "Look from lower", "Move down", [0, -1]],
];
// What the keys do, for those who do not see the buttons.
const KEYS = [
  "Space: play or pause.",
  "Left and right arrow: one frame back or on.",
  "Up and down arrow, and Shift with left and right arrow: turn; flat pictures move.",
  "Plus and minus: zoom.",
  "Home: reset the view.",
];
const ICONS = {
  play: "M7 4l13 8-13 8z",
  pause: "M8 5v14M16 5v14",
  back: "M17 5l-9 7 9 7zM6 5v14",
  forward: "M7 5l9 7-9 7zM18 5v14",
  closer: "M12 5v14M5 12h14",
  farther: "M5 12h14",
  left: "M15 5l-7 7 7 7",
  right: "M9 5l7 7-7 7",
  over: "M5 15l7-7 7 7",
  under: "M5 9l7 7 7-7",
  reset: "M4 12a8 8 0 1 0 3-6.2M4 4v5h5",
};

/** The numbers of a track, with what is needed to draw them. */
class TrackFrames {
  constructor(track, joints) {
    this.name = track.name;
    this.flat = track.flat;
    this.vectors = track.vectors;
    this.frame = track.frame;
    this.bodies = track.bodies;
    this.joints = joints;
    const bytes = Uint8Array.from(atob(track.data), (letter) => letter.charCodeAt(0));
    this.values = new Int16Array(bytes.buffer); // (T, M, V, 3)
    this.frames = this.values.length / (3 * joints * Math.max(this.bodies, 1)) || 0;
    this.scale = track.scale;
    this.offset = track.offset;
    // The directions to the right, up and to the viewer, as axis and sign; all three make a right-handed system, so
    // that nobody is seen in a mirror.
    const up = [track.up[0], track.up[1]];
    const near = up[0] === 2 ? [1, 1] : [2, -1];
    const third = 3 - up[0] - near[0];
    const parity = (near[0] - up[0] + 3) % 3 === 1 ? 1 : -1; // of up x near
    this.axes = this.flat ? [[0, 1], up, [2, 1]] : [[third, parity * up[1] * near[1]], up, near];
    this.measure();
  }

  /** A joint as [right, up, near] into `place`; false where it was not seen. */
  point(frame, body, joint, place) {
    const start = ((frame * this.bodies + body) * this.joints + joint) * 3;
    if (this.values[start] === ABSENT) return false;
    for (let out = 0; out < 3; out += 1) {
      const [axis, sign] = this.axes[out];
      place[out] = sign * (this.values[start + axis] * this.scale[axis] + this.offset[axis]);
    }
    return true;
  }

  /** The middle and the half extent of what is seen, a few strays left out. */
  measure() {
    const found = [[], [], []];
    const place = [0, 0, 0];
    for (let frame = 0; frame < this.frames; frame += 1)
      for (let body = 0; body < this.bodies; body += 1)
        for (let joint = 0; joint < this.joints; joint += 1)
          if (this.point(frame, body, joint, place)) place.forEach((value, axis) => found[axis].push(value));
    if (this.vectors) found.forEach((values) => values.push(0));
    const ends = found.map((values) => {
      const sorted = Float64Array.from(values).sort();
      const cut = Math.floor(sorted.length * 0.002);
      return sorted.length ? [sorted[cut], sorted[sorted.length - 1 - cut]] : [-1, 1];
    });
    this.middle = ends.map(([low, high]) => (low + high) / 2);
    this.half = ends.map(([low, high]) => (high - low) / 2);
    this.floor = ends[1][0];
  }
}

class SkeletonPlayer {
  /**
   * @param host an element, which the player fills.
   * @param clip what clip_for_page makes.
   * @param options controls: "full", or "small" without buttons to turn and zoom, which the keys do all the same;
   *   tracks: the names of those that are shown, side by side (the first one where not given); autoplay: begins at
   *   once, unless the reader prefers reduced motion.
   */
  constructor(host, clip, options = {}) {
    this.host = host;
    this.options = { controls: "full", autoplay: false, ...options };
    this.shown = this.options.tracks || [];
    this.frame = 0;
    this.speed = 1;
    this.playing = false;
    this.values = null;
    this.hidden = new Set();
    this.pointers = new Map();
    this.build();
    this.setClip(clip);
    this.resetView();
    new ResizeObserver(() => this.requestDraw()).observe(this.canvas);
    document.addEventListener("theme", () => this.requestDraw());
    const still = window.matchMedia("(prefers-reduced-motion: reduce)").matches;
    if (this.options.autoplay && !still) this.play();
  }

  // What others call.

  play() {
    if (this.playing || this.frames < 2) return;
    if (this.frame >= this.frames - 1) this.setFrame(0);
    this.playing = true;
    this.clock = null;
    this.ticking = requestAnimationFrame((time) => this.tick(time));
    this.changeState();
  }

  pause() {
    if (!this.playing) return;
    this.playing = false;
    cancelAnimationFrame(this.ticking);
    this.changeState();
  }

  setFrame(number) {
    const last = Math.max(this.frames - 1, 0);
    const wanted = Math.min(Math.max(Math.round(Number(number)) || 0, 0), last);
    this.clock = null;
    this.goTo(wanted);
  }

  setClip(clip) {
    this.pause();
    this.clip = clip;
    this.tracks = clip.tracks.map((track) => new TrackFrames(track, clip.joints.length));
    this.frames = Math.max(0, ...this.tracks.map((track) => track.frames));
    this.values = null;
    this.hidden.clear();
    this.setTracks(this.shown);
    this.frame = -1;
    this.setFrame(0);
  }

  /** Shows the tracks of these names side by side; the first one where the clip has none of them. */
  setTracks(names) {
    this.shown = names;
    const found = names.map((name) => this.tracks.find((track) => track.name === name)).filter(Boolean);
    this.views = found.length ? found : this.tracks.slice(0, 1);
    this.canvas.setAttribute("aria-label", this.clip.text);
    const flat = this.isFlat();
    (this.arrows || []).forEach((button, place) => {
      const [icon, turn, move] = ARROWS[place];
      setIcon(button, icon, flat ? move : turn);
    });
    this.requestDraw();
  }

  isFlat() {
    return this.views.every((view) => view.flat);
  }

  /** Colours joints by a number each, from 0 to 1; null for the colours of bodies. */
  setValues(values) {
    this.values = values;
    this.requestDraw();
  }

  /** Shows or hides a body, counted from 0. */
  setBody(body, visible) {
    if (visible) this.hidden.delete(body);
    else this.hidden.add(body);
    this.requestDraw();
  }

  setSpeed(speed) {
    this.speed = Math.min(Math.max(Number(speed) || 1, SPEEDS[0]), SPEEDS[SPEEDS.length - 1]);
    if (this.speeds) this.speeds.value = String(this.speed);
  }

  zoomBy(factor) {
    this.zoom = Math.min(Math.max(this.zoom * factor, 0.2), 12);
    this.requestDraw();
  }

  /** Turns by angles in radians; pictures in two dimensions stay flat, and move instead. */
  turnBy(yaw, pitch) {
    if (this.isFlat()) {
      this.shift[0] += yaw * 60;
      this.shift[1] += pitch * 60;
    } else {
      this.yaw += yaw;
      this.pitch = Math.min(Math.max(this.pitch + pitch, -Math.PI / 2), Math.PI / 2);
    }
    this.requestDraw();
  }

  resetView() {
    this.yaw = 0.35;
    this.pitch = 0.12;
    this.zoom = 1;
    this.shift = [0, 0];
    this.requestDraw();
  }

  /** The number of a shown frame in the recording, from 0: long clips show some of their frames only. */
  recordedFrame(frame = this.frame) {
    return this.frames < 2 ? 0 : Math.round((frame * (this.clip.recorded - 1)) / (this.frames - 1));
  }

  // Time.

  tick(time) {
    if (!this.playing) return;
    if (this.clock === null) this.clock = { time, frame: this.frame };
    const passed = ((time - this.clock.time) / 1000) * this.clip.fps * this.speed;
    if (this.clockSpeed !== this.speed) {
      this.clockSpeed = this.speed;
      this.clock = { time, frame: this.frame };
    } else if (passed >= 1) {
      this.goTo((this.clock.frame + Math.floor(passed)) % this.frames);
    }
    this.ticking = requestAnimationFrame((next) => this.tick(next));
  }

  changeState() {
    this.showState();
    this.host.dispatchEvent(new CustomEvent("state", { detail: this.playing }));
  }

  goTo(frame) {
    if (frame === this.frame) return;
    this.frame = frame;
    this.showState();
    this.requestDraw();
    this.host.dispatchEvent(new CustomEvent("frame", { detail: frame }));
  }

  // Controls.

  build() {
    this.host.replaceChildren();
    this.host.classList.add("player");
    this.host.classList.toggle("small-player", this.options.controls === "small");
    this.canvas = document.createElement("canvas");
    const keys = element("ul", "");
    keys.append(...KEYS.map((text) => Object.assign(document.createElement("li"), { textContent: text })));
    keys.id = `player-keys-${document.querySelectorAll(".player").length}`;
    keys.hidden = true;
    this.canvas.setAttribute("role", "application");
    this.canvas.setAttribute("aria-roledescription", "skeleton player");
    this.canvas.setAttribute("aria-describedby", keys.id);
    this.canvas.tabIndex = 0;
    this.host.append(this.canvas, keys, this.options.controls === "small" ? this.smallBar() : this.fullBar());
    this.host.addEventListener("keydown", (event) => this.onKey(event));
    this.canvas.addEventListener("pointerdown", (event) => this.onPress(event));
    this.canvas.addEventListener("pointermove", (event) => this.onMove(event));
    for (const end of ["pointerup", "pointercancel"])
      this.canvas.addEventListener(end, (event) => this.onRelease(event));
    this.canvas.addEventListener("wheel", (event) => this.onWheel(event), { passive: false });
  }

  smallBar() {
    const bar = element("div", "player-bar");
    bar.append(this.playButton(), this.scrubber(), this.frameNumber());
    return bar;
  }

  fullBar() {
    const bars = document.createDocumentFragment();
    const time = element("div", "player-bar");
    time.append(
      this.playButton(),
      this.button("back", "One frame back", () => this.step(-1)),
      this.button("forward", "One frame on", () => this.step(1)),
      this.scrubber(),
      this.frameNumber(),
    );
    const view = element("div", "player-bar");
    const turns = element("span", "player-group");
    this.arrows = ARROWS.map(([icon, label, , [yaw, pitch]]) =>
      this.button(icon, label, () => this.turnBy(yaw * TURN_STEP, pitch * TURN_STEP)),
    );
    turns.append(...this.arrows);
    const zooms = element("span", "player-group");
    zooms.append(
      this.button("farther", "Zoom out", () => this.zoomBy(1 / ZOOM_STEP)),
      this.button("closer", "Zoom in", () => this.zoomBy(ZOOM_STEP)),
      this.button("reset", "Reset the view", () => this.resetView()),
    );
    const speed = element("label", "field");
    this.speeds = document.createElement("select");
    for (const value of SPEEDS) this.speeds.append(new Option(`${value} x`, String(value), value === 1, value === 1));
    this.speeds.addEventListener("change", () => this.setSpeed(this.speeds.value));
    speed.append("Speed", this.speeds);
    view.append(turns, zooms, element("span", "player-gap"), speed);
    bars.append(time, view);
    return bars;
  }

  button(icon, label, action) {
    const button = element("button", "button");
    button.type = "button";
    setIcon(button, icon, label);
    button.addEventListener("click", action);
    return button;
  }

  playButton() {
    this.toggle = this.button("play", "Play", () => (this.playing ? this.pause() : this.play()));
    return this.toggle;
  }

  scrubber() {
    this.scrub = document.createElement("input");
    this.scrub.type = "range";
    this.scrub.min = "0";
    this.scrub.setAttribute("aria-label", "Frame");
    this.scrub.addEventListener("input", () => this.setFrame(this.scrub.valueAsNumber));
    return this.scrub;
  }

  frameNumber() {
    this.number = element("span", "frame-number");
    return this.number;
  }

  showState() {
    setIcon(this.toggle, this.playing ? "pause" : "play", this.playing ? "Pause" : "Play");
    this.scrub.max = String(Math.max(this.frames - 1, 0));
    this.scrub.value = String(this.frame);
    const text = this.frames ? `${this.recordedFrame() + 1} / ${this.clip.recorded}` : "no frame";
    this.number.textContent = text;
    this.scrub.setAttribute("aria-valuetext", this.frames ? `frame ${text.replace("/", "of")}` : text);
  }

  step(by) {
    this.pause();
    this.setFrame(this.frame + by);
  }

  onKey(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const kind = event.target.tagName;
    const taken = { INPUT: /^(Arrow|Home|End|Page)/, SELECT: /./, BUTTON: /^( |Enter)$/ }[kind];
    if (taken && taken.test(event.key)) return;
    const arrows = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[event.key];
    if (arrows && (event.shiftKey || arrows[1])) this.turnBy(arrows[0] * TURN_STEP, arrows[1] * TURN_STEP);
    else if (arrows) this.step(arrows[0]);
    else if (event.key === " ") this.playing ? this.pause() : this.play();
    else if (event.key === "+" || event.key === "=") this.zoomBy(ZOOM_STEP);
    else if (event.key === "-") this.zoomBy(1 / ZOOM_STEP);
    else if (event.key === "Home") this.resetView();
    else return;
    event.preventDefault();
  }

  onPress(event) {
    if (event.pointerType === "mouse" && event.button !== 0) return;
    this.canvas.setPointerCapture(event.pointerId);
    this.pointers.set(event.pointerId, [event.clientX, event.clientY]);
    this.canvas.classList.add("turning");
  }

  onMove(event) {
    const before = this.pointers.get(event.pointerId);
    if (!before) return;
    const now = [event.clientX, event.clientY];
    const moved = [now[0] - before[0], now[1] - before[1]];
    const flat = this.isFlat();
    if (this.pointers.size > 1) {
      const other = [...this.pointers].find(([id]) => id !== event.pointerId)[1];
      const distance = (point) => Math.hypot(point[0] - other[0], point[1] - other[1]) || 1;
      this.zoomBy(distance(now) / distance(before));
    } else if (flat || event.shiftKey) {
      this.shift[0] += moved[0];
      this.shift[1] -= moved[1];
      this.requestDraw();
    } else {
      this.turnBy(moved[0] / 120, moved[1] / 120);
    }
    this.pointers.set(event.pointerId, now);
  }

  onRelease(event) {
    this.pointers.delete(event.pointerId);
    if (!this.pointers.size) this.canvas.classList.remove("turning");
  }

  /** The wheel zooms where the player has the focus; elsewhere the page scrolls. */
  onWheel(event) {
    if (!event.ctrlKey && !this.host.contains(document.activeElement)) return;
    event.preventDefault();
    this.zoomBy(Math.exp(-Math.sign(event.deltaY) * Math.min(Math.abs(event.deltaY), 100) * 0.002));
  }

  // Drawing.

  requestDraw() {
    if (this.drawing) return;
    this.drawing = requestAnimationFrame(() => {
      this.drawing = 0;
      this.draw();
    });
  }

  draw() {
    const ratio = window.devicePixelRatio || 1;
    const { clientWidth: width, clientHeight: height } = this.canvas;
    if (!width || !height) return;
    const [wide, high] = [Math.round(width * ratio), Math.round(height * ratio)];
    if (this.canvas.width !== wide || this.canvas.height !== high) {
      this.canvas.width = wide;
      this.canvas.height = high;
    }
    const context = this.canvas.getContext("2d");
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, width, height);
    this.colors = readColors(this.host);
    const stacked = this.views.length > 1 && width < 460;
    this.views.forEach((view, place) => {
      const share = 1 / this.views.length;
      const box = stacked
        ? [0, place * share * height, width, share * height]
        : [place * share * width, 0, share * width, height];
      this.drawView(context, view, box, place);
    });
  }

  drawView(context, view, [left, top, width, height], place) {
    context.save();
    context.beginPath();
    context.rect(left, top, width, height);
    context.clip();
    if (place > 0) line(context, [left, top], [left + (left ? 0 : width), top + (left ? height : 0)], this.colors.line, 2);
    context.font = "13px system-ui, sans-serif";
    context.fillStyle = this.colors.muted;
    context.textBaseline = "top";
    if (this.views.length > 1 || view.vectors) context.fillText(view.name.replace("_", " "), left + 10, top + 9);
    const project = this.projection(view, [left, top + 12, width, height - 12]);
    if (view.frame) this.drawPicture(context, view, project);
    if (!view.flat) this.drawFloor(context, view, project);
    const seen = this.frame < view.frames && this.drawBodies(context, view, project);
    if (!seen) {
      context.fillStyle = this.colors.muted;
      context.textAlign = "center";
      context.textBaseline = "middle";
      context.fillText("nobody in this frame", left + width / 2, top + height / 2);
      context.textAlign = "start";
    }
    context.restore();
  }

  /** From [right, up, near] to [x, y, how near from 0 to 1]. */
  projection(view, [left, top, width, height]) {
    const across = view.flat ? view.half[0] : Math.max(view.half[0], view.half[2]);
    const fit = Math.min(width / (2.3 * across || 1), height / (2.3 * view.half[1] || 1));
    const scale = fit * this.zoom;
    const [yaw, pitch] = view.flat ? [0, 0] : [this.yaw, this.pitch];
    const [cosYaw, sinYaw, cosPitch, sinPitch] = [Math.cos(yaw), Math.sin(yaw), Math.cos(pitch), Math.sin(pitch)];
    const depth = Math.max(...view.half, 1e-9);
    return ([right, up, near]) => {
      const [x, y, z] = [right - view.middle[0], up - view.middle[1], near - view.middle[2]];
      const [turned, toward] = [x * cosYaw + z * sinYaw, z * cosYaw - x * sinYaw];
      const [raised, closer] = [y * cosPitch - toward * sinPitch, toward * cosPitch + y * sinPitch];
      return [
        left + width / 2 + turned * scale + this.shift[0],
        top + height / 2 - raised * scale - this.shift[1],
        Math.min(Math.max(0.5 + (0.5 * closer) / depth, 0), 1),
      ];
    };
  }

  drawPicture(context, view, project) {
    const [[lowX, lowY], [highX, highY]] = view.frame;
    const sign = view.axes[1][1];
    const corners = [[lowX, lowY], [highX, lowY], [highX, highY], [lowX, highY]].map(([x, y]) => project([x, sign * y, 0]));
    corners.forEach((corner, place) => line(context, corner, corners[(place + 1) % 4], this.colors.grid, 1));
  }

  drawFloor(context, view, project) {
    if (view.vectors) return;
    const reach = Math.max(view.half[0], view.half[2]) * 1.25;
    for (let step = -4; step <= 4; step += 1) {
      const at = (step * reach) / 4;
      const [x, z] = [view.middle[0], view.middle[2]];
      line(context, project([x + at, view.floor, z - reach]), project([x + at, view.floor, z + reach]), this.colors.grid, 1);
      line(context, project([x - reach, view.floor, z + at]), project([x + reach, view.floor, z + at]), this.colors.grid, 1);
    }
  }

  drawBodies(context, view, project) {
    const pieces = [];
    const place = [0, 0, 0];
    const thick = Math.min(Math.max(Math.min(this.canvas.clientWidth, this.canvas.clientHeight) / 130, 2), 4);
    const dense = view.joints > 60 ? 0.5 : 1;
    let seen = false;
    const origin = project([0, 0, 0]);
    for (let body = 0; body < view.bodies; body += 1) {
      if (this.hidden.has(body)) continue;
      const color = this.colors.bodies[body % this.colors.bodies.length];
      const points = [];
      for (let joint = 0; joint < view.joints; joint += 1)
        points.push(view.point(this.frame, body, joint, place) ? project(place) : null);
      const ends = view.vectors ? points.map((point) => [origin, point]) : this.clip.edges.map(([a, b]) => [points[a], points[b]]);
      for (const [a, b] of ends)
        if (a && b) pieces.push({ depth: (a[2] + b[2]) / 2, a, b, color: this.values ? this.colors.muted : color, width: thick * dense });
      points.forEach((point, joint) => {
        if (!point) return;
        seen = true;
        const value = this.values ? this.values[joint] : null;
        const size = value === null ? thick * 0.95 * dense : thick * (0.7 + 2.1 * value);
        const shade = value === null ? color : ramp(this.colors.ramp, value);
        pieces.push({ depth: point[2] + 0.01, a: point, color: shade, width: size, solid: value !== null });
      });
    }
    pieces.sort((one, other) => one.depth - other.depth);
    for (const { depth, a, b, color, width, solid } of pieces) {
      // What is far is fainter, but keeps 3:1; a colour that stands for a number is not mixed with the background.
      context.globalAlpha = view.flat || solid ? 1 : FARTHEST + (1 - FARTHEST) * depth;
      if (b) line(context, a, b, color, view.flat ? width : width * (0.7 + 0.5 * depth));
      else {
        context.fillStyle = color;
        context.beginPath();
        context.arc(a[0], a[1], width, 0, 2 * Math.PI);
        context.fill();
      }
    }
    context.globalAlpha = 1;
    return seen;
  }
}

function element(tag, name) {
  const made = document.createElement(tag);
  made.className = name;
  return made;
}

function setIcon(button, icon, label) {
  if (button.getAttribute("aria-label") === label) return;
  button.setAttribute("aria-label", label);
  button.title = label;
  const picture = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  picture.setAttribute("viewBox", "0 0 24 24");
  picture.setAttribute("aria-hidden", "true");
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  path.setAttribute("d", ICONS[icon]);
  picture.append(path);
  button.replaceChildren(picture);
}

function line(context, from, to, color, width) {
  context.strokeStyle = color;
  context.lineWidth = width;
  context.lineCap = "round";
  context.beginPath();
  context.moveTo(from[0], from[1]);
  context.lineTo(to[0], to[1]);
  context.stroke();
}

/** The colours of the theme, as style.css names them. */
function readColors(host) {
  const style = getComputedStyle(host);
  const read = (name) => style.getPropertyValue(`--${name}`).trim();
  return {
    line: read("line"),
    grid: read("grid"),
    muted: read("muted"),
    bodies: [1, 2, 3, 4, 5, 6].map((body) => read(`body-${body}`)),
    ramp: ["low", "middle", "high"].map(read),
  };
}

/** A colour between three, for a value from 0 to 1. */
function ramp(colors, value) {
  const place = Math.min(Math.max(value, 0), 1) * (colors.length - 1);
  const first = Math.min(Math.floor(place), colors.length - 2);
  const parts = (color) => [1, 3, 5].map((start) => Number.parseInt(color.slice(start, start + 2), 16));
  const [low, high] = [parts(colors[first]), parts(colors[first + 1])];
  return `rgb(${low.map((part, channel) => Math.round(part + (high[channel] - part) * (place - first))).join(" ")})`;
}
