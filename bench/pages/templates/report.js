"use strict";
// The report's charts, tables, moving clips and learned graphs. Each takes its data from the <script> after it.

function color(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

/** Settings of a chart that follow the theme and the width of the screen. */
function themed(layout) {
  const axes = {};
  for (const key of ["xaxis", "yaxis", "xaxis2", "yaxis2"])
    axes[key] = { ...layout[key], gridcolor: color("--grid"), zerolinecolor: color("--line"), linecolor: color("--line") };
  const narrow = window.innerWidth < 560;
  return {
    margin: { l: 56, r: 16, t: 16, b: 48 },
    legend: { orientation: "h", x: 0, y: 1, yanchor: "bottom" },
    ...layout,
    ...axes,
    ...(narrow && layout.grid ? stacked(layout, axes) : {}),
    ...(narrow && layout.yaxis?.autorange === "reversed" ? onPhone(layout, axes) : {}),
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    font: { color: color("--text"), family: "system-ui, sans-serif", size: narrow ? 11 : 12 },
    hoverlabel: { font: { family: "system-ui, sans-serif" } },
  };
}

/** Two charts side by side become one above the other. */
function stacked(layout) {
  return { grid: { ...layout.grid, rows: layout.grid.columns, columns: 1, ygap: 0.3 }, height: layout.height * 1.5 };
}

/** A matrix of classes without the names that would leave no room for it. */
function onPhone(layout, axes) {
  const bare = (axis) => ({ ...axis, showticklabels: false });
  return { xaxis: bare(axes.xaxis), yaxis: bare(axes.yaxis), height: Math.min(layout.height, window.innerWidth + 60) };
}

const config = { displaylogo: false, responsive: true, displayModeBar: false, scrollZoom: false };

function specOf(place) {
  return JSON.parse(place.nextElementSibling.textContent);
}

/** Rows of a matrix that came as base64 of uint16. */
function matrixOf(array) {
  const bytes = Uint8Array.from(atob(array.bdata), (letter) => letter.charCodeAt(0));
  const [height, width] = array.shape.split(",").map(Number);
  const numbers = new Uint16Array(bytes.buffer);
  return Array.from({ length: height }, (_, row) => Array.from(numbers.subarray(row * width, (row + 1) * width)));
}

/** Of a heat map of counts: the share of its row for each, in percent, and the counts for who points at it. */
function shareRows(trace) {
  const counts = matrixOf(trace.z);
  const sums = counts.map((row) => row.reduce((sum, count) => sum + count, 0) || 1);
  const few = counts.length <= 20 ? { text: counts, texttemplate: "%{text}" } : {};
  return { ...trace, ...few, customdata: counts, z: counts.map((row, place) => row.map((count) => (100 * count) / sums[place])) };
}

function drawChart(place) {
  const spec = specOf(place);
  spec.data = spec.data.map((trace) => (trace.type === "heatmap" ? shareRows(trace) : trace));
  const layout = themed(spec.layout);
  place.style.height = `${layout.height}px`;
  Plotly.newPlot(place, spec.data, layout, config);
}

// Charts are drawn when they come near: a phone would be busy for seconds with all of them.
const nearby = new IntersectionObserver(
  (entries) => {
    for (const entry of entries) {
      if (!entry.isIntersecting) continue;
      nearby.unobserve(entry.target);
      entry.target.drawNow();
    }
  },
  { rootMargin: "600px" },
);

function drawWhenNear(place, draw) {
  place.drawNow = () => {
    place.drawn = true;
    draw();
  };
  nearby.observe(place);
  document.addEventListener("theme", () => place.drawn && draw());
}

for (const place of document.querySelectorAll(".chart")) drawWhenNear(place, () => drawChart(place));
window.addEventListener("beforeprint", () => {
  for (const place of document.querySelectorAll(".chart, .graph-grid")) if (!place.drawn) place.drawNow();
});

// Tables that sort by the column whose heading is pressed, and show the rows in which a word is.

function sortTable(table, heading) {
  const column = [...heading.parentElement.children].indexOf(heading);
  const numeric = heading.classList.contains("number") || heading.textContent.trim() === "taken for";
  const was = heading.getAttribute("aria-sort");
  const descending = was === "none" ? numeric : was === "ascending";
  for (const other of heading.parentElement.children) other.setAttribute("aria-sort", "none");
  heading.setAttribute("aria-sort", descending ? "descending" : "ascending");
  const value = (row) => row.children[column].dataset.value;
  const compare = (one, other) =>
    numeric ? Number(value(one)) - Number(value(other)) : value(one).localeCompare(value(other), "en", { numeric: true });
  const body = table.tBodies[0];
  body.append(...[...body.rows].sort((one, other) => (descending ? -1 : 1) * compare(one, other)));
}

for (const table of document.querySelectorAll("table.sortable"))
  for (const heading of table.tHead.rows[0].children)
    heading.querySelector("button").addEventListener("click", () => sortTable(table, heading));

for (const filter of document.querySelectorAll(".class-filter")) {
  const panel = filter.closest(".panel");
  filter.addEventListener("input", () => {
    const rows = [...panel.querySelectorAll("tbody tr")];
    const word = filter.value.trim().toLowerCase();
    for (const row of rows) row.hidden = !row.children[0].textContent.toLowerCase().includes(word);
    const shown = rows.filter((row) => !row.hidden).length;
    panel.querySelector("[role=status]").textContent = word ? `${shown} of ${rows.length} classes` : "";
  });
}

for (const chooser of document.querySelectorAll(".chooser"))
  chooser.addEventListener("change", () => {
    const choices = chooser.closest(".panel").querySelectorAll(".choice");
    choices.forEach((choice, place) => (choice.hidden = place !== chooser.selectedIndex));
  });

// Clips of confused pairs: both of a pair play together.

for (const pair of document.querySelectorAll(".pair")) {
  const button = pair.querySelector(".play-pair");
  const places = [...pair.querySelectorAll(".clip")];
  let players = null;
  const open = () => {
    players ??= places.map((place) => new SkeletonPlayer(place, specOf(place), { controls: "small" }));
  };
  places.forEach((place) => drawWhenNear(place, open));
  const show = () => {
    const playing = players.some((player) => player.playing);
    button.textContent = (playing ? "Pause" : "Play") + (places.length > 1 ? " both" : "");
  };
  button.addEventListener("click", () => {
    open();
    const playing = players.some((player) => player.playing);
    for (const player of players) playing ? player.pause() : player.play();
  });
  places.forEach((place) => place.addEventListener("state", show));
}

// Learned graphs: heat maps of A, B and C, a column a subset, and the strongest links on a skeleton.

const SUBSETS = ["subset 1, the joint itself", "subset 2, towards the centre", "subset 3, away from the centre"];
const LINKS = 20;

function unpacked(array) {
  const bytes = Uint8Array.from(atob(array.bdata), (letter) => letter.charCodeAt(0));
  const [subsets, joints] = array.shape.split(",").map(Number);
  const numbers = new Float32Array(bytes.buffer);
  return Array.from({ length: subsets }, (_, subset) =>
    Array.from({ length: joints }, (_, row) => {
      const start = (subset * joints + row) * joints;
      return Array.from(numbers.subarray(start, start + joints));
    }),
  );
}

function drawHeatMap(place, rows, joints, span) {
  const signed = span.low < 0;
  const largest = Math.max(Math.abs(span.low), Math.abs(span.high)) || 1;
  const trace = {
    type: "heatmap", z: rows, x: joints.map(plain), y: joints.map(plain), colorscale: signed ? "RdBu" : "Cividis",
    zmin: signed ? -largest : span.low, zmax: signed ? largest : span.high,
    colorbar: { thickness: 8, tickfont: { size: 10 }, tickformat: ".2~g" },
    hovertemplate: "%{x} takes %{z:.3~g} from %{y}<extra></extra>",
  };
  const hidden = { showticklabels: false, ticks: "", constrain: "domain" };
  const layout = themed({ margin: { l: 8, r: 8, t: 8, b: 8 }, xaxis: hidden, yaxis: { ...hidden, autorange: "reversed", scaleanchor: "x" } });
  delete layout.xaxis2;
  delete layout.yaxis2;
  Plotly.react(place, [trace], layout, config);
}

/** Two significant digits, without exponents where that is short. */
function digits(value) {
  return value >= 1e-4 ? String(Number(value.toPrecision(2))) : value.toExponential(1);
}

/** Text for plotly, which takes tags in labels for markup. */
function plain(text) {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
}

function svg(name, attributes) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

function skeletonSvg(graph, rows, label) {
  const [xs, ys] = graph.pose;
  const seen = xs.map((x, joint) => x !== null && ys[joint] !== null);
  const known = (values) => values.filter((value) => value !== null);
  const [left, right, low, high] = [Math.min(...known(xs)), Math.max(...known(xs)), Math.min(...known(ys)), Math.max(...known(ys))];
  const size = Math.max(right - left, high - low) || 1;
  const x = (joint) => 50 + (90 * (xs[joint] - (left + right) / 2)) / size;
  const y = (joint) => 50 - (90 * (ys[joint] - (low + high) / 2)) / size;
  const picture = svg("svg", { viewBox: "-2 -2 104 104", role: "img", "aria-label": label, class: "links" });
  const line = (one, other, more) =>
    seen[one] && seen[other] &&
    picture.append(svg("line", { x1: x(one), y1: y(one), x2: x(other), y2: y(other), "vector-effect": "non-scaling-stroke", ...more }));
  for (const [child, parent] of graph.edges) line(child, parent, { class: "edge" });
  const links = [];
  rows.forEach((row, giver) => row.forEach((value, taker) => giver !== taker && links.push([Math.abs(value), giver, taker])));
  links.sort((one, other) => other[0] - one[0]);
  const strongest = links[0][0] || 1;
  for (const [value, giver, taker] of links.slice(0, LINKS)) if (value > 0) line(giver, taker, { class: "link", opacity: Math.max(0.15, value / strongest) });
  const given = rows.map((row, giver) => row.reduce((sum, value, taker) => sum + (giver === taker ? 0 : Math.abs(value)), 0));
  const most = Math.max(...given) || 1;
  graph.joints.forEach((name, joint) => {
    if (!seen[joint]) return;
    const dot = svg("circle", { cx: x(joint), cy: y(joint), r: 0.8 + 2.6 * (given[joint] / most), class: "joint" });
    dot.append(svg("title", {}));
    dot.firstChild.textContent = `${name}: others take ${digits(given[joint])}`;
    picture.append(dot);
  });
  return picture;
}

function strongestLink(graph, rows) {
  let best = [0, 0, 0];
  rows.forEach((row, giver) => row.forEach((value, taker) => {
    if (giver !== taker && Math.abs(value) > best[0]) best = [Math.abs(value), giver, taker];
  }));
  return best[0] ? `${graph.joints[best[2]]} takes most, ${digits(best[0])}, from ${graph.joints[best[1]]}` : "no link between joints";
}

for (const panel of document.querySelectorAll(".graphs")) {
  const grid = panel.querySelector(".graph-grid");
  const all = specOf(grid);
  const [stream, layer, kind] = ["stream", "layer", "kind"].map((name) => panel.querySelector(`.graph-${name}`));
  const fillLayers = () => {
    const chosen = layer.value;
    layer.replaceChildren(...all[stream.value].layers.map((number, place) => new Option(number, place)));
    if ([...layer.options].some((option) => option.value === chosen)) layer.value = chosen;
    else layer.selectedIndex = layer.options.length - 1;
  };
  const cells = [];
  const draw = () => {
    const graph = all[stream.value];
    const parts = { fixed: unpacked(graph.fixed), learned: unpacked(graph.learned[layer.value]), dependent: unpacked(graph.dependent[layer.value]) };
    const names = { fixed: "A, fixed", learned: "B, learned", dependent: "C, of this clip" };
    panel.querySelector(".graph-text").textContent =
      `Layer ${graph.layers[layer.value]} of the ${graph.stream} stream; C is that of the clip ${graph.clip}. ${graph.text}`;
    let place = 0;
    const cell = (caption) => {
      if (!cells[place]) {
        const figure = document.createElement("figure");
        figure.append(document.createElement("figcaption"), document.createElement("div"));
        grid.append(figure);
        cells[place] = figure;
      }
      const figure = cells[place++];
      figure.firstChild.textContent = caption;
      return figure.lastChild;
    };
    parts[kind.value].forEach((rows, subset) => {
      const text = `${names[kind.value]} on the skeleton, ${SUBSETS[subset] ?? `subset ${subset + 1}`}: ${strongestLink(graph, rows)}`;
      cell(text).replaceChildren(skeletonSvg(graph, rows, text));
    });
    for (const [key, subsets] of Object.entries(parts)) {
      const flat = subsets.flat(2);
      const span = { low: flat.reduce((a, b) => Math.min(a, b)), high: flat.reduce((a, b) => Math.max(a, b)) };
      subsets.forEach((rows, subset) => {
        const text = `${names[key]}, subset ${subset + 1}: ${strongestLink(graph, rows)}`;
        const map = cell(text);
        map.className = "map";
        map.setAttribute("role", "img");
        map.setAttribute("aria-label", `Heat map of ${text}`);
        drawHeatMap(map, rows, graph.joints, span);
      });
    }
  };
  fillLayers();
  stream.addEventListener("change", () => { fillLayers(); draw(); });
  layer.addEventListener("change", draw);
  kind.addEventListener("change", draw);
  drawWhenNear(grid, draw);
}
