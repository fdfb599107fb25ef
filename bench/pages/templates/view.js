"use strict";
// The page of `view`: which clip and tracks are played, and what a network says of them.

const NOTHING = "";
const TRACK_TEXTS = {
  raw: "Raw: as recorded.",
  prepared: "Prepared: as prep makes it for training.",
  joint: "Joint: as prep made it.",
  bone: "Bone: each joint less the one that its bone starts from, all drawn from one point.",
};
const DASHES = ["", "8 4", "2 4", "10 3 2 3", "5 2"];
const SVG = "http://www.w3.org/2000/svg";

const part = (id) => document.getElementById(id);
const percent = (share) => `${(100 * share).toFixed(1)} %`;
const sources = [...document.querySelectorAll("script.clip")];
const readClip = (number) => JSON.parse(sources[number].textContent);

let clip = readClip(0);
const startTracks = () => [clip.tracks[0].name, clip.tracks[1].name];
const player = new SkeletonPlayer(part("player"), clip, { controls: "full", tracks: startTracks(), autoplay: true });

function shape(tag, attributes, text = "") {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.textContent = text;
  return made;
}

// Which clip, tracks and people.

function showClip() {
  const names = clip.tracks.map((track) => track.name);
  const [first, second] = [part("first"), part("second")];
  const before = [first.value, second.value];
  first.replaceChildren(...names.map((name) => new Option(name)));
  second.replaceChildren(new Option("nothing", NOTHING), ...names.map((name) => new Option(name)));
  const start = before[0] ? before : startTracks();
  first.value = start[0];
  second.value = start[1];
  part("text").textContent = [clip.text, ...clip.notes].join(" ");
  showBodies();
  showWeightChoice();
  showTracks();
  showAnswers();
}

function showTracks() {
  const names = [...new Set([part("first").value, part("second").value])].filter((name) => name !== NOTHING);
  player.setTracks(names);
  part("tracks-text").textContent = names.map((name) => TRACK_TEXTS[name]).join(" ");
}

function showBodies() {
  const count = Math.max(0, ...clip.tracks.map((track) => track.bodies));
  const fields = part("bodies");
  fields.hidden = count < 2;
  fields.replaceChildren(
    fields.firstElementChild,
    ...Array.from({ length: count }, (_, body) => {
      const label = document.createElement("label");
      const box = document.createElement("input");
      box.type = "checkbox";
      box.checked = true;
      box.addEventListener("change", () => player.setBody(body, box.checked));
      label.append(box, element("span", `swatch body-${(body % 6) + 1}`), `Person ${body + 1}`);
      return label;
    }),
  );
}

function showWeightChoice() {
  part("weights-field").hidden = !clip.weights;
  if (!clip.weights) return showWeights();
  const choice = part("weights");
  const before = choice.value;
  choice.replaceChildren(
    new Option("by person", NOTHING),
    ...clip.weights.map((_, layer) => new Option(`by weight in layer ${layer + 1}`, String(layer))),
  );
  choice.value = before;
  showWeights();
}

function showWeights() {
  const layer = clip.weights ? part("weights").value : NOTHING;
  player.setValues(layer === NOTHING ? null : clip.weights[Number(layer)]);
  part("legend").hidden = layer === NOTHING;
}

// What a network says.

/** The number of the window that had ended at a frame; the first one before that. */
function windowAt(frame) {
  let found = 0;
  clip.predictions.ends.forEach((end, number) => {
    if (end <= frame) found = number;
  });
  return found;
}

function showAnswers() {
  if (!part("answers")) return;
  part("answers").hidden = !clip.predictions;
  if (!clip.predictions) return;
  const { whole, classes, followed, window: length, cut } = clip.predictions;
  const right = clip.action ? (clip.action === whole[0].class ? ", which is its class" : `; its class is ${clip.action}`) : "";
  part("answer").textContent = `The whole clip: ${whole[0].class}, ${percent(whole[0].score)}${right}.`;
  part("window-text").textContent =
    `Each answer looks at the last ${length} frames, or at fewer near the start. ` +
    (cut ? "They are cut out of the prepared clip, and not prepared again. " : "") +
    "Click into the chart to go to a frame.";
  part("rows").replaceChildren(
    ...classes.map((name, place) => {
      const row = document.createElement("tr");
      const head = document.createElement("th");
      head.scope = "row";
      const key = shape("svg", { class: `line-key series-${place + 1}`, viewBox: "0 0 32 16", "aria-hidden": "true" });
      key.append(shape("path", { d: "M0 8H32", "stroke-dasharray": DASHES[place] }));
      head.append(key, name);
      const now = element("td", "number now-share");
      const all = element("td", "number");
      all.textContent = percent(followed[place]);
      row.append(head, now, all);
      return row;
    }),
  );
  drawChart();
  showNow();
}

const EDGES = { left: 44, right: 12, top: 10, bottom: 28 };

function chartScale() {
  const width = Math.max(part("chart").clientWidth, 120);
  const across = width - EDGES.left - EDGES.right;
  const last = Math.max(clip.recorded - 1, 1);
  const largest = Math.max(...clip.predictions.probabilities.flat());
  const most = [0.2, 0.5, 1].find((share) => share >= largest);
  return {
    width,
    last,
    most,
    x: (frame) => EDGES.left + (across * frame) / last,
    frame: (x) => Math.min(Math.max(Math.round(((x - EDGES.left) * last) / across), 0), last),
    y: (share) => EDGES.top + (240 - EDGES.top - EDGES.bottom) * (1 - share / most),
  };
}

function drawChart() {
  if (!clip.predictions) return;
  const { classes, ends, probabilities } = clip.predictions;
  const { width, last, most, x, y } = chartScale();
  const likeliest = classes[0];
  const svg = shape("svg", {
    viewBox: `0 0 ${width} 240`,
    role: "img",
    "aria-label": `Probability of ${classes.join(", ")} over ${clip.recorded} frames, likeliest ${likeliest}. The table has the numbers.`,
  });
  for (const level of [0, 0.25, 0.5, 0.75, 1]) {
    const at = y(level * most);
    svg.append(shape("line", { class: "grid", x1: EDGES.left, x2: width - EDGES.right, y1: at, y2: at }));
    const name = `${Math.round(100 * level * most)} %`;
    if (level % 0.5 === 0) svg.append(shape("text", { x: EDGES.left - 6, y: at + 4, "text-anchor": "end" }, name));
  }
  const ticks = width < 420 ? 3 : 6;
  for (let tick = 0; tick < ticks; tick += 1) {
    const frame = Math.round((last * tick) / (ticks - 1));
    const anchor = tick === 0 ? "start" : tick === ticks - 1 ? "end" : "middle";
    svg.append(shape("text", { x: x(frame), y: 234, "text-anchor": anchor }, tick ? String(frame + 1) : "frame 1"));
  }
  probabilities.forEach((shares, place) => {
    const points = shares.map((share, number) => `${x(ends[number]).toFixed(1)},${y(share).toFixed(1)}`);
    svg.append(shape("polyline", { class: `series series-${place + 1}`, points: points.join(" "), "stroke-dasharray": DASHES[place] }));
    if (points.length === 1) {
      const [at, height] = points[0].split(",");
      svg.append(shape("circle", { class: `series series-${place + 1}`, cx: at, cy: height, r: 3 }));
    }
  });
  svg.append(shape("line", { class: "now", y1: EDGES.top, y2: 240 - EDGES.bottom }));
  svg.addEventListener("click", (event) => goToFrame(event, svg));
  part("chart").replaceChildren(svg);
  showNow();
}

function goToFrame(event, svg) {
  const recorded = chartScale().frame(event.clientX - svg.getBoundingClientRect().left);
  player.pause();
  player.setFrame((recorded * (player.frames - 1)) / Math.max(clip.recorded - 1, 1));
}

function showNow() {
  if (!part("answers") || !clip.predictions) return;
  const frame = player.recordedFrame();
  const now = part("chart").querySelector(".now");
  const at = chartScale().x(frame);
  now.setAttribute("x1", at);
  now.setAttribute("x2", at);
  const number = windowAt(frame);
  const cells = part("rows").querySelectorAll(".now-share");
  clip.predictions.probabilities.forEach((shares, place) => {
    cells[place].textContent = percent(shares[number]);
  });
}

for (const id of ["first", "second"]) part(id).addEventListener("change", showTracks);
part("weights").addEventListener("change", showWeights);
part("player").addEventListener("frame", showNow);
// Keys act wherever the focus is; fields, buttons and a table that can be scrolled have keys of their own.
document.addEventListener("keydown", (event) => {
  const table = event.target.closest(".table-frame");
  const scrolls = table && table.scrollWidth > table.clientWidth;
  if (!event.defaultPrevented && !scrolls && !event.target.closest("input, select, textarea, button, summary"))
    player.onKey(event);
});
if (part("clip"))
  part("clip").addEventListener("change", () => {
    const playing = player.playing;
    clip = readClip(Number(part("clip").value));
    player.setClip(clip);
    showClip();
    if (playing) player.play();
  });
if (part("chart")) new ResizeObserver(() => drawChart()).observe(part("chart"));
showClip();
