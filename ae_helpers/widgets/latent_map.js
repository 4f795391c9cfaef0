// The latent map: real digits as points in the plane, and the decoder at the point you touch.
//
// One module with two homes: anywidget calls `default.render` in JupyterLab, and the page that
// `export_html` writes calls `openPage`. Everything happens in the browser, so that a move costs
// one frame and works while the kernel is busy. From the top: the decoder, the nearest digit,
// the points, the map that joins them, its two homes, and its looks.

import { Film } from "./film.js";

const TAP_RADIUS = 12; // CSS pixels within which a click means the point beside it
const DRAG_START = 6; // CSS pixels that a pressed pointer moves before it is a drag
const REST_RADIUS = 16; // CSS pixels that the pointer leaves a clicked point by to move on
const WALK_MS = 2200;
const NAME_HEIGHT = 17; // CSS pixels that a class's name takes on the plot
const LONGEST_NAME = 10; // letters of it written there; the legend has all of them
const STRIP = 9; // digits in the strip that shows a walk at a glance

// ---- The decoder ---------------------------------------------------------------------------

const ACTIVATIONS = {
  relu: (v) => (v > 0 ? v : 0),
  linear: (v) => v,
  tanh: Math.tanh,
  sigmoid: (v) => 1 / (1 + Math.exp(-v)),
  silu: (v) => v / (1 + Math.exp(-v)),
};

// `shapes` is [[inputs, units, activation], …]; `floats` holds kernel, bias, kernel, bias, …
export function readLayers(shapes, floats) {
  let at = 0;
  const take = (count) => floats.subarray(at, (at += count));
  return shapes.map(([inputs, units, activation]) => ({
    units,
    kernel: take(inputs * units),
    bias: take(units),
    activate: ACTIVATIONS[activation],
    out: new Float64Array(units),
  }));
}

// The pixels, 0 to 255, of the point (x, y).
export function decode(layers, x, y) {
  let input = [x, y];
  for (const { units, kernel, bias, activate, out } of layers) {
    out.set(bias);
    for (let i = 0; i < input.length; i++) {
      const value = input[i];
      const row = i * units;
      if (value !== 0) for (let j = 0; j < units; j++) out[j] += value * kernel[row + j];
    }
    for (let j = 0; j < units; j++) out[j] = activate(out[j]);
    input = out;
  }
  return Uint8Array.from(input, (v) => Math.floor(Math.min(1, Math.max(0, v)) * 255 + 0.5));
}

// ---- The nearest digit ---------------------------------------------------------------------

// Points sorted into the cells of a grid over the unit square: `order` lists them cell by cell,
// and `start[c]` says where cell c begins. A search looks at the cells around, ring by ring.
export function buildGrid(us, vs, members) {
  const cells = Math.max(1, Math.min(256, Math.floor(Math.sqrt(members.length / 4))));
  const cellOf = (value) => Math.max(0, Math.min(cells - 1, Math.floor(value * cells)));
  const start = new Uint32Array(cells * cells + 1);
  for (const i of members) start[cellOf(vs[i]) * cells + cellOf(us[i]) + 1]++;
  for (let c = 0; c < cells * cells; c++) start[c + 1] += start[c];
  const order = new Uint32Array(members.length);
  const next = start.slice();
  for (const i of members) order[next[cellOf(vs[i]) * cells + cellOf(us[i])]++] = i;
  return { us, vs, cells, cellOf, start, order };
}

// The member of the grid that lies nearest to (u, v), or -1 if it has none.
export function nearest({ us, vs, cells, cellOf, start, order }, u, v) {
  const column = cellOf(u);
  const row = cellOf(v);
  let best = -1;
  let bestSquare = Infinity;
  for (let ring = 0; ring < cells; ring++) {
    // All cells of this ring are at least (ring - 1) cells away.
    if (best >= 0 && ((ring - 1) / cells) ** 2 > bestSquare) break;
    for (let r = Math.max(0, row - ring); r <= Math.min(cells - 1, row + ring); r++) {
      const step = Math.abs(r - row) === ring ? 1 : Math.max(1, 2 * ring);
      for (let c = column - ring; c <= column + ring; c += step) {
        if (c < 0 || c >= cells) continue;
        for (let k = start[r * cells + c]; k < start[r * cells + c + 1]; k++) {
          const i = order[k];
          const square = (us[i] - u) ** 2 + (vs[i] - v) ** 2;
          if (square < bestSquare) [best, bestSquare] = [i, square];
        }
      }
    }
  }
  return best;
}

// ---- The points ----------------------------------------------------------------------------

// Blend one soft dot a point straight into the pixels: 60,000 take a few dozen milliseconds,
// where 60,000 calls of fillRect take ten times as long.
export function drawPoints(canvas, size, { us, vs, labels: classOf, shown }, colours) {
  const scale = window.devicePixelRatio || 1;
  const side = Math.max(1, Math.round(size * scale));
  if (canvas.width !== side || canvas.height !== side) canvas.width = canvas.height = side; // a new one costs
  const [radius, opacity] =
    us.length > 20000 ? [1.1, 0.5] : us.length > 2000 ? [1.6, 0.65] : us.length > 200 ? [2.4, 0.75] : [4, 0.9];
  const reach = Math.ceil(radius * scale);
  const [dxs, dys, alphas] = [[], [], []]; // the pixels of a dot
  for (let dy = -reach; dy <= reach; dy++) {
    for (let dx = -reach; dx <= reach; dx++) {
      const cover = Math.min(1, radius * scale + 0.5 - Math.hypot(dx, dy));
      if (cover <= 0) continue;
      dxs.push(dx);
      dys.push(dy);
      alphas.push(cover * opacity);
    }
  }
  const context = canvas.getContext("2d");
  const image = context.createImageData(side, side);
  const pixels = image.data;
  const rgb = colours.map((hex) => [1, 3, 5].map((k) => parseInt(hex.slice(k, k + 2), 16)));
  for (let i = 0; i < us.length; i++) {
    if (!shown[classOf[i]]) continue;
    const [red, green, blue] = rgb[classOf[i]];
    const px = Math.round(us[i] * side - 0.5);
    const py = Math.round((1 - vs[i]) * side - 0.5);
    for (let k = 0; k < alphas.length; k++) {
      const x = px + dxs[k];
      const y = py + dys[k];
      if (x < 0 || y < 0 || x >= side || y >= side) continue;
      const at = 4 * (y * side + x);
      const alpha = alphas[k];
      const total = alpha + (pixels[at + 3] / 255) * (1 - alpha);
      const share = alpha / total;
      pixels[at] += (red - pixels[at]) * share;
      pixels[at + 1] += (green - pixels[at + 1]) * share;
      pixels[at + 2] += (blue - pixels[at + 2]) * share;
      pixels[at + 3] = 255 * total;
    }
  }
  context.putImageData(image, 0, 0);
}

// Push the names' places apart, so that none hides another, and keep them within the plot.
function spread(places, width, height, side) {
  const flat = height / width; // with x scaled by it, one distance serves both directions
  const moved = places.map(([x, y]) => [x * flat, y]);
  for (let round = 0; round < 50; round++) {
    for (let a = 0; a < moved.length; a++) {
      for (let b = 0; b < a; b++) {
        const [dx, dy] = [moved[a][0] - moved[b][0], moved[a][1] - moved[b][1]];
        const apart = Math.hypot(dx, dy);
        if (apart >= height) continue;
        const push = (height - apart) / 2;
        const [ux, uy] = apart > 0 ? [dx / apart, dy / apart] : [Math.cos(a), Math.sin(a)];
        moved[a] = [moved[a][0] + ux * push, moved[a][1] + uy * push];
        moved[b] = [moved[b][0] - ux * push, moved[b][1] - uy * push];
      }
    }
    for (const place of moved) {
      place[0] = clamp(place[0], height / 2, side * flat - height / 2);
      place[1] = clamp(place[1], height / 2, side - height / 2);
    }
  }
  return moved.map(([x, y]) => [x / flat, y]);
}

// Round numbers from low to high, about `count` of them.
function ticks(low, high, count) {
  const rough = (high - low) / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * [1, 2, 5, 10].find((k) => k * power >= rough);
  const found = [];
  for (let k = Math.ceil(low / step); k * step <= high; k++) found.push(k * step);
  const digits = Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
  return found.map((value) => [value, value.toFixed(digits).replace("-", "−")]);
}

// ---- The map -------------------------------------------------------------------------------

const PARTS = `
  <div class="frame">
    <div class="left">
      <div class="map" tabindex="0" role="application" aria-roledescription="map" aria-describedby="help">
        <div class="plot">
          <canvas class="points"></canvas>
          <svg aria-hidden="true">
            <g class="axes"></g>
            <g class="names"></g>
            <line class="path" visibility="hidden" />
            <circle class="start" r="5" visibility="hidden" />
            <circle class="neighbour" r="5" visibility="hidden" />
            <polygon class="lasso" />
            <g class="cursor"><circle class="halo" r="8" /><circle class="ring" r="8" /><circle class="dot" r="1.5" /></g>
          </svg>
          <figure class="tip" hidden><canvas></canvas><figcaption></figcaption></figure>
        </div>
      </div>
      <div class="select" hidden>
        <button type="button" aria-pressed="false">Select points</button> <span></span>
      </div>
      <div class="legend" role="group" aria-label="Classes shown"></div>
    </div>
    <div class="right">
      <div class="images">
        <figure class="decoded">
          <canvas role="img" aria-label="The decoded digit"></canvas>
          <figcaption></figcaption>
        </figure>
        <figure class="original">
          <canvas role="img" aria-label="The original"></canvas>
          <figcaption></figcaption>
        </figure>
      </div>
      <div class="place" aria-hidden="true"></div>
      <div class="sliders">
        <label>z₁ <input type="range" step="any" /></label>
        <label>z₂ <input type="range" step="any" /></label>
      </div>
      <div class="walk" hidden>
        <canvas class="strip" role="img" aria-label="Digits decoded along the walk"></canvas>
        <button type="button">Play the walk</button>
      </div>
      <p class="note" id="help">
        Move over the map with the pointer or a finger, or press the arrow keys (Shift: larger
        steps). Click or tap a point to see that digit and its reconstruction. Drag from one point to
        another to walk between them; by keys: Enter at the start, Enter at the end, Escape to stop.
      </p>
      <p class="note" id="thinned" hidden></p>
    </div>
  </div>
  <div class="told" aria-live="polite"></div>`;

// The map of `data`, built in `host`. `onMove(x, y)` is called once a frame at most, while the
// reader moves the point; `showPoint`, `showPicture` and `remove` are for the home that it lives in.
export class LatentMap {
  constructor(host, { spec, weights, points, labels, images }, { onMove = () => {}, onSelect = null } = {}) {
    this.shapes = spec.layers;
    this.layers = readLayers(spec.layers, weights);
    [this.xSpan, this.ySpan] = spec.ranges;
    this.classes = spec.classes;
    this.labels = labels;
    this.images = images;
    // With originals, "nearest" means the nearest of those: they are the first points.
    [this.height, this.width] = spec.shape ?? [28, 28]; // of an image, in pixels
    this.pixels = this.height * this.width;
    this.searched = images.length ? images.length / this.pixels : labels.length;
    this.setPoints(points);
    this.shown = spec.classes.map(() => true);
    this.onMove = onMove;
    this.onSelect = onSelect; // called with the indices of the points inside a lasso
    this.files = spec.files; // where each of the searched points' images came from, if that is known

    [this.x, this.y] = spec.start;
    this.chosen = -1; // the digit clicked on, while the point rests there
    this.picture = null; // an image set from Python, shown until the next move
    this.mark = null; // [x, y] where a walk will start
    this.walk = null; // {from: [x, y], to: [x, y], chosen: index at its end}
    this.walkStart = null; // when the walk that is playing began
    this.press = null; // where the pointer went down, while it is down
    this.lasso = null; // the corners of a selection, [x, y] each, while select is pressed
    this.rest = null; // where the pointer rests after a click or a drag
    this.moved = false; // the reader moved the point since the last frame
    this.movedAt = -Infinity; // when that was last, in ms
    this.side = 0; // of the plot, in CSS pixels
    this.scale = 0; // pixels of the screen for one of these

    this.build(host);
    this.sort();
    this.resizing = new ResizeObserver(() => this.layOut());
    this.resizing.observe(this.parts.plot);
    // At another zoom of the browser a plot of the same size has other pixels.
    this.zoomed = () => this.layOut();
    window.addEventListener("resize", this.zoomed);
  }

  // -- its parts

  build(host) {
    host.setAttribute("data-lm-suppress-shortcuts", "true"); // else JupyterLab takes the arrow keys
    const root = host.shadowRoot ?? host.attachShadow({ mode: "open" });
    root.innerHTML = `<style>${STYLE}</style>${PARTS}`;
    const part = (selector) => root.querySelector(selector);
    this.parts = {
      map: part(".map"),
      plot: part(".plot"),
      points: part(".points"),
      axes: part(".axes"),
      names: part(".names"),
      path: part(".path"),
      start: part(".start"),
      neighbour: part(".neighbour"),
      cursor: part(".cursor"),
      legend: part(".legend"),
      images: part(".images"),
      decoded: part(".decoded canvas"),
      decodedText: part(".decoded figcaption"),
      original: part(".original canvas"),
      originalText: part(".original figcaption"),
      place: part(".place"),
      sliders: [...root.querySelectorAll("input")],
      walk: part(".walk"),
      strip: part(".strip"),
      replay: part(".walk button"),
      thinned: part("#thinned"),
      lasso: part(".lasso"),
      tip: part(".tip"),
      select: part(".select button"),
      selectText: part(".select span"),
      told: part(".told"),
    };
    const { map, plot, images, decoded, original, sliders, thinned, replay, select } = this.parts;
    const all = `${this.labels.length.toLocaleString("en")} ${this.files?.length ? "images" : "digits"}`;
    map.setAttribute("aria-label", `Latent map of ${all}`);
    thinned.hidden = this.searched === this.labels.length;
    thinned.textContent =
      `All ${all} are drawn. ${this.searched.toLocaleString("en")} of them, taken evenly from ` +
      "the classes, have their originals here; the nearest original is one of those.";
    const tip = this.parts.tip.firstChild;
    this.parts.tip.hidden = !this.files || this.images.length === 0;
    for (const canvas of [decoded, original, tip]) {
      setAll(canvas, { width: this.width, height: this.height });
      canvas.style.aspectRatio = `${this.width} / ${this.height}`;
    }
    original.hidden = this.images.length === 0;
    images.classList.toggle("single", original.hidden);
    for (const slider of sliders) slider.addEventListener("input", () => this.moveTo(+sliders[0].value, +sliders[1].value));
    this.buildLegend();
    map.addEventListener("keydown", (event) => this.onKey(event));
    for (const [name, method] of [
      ["pointerdown", this.onDown],
      ["pointermove", this.onPointer],
      ["pointerup", this.onUp],
      ["pointercancel", () => this.endPress()],
    ]) {
      plot.addEventListener(name, method.bind(this));
    }
    replay.addEventListener("click", () => this.playWalk());
    tip.style.width = `${this.width}px`; // its true size, a pixel for a pixel
    select.parentElement.hidden = !this.onSelect;
    select.addEventListener("click", () => {
      this.lasso = this.lasso ? null : [];
      select.setAttribute("aria-pressed", this.lasso !== null);
      this.tellSelected(this.lasso ? "Draw around points; with Shift a rectangle; by keys: Enter at two corners." : "");
      this.draw();
    });
  }

  buildLegend() {
    const long = this.classes.some(({ name }) => name.length > 2);
    for (const part of [this.parts.names, this.parts.legend]) part.classList.toggle("long", long);
    let five; // short names wrap by fives, so that no last one stands alone
    this.classNames = this.classes.map(({ name, colour }, c) => {
      const button = document.createElement("button");
      button.type = "button";
      button.setAttribute("aria-pressed", "true");
      button.style.setProperty("--class", colour);
      button.textContent = name;
      button.addEventListener("click", () => {
        this.shown[c] = !this.shown[c];
        button.setAttribute("aria-pressed", this.shown[c]);
        this.sort();
        this.drawMap();
        this.draw();
      });
      if (c % 5 === 0) this.parts.legend.append((five = document.createElement("span")));
      five.append(button);
      const short = name.length > LONGEST_NAME ? `${name.slice(0, LONGEST_NAME - 1)}…` : name;
      return addSvg(this.parts.names, "text", {}, short);
    });
  }

  // -- from numbers to places and back: units of the axes, 0 to 1, CSS pixels

  toUnit([low, high], value) {
    return (value - low) / (high - low);
  }

  toPlot(x, y) {
    return [this.toUnit(this.xSpan, x) * this.side, (1 - this.toUnit(this.ySpan, y)) * this.side];
  }

  fromPointer(event) {
    const box = this.parts.plot.getBoundingClientRect();
    const along = ([low, high], share) => clamp(low + share * (high - low), low, high);
    return [
      along(this.xSpan, (event.clientX - box.left) / box.width),
      along(this.ySpan, (box.bottom - event.clientY) / box.height),
    ];
  }

  pointAt(i) {
    return [this.points[2 * i], this.points[2 * i + 1]];
  }

  // Other codes of the same digits, another decoder, as a training moves on. The point shown
  // keeps its place on the plot, under the hand.
  update({ ranges, places, weights, points }) {
    const shares = [this.toUnit(this.xSpan, this.x), this.toUnit(this.ySpan, this.y)];
    [this.xSpan, this.ySpan] = ranges;
    [this.x, this.y] = ranges.map(([low, high], k) => low + shares[k] * (high - low));
    this.classes.forEach((one, c) => (one.place = places[c]));
    this.layers = readLayers(this.shapes, weights);
    this.setPoints(points);
    this.sort();
    // What was marked or walked lies elsewhere now.
    [this.mark, this.walk, this.walkStart, this.chosen, this.picture] = [null, null, null, -1, null];
    this.parts.walk.hidden = true;
    this.layOut(true);
  }

  setPoints(points) {
    const count = this.labels.length;
    [this.us, this.vs, this.points] = [new Float32Array(count), new Float32Array(count), points];
    for (let i = 0; i < count; i++) {
      this.us[i] = this.toUnit(this.xSpan, points[2 * i]);
      this.vs[i] = this.toUnit(this.ySpan, points[2 * i + 1]);
    }
  }

  // -- what is known of the points shown

  sort() {
    const members = [];
    for (let i = 0; i < this.searched; i++) if (this.shown[this.labels[i]]) members.push(i);
    this.grid = buildGrid(this.us, this.vs, members);
    if (this.chosen >= 0 && !this.shown[this.labels[this.chosen]]) this.chosen = -1;
  }

  nearestTo([x, y]) {
    return nearest(this.grid, this.toUnit(this.xSpan, x), this.toUnit(this.ySpan, y));
  }

  // The digit right beside a place, and its own place; else -1 and the place.
  snap(place) {
    const i = this.nearestTo(place);
    if (i < 0) return [-1, place];
    const [[ax, ay], [bx, by]] = [this.toPlot(...place), this.toPlot(...this.pointAt(i))];
    return Math.hypot(ax - bx, ay - by) <= TAP_RADIUS ? [i, this.pointAt(i)] : [-1, place];
  }

  // -- moving

  moveTo(x, y, chosen = -1) {
    this.walkStart = null;
    this.place(x, y, chosen);
  }

  place(x, y, chosen) {
    [this.x, this.y] = [clamp(x, ...this.xSpan), clamp(y, ...this.ySpan)];
    this.chosen = chosen;
    this.picture = null;
    [this.moved, this.movedAt] = [true, performance.now()];
    this.draw();
  }

  // The home's numbers changed: follow, without telling it.
  showPoint(x, y) {
    if (x === this.x && y === this.y) return;
    [this.x, this.y, this.chosen, this.picture, this.walkStart] = [x, y, -1, null, null];
    this.draw();
  }

  showPicture(pixels) {
    this.picture = pixels;
    this.draw();
  }

  onKey(event) {
    const step = event.shiftKey ? 0.1 : 0.01;
    const [dx, dy] = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[event.key] ?? [0, 0];
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (dx || dy) {
      const size = ([low, high]) => (high - low) * step;
      this.moveTo(this.x + dx * size(this.xSpan), this.y + dy * size(this.ySpan));
    } else if (event.key === "Enter" && this.lasso) {
      if (this.mark) this.select(corners(this.mark, [this.x, this.y]));
      this.mark = this.mark ? null : [this.x, this.y];
      this.draw();
    } else if (event.key === "Enter" && this.mark) {
      this.setWalk(this.mark, [this.x, this.y], this.chosen);
      this.playWalk();
    } else if (event.key === "Enter") {
      this.mark = [this.x, this.y];
      this.say("The walk starts here. Move on and press Enter again.");
      this.draw();
    } else if (event.key === "Escape") {
      [this.mark, this.walkStart] = [null, null];
      this.draw();
    } else {
      return;
    }
    event.preventDefault();
    event.stopPropagation();
  }

  onDown(event) {
    if (!event.isPrimary || event.button !== 0) return;
    this.parts.plot.setPointerCapture(event.pointerId);
    this.parts.map.focus({ preventScroll: true });
    const place = this.fromPointer(event);
    this.press = { at: [event.clientX, event.clientY], place, dragged: false };
    if (this.lasso) this.lasso = [place];
    this.moveTo(...place);
  }

  onPointer(event) {
    if (!event.isPrimary) return;
    if (this.press) {
      if (distance(event, this.press.at) > DRAG_START) this.press.dragged = true;
      if (!this.press.dragged) return;
      if (this.lasso) {
        const [first, place] = [this.press.place, this.fromPointer(event)];
        this.lasso = event.shiftKey ? corners(first, place) : [...this.lasso, place];
      } else {
        this.mark = this.snap(this.press.place)[1];
      }
    } else {
      if (event.pointerType === "touch" || this.walkStart !== null) return;
      if (this.rest && distance(event, this.rest) < REST_RADIUS) return;
    }
    this.rest = null;
    this.moveTo(...this.fromPointer(event));
  }

  onUp(event) {
    if (!this.press || !event.isPrimary) return;
    const { dragged, place } = this.press;
    const [chosen, end] = this.snap(this.fromPointer(event));
    this.rest = [event.clientX, event.clientY];
    this.moveTo(...end, chosen);
    if (dragged && this.lasso) {
      this.select(this.lasso);
    } else if (dragged) {
      this.setWalk(this.snap(place)[1], end, chosen);
      // A finger has no other way to move the point: its walks wait for the button.
      if (event.pointerType !== "touch") this.playWalk();
    }
    this.endPress();
  }

  endPress() {
    [this.press, this.mark] = [null, null];
    this.draw();
  }

  // -- selecting

  // The points shown that lie inside a polygon.
  select(polygon) {
    this.lasso = polygon;
    const inside = [];
    for (let i = 0; i < this.labels.length; i++) {
      if (this.shown[this.labels[i]] && isInside(this.pointAt(i), polygon)) inside.push(i);
    }
    this.tellSelected(`${inside.length.toLocaleString("en")} points selected.`);
    this.onSelect(inside);
    this.draw();
  }

  tellSelected(sentence) {
    this.parts.selectText.textContent = sentence;
    this.say(sentence);
  }

  // -- walking

  setWalk(from, to, chosen) {
    this.walk = { from, to, chosen };
    this.mark = null;
    const { walk, strip } = this.parts;
    walk.hidden = false;
    strip.width = STRIP * (this.width + 1) - 1;
    strip.height = this.height;
    this.paint(strip, Array.from({ length: STRIP }, (_, k) => decode(this.layers, ...between(from, to, k / (STRIP - 1)))));
    this.draw();
  }

  playWalk() {
    const { from, to, chosen } = this.walk;
    if (matchMedia("(prefers-reduced-motion: reduce)").matches) {
      this.moveTo(...to, chosen);
    } else {
      this.place(...from, -1);
      this.walkStart = performance.now();
    }
  }

  advance(now) {
    const { from, to, chosen } = this.walk;
    const share = clamp((now - this.walkStart) / WALK_MS, 0, 1);
    if (share === 1) this.walkStart = null;
    this.place(...between(from, to, share), share === 1 ? chosen : -1);
  }

  // -- drawing: the map when its size or its classes change, the rest once a frame at most

  layOut(anew = false) {
    const side = this.parts.plot.clientWidth;
    const scale = window.devicePixelRatio;
    if (!side || (!anew && side === this.side && scale === this.scale)) return;
    const axesAsBefore = side === this.side && `${this.xSpan},${this.ySpan}` === this.drawnSpans;
    [this.side, this.scale, this.drawnSpans] = [side, scale, `${this.xSpan},${this.ySpan}`];
    if (!axesAsBefore) this.drawAxes();
    if (!anew || !this.nameWidth) {
      const widths = this.classNames.map((text) => text.getComputedTextLength() + 8); // with its outline
      this.nameWidth = Math.max(NAME_HEIGHT, ...widths);
    }
    this.found = undefined; // its ring has to move too
    this.drawMap();
    this.draw();
  }

  drawAxes() {
    const { side } = this;
    const { axes } = this.parts;
    axes.replaceChildren();
    [this.xSpan, this.ySpan].forEach(([low, high], k) => setAll(this.parts.sliders[k], { min: low, max: high }));
    const many = side < 300 ? 4 : 6;
    for (const [value, text] of ticks(...this.xSpan, many)) {
      const [at] = this.toPlot(value, 0);
      addSvg(axes, "line", { x1: at, x2: at, y1: side, y2: side + 5 });
      addSvg(axes, "text", { x: at, y: side + 18, "text-anchor": "middle" }, text);
    }
    const rows = ticks(...this.ySpan, many).map(([value, text]) => {
      const [, at] = this.toPlot(0, value);
      addSvg(axes, "line", { x1: -5, x2: 0, y1: at, y2: at });
      addSvg(axes, "text", { x: -9, y: at + 4, "text-anchor": "end" }, text);
      return at;
    });
    // The axis has its name near its middle, between two numbers: a long one would reach it.
    const between = rows.slice(1).map((at, i) => (at + rows[i]) / 2);
    const [middle] = between.sort((a, b) => Math.abs(a - side / 2) - Math.abs(b - side / 2));
    addSvg(axes, "text", { x: side / 2, y: side + 37, "text-anchor": "middle", class: "axis" }, "z₁");
    addSvg(axes, "text", { x: -42, y: (middle ?? side / 2) + 4, class: "axis" }, "z₂");
  }

  drawMap() {
    const { points } = this.parts;
    drawPoints(points, this.side, this, this.classes.map(({ colour }) => colour));
    const centres = this.classes.map(({ place }) => this.toPlot(...place));
    const places = spread(centres, this.nameWidth, NAME_HEIGHT, this.side);
    this.classNames.forEach((text, c) => {
      const [x, y] = places[c];
      const named = this.shown[c] && this.classes.length > 1; // one class alone tells nothing
      setAll(text, { x, y: y + 6, visibility: named ? "visible" : "hidden" });
    });
  }

  draw() {
    clearTimeout(this.telling); // of what is not on the screen any more
    this.frame ??= requestAnimationFrame((now) => {
      this.frame = null;
      if (this.walkStart !== null) this.advance(now);
      this.drawFrame();
      if (this.moved) this.onMove(this.x, this.y);
      this.moved = false;
      this.telling = setTimeout(() => this.say(this.sentence()), 600);
    });
  }

  drawFrame() {
    const { parts, x, y, chosen, picture, mark } = this;
    this.paint(parts.decoded, [picture ?? decode(this.layers, x, y)]);
    const [cx, cy] = this.toPlot(x, y);
    setAll(parts.cursor, { transform: `translate(${cx} ${cy})` });

    const found = chosen >= 0 ? chosen : this.nearestTo([x, y]);
    if (found !== this.found) {
      this.found = found;
      const [nx, ny] = found < 0 ? [0, 0] : this.toPlot(...this.pointAt(found));
      setAll(parts.neighbour, { cx: nx, cy: ny, visibility: found < 0 ? "hidden" : "visible" });
      if (this.images.length) {
        const blank = new Uint8Array(this.pixels);
        const [from, to] = [found * this.pixels, (found + 1) * this.pixels];
        const image = found < 0 ? blank : this.images.subarray(from, to);
        this.paint(parts.original, [image]);
        this.paint(parts.tip.firstChild, [image]);
        parts.tip.lastChild.textContent = this.files?.[found]?.split("/").pop() ?? "";
        // Beside the point, on the side where there is room.
        const [ax, ay] = [nx > this.side / 2 ? "right" : "left", ny > this.side / 2 ? "bottom" : "top"];
        const [dx, dy] = [Math.min(nx, this.side - nx), Math.min(ny, this.side - ny)];
        parts.tip.style.cssText = `${ax}: ${dx + 12}px; ${ay}: ${dy + 12}px`;
      }
    }
    const ends = (this.lasso ?? []).map((place) => this.toPlot(...place).join());
    setAll(parts.lasso, { points: ends.join(" ") });
    const line = mark ? [mark, [x, y]] : this.walk && [this.walk.from, this.walk.to];
    setAll(parts.path, { visibility: line ? "visible" : "hidden" });
    setAll(parts.start, { visibility: line ? "visible" : "hidden" });
    if (line) {
      const [[x1, y1], [x2, y2]] = line.map((place) => this.toPlot(...place));
      setAll(parts.path, { x1, y1, x2, y2 });
      setAll(parts.start, { cx: x1, cy: y1 });
    }
    [parts.decodedText.textContent, parts.originalText.textContent] = this.captions();
    parts.place.textContent = this.coordinates();
    parts.sliders.forEach((slider, k) => (slider.value = [x, y][k]));
  }

  // Images side by side, a pixel apart.
  paint(canvas, images) {
    const context = canvas.getContext("2d", { willReadFrequently: true });
    const tile = context.createImageData(this.width, this.height);
    images.forEach((image, k) => {
      for (let i = 0; i < this.pixels; i++) {
        tile.data[4 * i] = tile.data[4 * i + 1] = tile.data[4 * i + 2] = image[i];
        tile.data[4 * i + 3] = 255;
      }
      context.putImageData(tile, k * (this.width + 1), 0);
    });
  }

  // -- words

  coordinates() {
    const text = (value, [low, high]) => value.toFixed(clamp(3 - Math.floor(Math.log10(high - low)), 0, 8)).replace("-", "−");
    return `z₁ = ${text(this.x, this.xSpan)}   z₂ = ${text(this.y, this.ySpan)}`;
  }

  captions() {
    const decoded = this.picture ? "Set from Python" : this.chosen >= 0 ? "Reconstruction" : "Decoded";
    if (this.found < 0) return [decoded, "No class is switched on"];
    const what = this.images.length ? "original" : "digit";
    const name = this.classes[this.labels[this.found]].name;
    const file = this.files?.length ? `, ${this.files[this.found]}` : "";
    return [decoded, `${this.chosen >= 0 ? "Chosen" : "Nearest"} ${what}: ${name}${file}`];
  }

  sentence() {
    return `${this.coordinates()}. ${this.captions().join(". ")}.`;
  }

  say(sentence) {
    this.parts.told.textContent = sentence;
  }

  remove() {
    this.resizing.disconnect();
    window.removeEventListener("resize", this.zoomed);
    cancelAnimationFrame(this.frame);
    clearTimeout(this.telling);
  }
}

function addSvg(parent, tag, attributes, text = "") {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  setAll(node, attributes);
  node.textContent = text;
  parent.append(node);
  return node;
}

function setAll(node, attributes) {
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
}

function clamp(value, low, high) {
  return Math.min(high, Math.max(low, value));
}

function between([ax, ay], [bx, by], share) {
  return [ax + share * (bx - ax), ay + share * (by - ay)];
}

function corners([ax, ay], [bx, by]) {
  return [[ax, ay], [bx, ay], [bx, by], [ax, by]];
}

// A ray from the point to the right crosses the sides an odd number of times.
function isInside([x, y], polygon) {
  let inside = false;
  polygon.forEach(([ax, ay], i) => {
    const [bx, by] = polygon[(i + 1) % polygon.length];
    if (ay > y !== by > y && x < ax + ((y - ay) / (by - ay)) * (bx - ax)) inside = !inside;
  });
  return inside;
}

function distance(event, [x, y]) {
  return Math.hypot(event.clientX - x, event.clientY - y);
}

// ---- Its two homes -------------------------------------------------------------------------

function asData(spec, bytes) {
  // A copy, because Float32Array wants its bytes aligned.
  const floats = (name) => new Float32Array(bytes[name].slice().buffer);
  return { spec, weights: floats("weights"), points: floats("points"), labels: bytes.labels, images: bytes.images };
}

function render({ model, el }) {
  const bytes = {};
  for (const name of ["weights", "points", "labels", "images"]) {
    const view = model.get(`_${name}`);
    if (!view) {
      // Some notebook hosts drop binary data of a widget that is opened after it was made.
      el.textContent = "The digits did not reach this page: run the cell again.";
      return;
    }
    bytes[name] = new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
  }
  let sending = false;
  const map = new LatentMap(el, asData(model.get("_spec"), bytes), {
    // Once a frame at most; and ipywidgets keeps one message in flight, and merges the rest.
    onMove(x, y) {
      sending = true;
      model.set("x", x);
      model.set("y", y);
      sending = false;
      model.save_changes();
    },
    // A selection is for Python: a page without a kernel has no use for it.
    onSelect: model.widget_manager && ((inside) => {
      model.set("_selected", new DataView(Uint32Array.from(inside).buffer));
      model.save_changes();
    }),
  });
  const showPoint = () => sending || map.showPoint(model.get("x"), model.get("y"));
  const showPicture = () => {
    const view = model.get("_picture");
    map.showPicture(view.byteLength ? new Uint8Array(view.buffer, view.byteOffset, view.byteLength) : null);
  };
  const film = new Film(map, model.get("_marks") ?? [], (moment) => {
    model.set("moment", moment);
    model.save_changes();
  });
  const followFilm = filmFollower(model, film);
  const heard = { "change:x": showPoint, "change:y": showPoint, "change:_picture": showPicture, ...followFilm };
  for (const [event, follow] of Object.entries(heard)) model.on(event, follow);
  showPoint();
  showPicture();
  film.playWhenSeen();
  return () => {
    for (const [event, follow] of Object.entries(heard)) model.off(event, follow);
    film.remove();
    map.remove();
  };
}

// The film comes whole, or a moment at a time while a training runs.
function filmFollower(model, film) {
  const bytesOf = (name) => {
    const view = model.get(name);
    return view ? new Uint8Array(view.buffer, view.byteOffset, view.byteLength) : new Uint8Array();
  };
  const show = () => film.show(model.get("moment"));
  const read = () => {
    film.marks = model.get("_marks") ?? [];
    const [whole, last] = [bytesOf("_film"), bytesOf("_last")];
    if (whole.length) {
      film.at += film.first;
      film.moments = [];
      film.add(whole);
    } else if (last.length) {
      film.add(last);
    } else {
      film.clear();
    }
    show();
  };
  read();
  return { "change:_film": read, "change:_last": read, "change:moment": show };
}

// `packed` maps each name to deflated bytes in base64.
export async function openPage(host, { spec, packed }) {
  const bytes = await unpack(packed);
  const map = new LatentMap(host, asData(spec, bytes));
  const film = new Film(map, spec.marks);
  film.add(bytes.film);
  film.show(spec.moment);
  if (bytes.film.length) map.showPoint(...spec.start);
  film.playWhenSeen();
  return map;
}

export async function unpack(packed) {
  const inflate = async ([name, text]) => {
    const characters = atob(text);
    const deflated = new Uint8Array(characters.length);
    for (let i = 0; i < deflated.length; i++) deflated[i] = characters.charCodeAt(i);
    const stream = new Blob([deflated]).stream().pipeThrough(new DecompressionStream("deflate"));
    return [name, new Uint8Array(await new Response(stream).arrayBuffer())];
  };
  return Object.fromEntries(await Promise.all(Object.entries(packed).map(inflate)));
}

export default { render };

// ---- Its looks -----------------------------------------------------------------------------

// In JupyterLab its theme's colours; elsewhere light or dark as the reader's system is.
export const THEME = `
  :host {
    --light-ink: #1f2328; --light-quiet: #59636e; --light-line: #c4cbd2; --light-paper: #ffffff;
    --ink: var(--jp-ui-font-color1, var(--light-ink));
    --quiet: var(--jp-ui-font-color2, var(--light-quiet));
    --line: var(--jp-border-color1, var(--light-line));
    --paper: var(--jp-layout-color0, var(--light-paper));
    --accent: var(--jp-brand-color1, #0b66c3);
    display: block;
    container-type: inline-size;
    flex-grow: 1; /* its contents give it no width, so beside another widget it would have none */
    color: var(--ink);
    font: 13px/1.45 var(--jp-ui-font-family, system-ui, sans-serif);
  }
  @media (prefers-color-scheme: dark) {
    :host { --light-ink: #e6edf3; --light-quiet: #9aa4af; --light-line: #4a525b; --light-paper: #14181d; --accent: var(--jp-brand-color1, #58a6ff); }
  }
  * { box-sizing: border-box; }
  [hidden] { display: none !important; }
  button { font: inherit; color: inherit; background: none; border: 1px solid var(--line); border-radius: 999px; padding: 2px 7px; cursor: pointer; }
  button:hover { border-color: var(--quiet); }
  button:focus-visible, input:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }
  @media (pointer: coarse) { button, input, select { min-height: 36px; min-width: 36px; } }
`;

const STYLE = `
  ${THEME}
  .frame { display: grid; grid-template-columns: minmax(0, 13fr) minmax(0, 10fr); gap: 12px 24px; padding: 8px 4px; max-width: 920px; }
  .map { padding: 0 2px 44px 48px; outline: none; }
  .map:focus .plot { outline: 2px solid var(--accent); }
  .plot { position: relative; aspect-ratio: 1; cursor: crosshair; touch-action: none; user-select: none; -webkit-user-select: none; outline: 1px solid var(--line); background: var(--paper); }
  .plot canvas, .plot svg { position: absolute; inset: 0; width: 100%; height: 100%; overflow: visible; pointer-events: none; }
  svg text { fill: var(--ink); font-size: 12px; }
  .axes line { stroke: var(--line); }
  .axes text { fill: var(--quiet); font-variant-numeric: tabular-nums; }
  .axes .axis { fill: var(--ink); font-size: 14px; }
  .names text { font-size: 17px; font-weight: 700; text-anchor: middle; stroke: var(--paper); stroke-width: 4px; paint-order: stroke; stroke-linejoin: round; }
  .names.long text { font-size: 13px; }
  .path { stroke: var(--ink); stroke-width: 1.5; stroke-dasharray: 5 4; }
  .start { fill: var(--paper); stroke: var(--ink); stroke-width: 1.5; }
  .neighbour { fill: none; stroke: var(--ink); stroke-width: 1.5; }
  .cursor { fill: none; }
  .cursor .halo { stroke: var(--paper); stroke-width: 5; }
  .cursor .ring { stroke: var(--ink); stroke-width: 2; }
  .cursor .dot { fill: var(--ink); }
  .lasso { fill: var(--accent); fill-opacity: 0.12; stroke: var(--accent); stroke-width: 1.5; }
  .tip { display: none; position: absolute; pointer-events: none; max-width: 50%; padding: 3px; background: var(--paper); border: 1px solid var(--line); border-radius: 4px; }
  .plot:hover .tip, .map:focus .tip { display: block; }
  .plot .tip canvas { position: static; height: auto; border-radius: 0; }
  .tip figcaption { padding: 0; font-size: 11px; }
  .tip figcaption:empty { display: none; }
  .select { padding: 4px 0 0 46px; color: var(--quiet); }
  .select button[aria-pressed="true"] { border-color: var(--accent); color: var(--accent); }
  .legend, .legend span { display: flex; flex-wrap: wrap; gap: 3px; }
  .legend { padding: 4px 0 0 46px; }
  .legend span { flex-wrap: nowrap; }
  .legend.long span { display: contents; }
  .legend button { display: inline-flex; align-items: center; padding: 2px 6px; border-radius: 12px; overflow-wrap: anywhere; text-align: start; }
  .legend button::before { content: ""; width: 9px; height: 9px; flex: none; margin-right: 4px; border-radius: 50%; border: 2px solid var(--class); background: var(--class); }
  .legend button[aria-pressed="false"] { color: var(--quiet); text-decoration: line-through; }
  .legend button[aria-pressed="false"]::before { background: none; }
  .images { display: grid; gap: 4px 12px; grid-template-columns: 1fr 1fr; }
  .images.single { grid-template-columns: minmax(0, 260px); }
  figure { margin: 0; }
  figure canvas { display: block; width: 100%; aspect-ratio: 1; image-rendering: pixelated; border-radius: 4px; background: #000; }
  figcaption { padding-top: 4px; overflow-wrap: anywhere; }
  .single .original figcaption { padding: 0; }
  .place { color: var(--quiet); font-variant-numeric: tabular-nums; white-space: pre; }
  .sliders { display: grid; gap: 4px; padding-top: 10px; }
  .sliders label { display: flex; gap: 8px; align-items: center; }
  input { flex: 1; min-width: 0; accent-color: var(--accent); }
  .walk { padding-top: 12px; }
  .strip { display: block; width: 100%; image-rendering: pixelated; margin-bottom: 6px; }
  .note { margin: 12px 0 0; color: var(--quiet); }
  .told { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
  @media (prefers-reduced-motion: reduce) { .walk button { display: none; } }
  @container (max-width: 620px) {
    .frame { grid-template-columns: minmax(0, 1fr); }
    .right { display: contents; }
    .images { order: -2; grid-template-columns: repeat(2, minmax(0, 150px)); }
    .images.single { grid-template-columns: minmax(0, 150px); }
    .place { order: -1; }
    .walk, .note, .sliders { margin: 0; padding: 0; }
    .note { order: 1; }
  }
`;
