// Beat the encoder: move the point until the drawing comes as close to the digit as you can get it.
//
// Like the map it has two homes: anywidget calls `default.render`, a page of its own calls
// `openPage`. The decoder and the walk downhill run here; the best points of the grid were found
// in Python. From the top: errors and the walk, the game, its two homes, its looks.

import { THEME, decode, drawPoints, readLayers, unpack } from "./latent_map.js";

const SIDE = 28; // an image has SIDE × SIDE pixels
const PIXELS = SIDE * SIDE;
const ROUNDS = 10;
const STEPS = 40; // downhill, at most
const SMALL = 0.01; // of the plane: one press of an arrow key
const WORST = 0.12; // the mean squared error at which the bar is full
const PLAYERS = { you: "You", encoder: "E: encoder", grid: "G: best of a grid", walk: "D: downhill from you" };
const BESIDE = { encoder: [-13, 5], grid: [13, 5], walk: [0, -8] }; // where its letter stands

// ---- Errors, and the walk ------------------------------------------------------------------

// What the decoder draws at a point, as numbers 0 to 1.
function draw(layers, [x, y]) {
  decode(layers, x, y);
  return layers.at(-1).out.slice();
}

function errorOf(image, drawn) {
  let sum = 0;
  for (let i = 0; i < drawn.length; i++) sum += (drawn[i] - image[i]) ** 2;
  return sum / drawn.length;
}

// Damped Gauss-Newton steps from a point: the path, each point with a lower error than before.
// With two numbers the slopes are two more drawings, so nothing has to be propagated back.
export function walkDownhill(layers, image, start, ranges) {
  const nudges = ranges.map(([low, high]) => 1e-3 * (high - low));
  const path = [start];
  let [drawn, care] = [draw(layers, start), 1];
  let error = errorOf(image, drawn);
  for (let step = 0; step < STEPS; step++) {
    const [x, y] = path.at(-1);
    const [along, up] = [draw(layers, [x + nudges[0], y]), draw(layers, [x, y + nudges[1]])];
    let [aa, ab, bb, ar, br] = [1e-12, 0, 1e-12, 0, 0];
    for (let i = 0; i < drawn.length; i++) {
      const [a, b, rest] = [along[i] - drawn[i], up[i] - drawn[i], image[i] - drawn[i]];
      [aa, ab, bb, ar, br] = [aa + a * a, ab + a * b, bb + b * b, ar + a * rest, br + b * rest];
    }
    [aa, bb] = [aa * (1 + care), bb * (1 + care)];
    const scale = aa * bb - ab * ab;
    const moves = [(bb * ar - ab * br) / scale, (aa * br - ab * ar) / scale];
    const next = [x, y].map((value, k) => clamp(value + moves[k] * nudges[k], ...ranges[k]));
    const there = draw(layers, next);
    const lower = errorOf(image, there);
    care = lower < error ? care / 3 : care * 4;
    if (lower < error) {
      path.push(next);
      [drawn, error] = [there, lower];
    }
  }
  return path;
}

// ---- The game ------------------------------------------------------------------------------

const PARTS = `
  <div class="frame">
    <div>
      <div class="plot" tabindex="0" role="application" aria-roledescription="map" aria-label="The plane: move the point" aria-describedby="help">
        <canvas class="landscape" hidden></canvas>
        <canvas class="points"></canvas>
        <svg aria-hidden="true">
          <polyline class="path" />
          <g class="cursor"><circle class="halo" r="8" /><circle class="ring" r="8" /><circle class="dot" r="1.5" /></g>
          <g class="marks"></g>
        </svg>
      </div>
      <p class="note" id="help">
        Move with the pointer or a finger, or by the arrow keys (Shift: larger steps). Press the
        button, or Enter on the map, when the drawing is as close as you can get it.
      </p>
      <p class="note key"></p>
    </div>
    <div>
      <p class="round"></p>
      <div class="images">
        <figure><canvas class="target" width="28" height="28" role="img" aria-label="The digit to match"></canvas><figcaption>This digit</figcaption></figure>
        <figure><canvas class="drawn" width="28" height="28" role="img" aria-label="Drawn at your point"></canvas><figcaption>Drawn at your point</figcaption></figure>
      </div>
      <div class="bar" aria-hidden="true"><div class="fill"></div></div>
      <p class="error"></p>
      <div class="buttons">
        <button type="button" class="main"></button>
        <button type="button" class="shade" aria-pressed="false">Show the landscape (light: close)</button>
      </div>
      <div class="players"></div>
      <p class="score"></p>
      <p class="learned"></p>
    </div>
  </div>
  <div class="told" aria-live="polite"></div>`;

export class Game {
  constructor(host, { spec, weights, points, labels, images, landscapes }) {
    Object.assign(this, { spec, points, labels, images, landscapes, ranges: spec.ranges });
    this.layers = readLayers(spec.layers, weights);
    const unit = (k) => Float32Array.from(labels, (_, i) => this.share(points[2 * i + k], k));
    this.dots = { us: unit(0), vs: unit(1), labels, shown: spec.colours.map(() => true) };
    this.game = 0;
    this.build(host);
    this.begin();
    this.resizing = new ResizeObserver(() => this.layOut());
    this.resizing.observe(this.parts.plot);
  }

  build(host) {
    host.setAttribute("data-lm-suppress-shortcuts", "true"); // else JupyterLab takes the arrow keys
    const root = host.shadowRoot ?? host.attachShadow({ mode: "open" });
    root.innerHTML = `<style>${STYLE}</style>${PARTS}`;
    const names = "plot landscape points path marks cursor key round target drawn fill error main shade players score learned told";
    this.parts = Object.fromEntries(names.split(" ").map((name) => [name, root.querySelector(`.${name}`)]));
    const { plot, key, main, shade } = this.parts;
    key.textContent = `The dots: where the encoder puts ${this.labels.length.toLocaleString("en")} images.`;
    if (this.spec.colours.length > 1) key.append(document.createElement("br"));
    for (const [digit, colour] of this.spec.colours.length > 1 ? this.spec.colours.entries() : []) {
      const entry = Object.assign(document.createElement("span"), { textContent: digit });
      entry.style.setProperty("--class", colour);
      key.append(" ", entry);
    }
    plot.addEventListener("keydown", (event) => this.onKey(event));
    plot.addEventListener("pointerdown", (event) => {
      plot.setPointerCapture(event.pointerId);
      this.dragging = true;
      this.onPointer(event);
    });
    plot.addEventListener("pointermove", (event) => this.onPointer(event));
    for (const name of ["pointerup", "pointercancel"]) plot.addEventListener(name, () => (this.dragging = false));
    main.addEventListener("click", () => this.goOn());
    shade.addEventListener("click", () => {
      this.shaded = !this.shaded;
      this.drawLandscape();
    });
  }

  begin() {
    this.scores = [];
    this.startRound();
  }

  startRound() {
    this.digit = (this.game * ROUNDS + this.scores.length) % this.spec.encoder.length;
    const bytes = this.images.subarray(this.digit * PIXELS, (this.digit + 1) * PIXELS);
    this.image = Float64Array.from(bytes, (value) => value / 255);
    this.place = this.ranges.map(([low, high]) => (low + high) / 2);
    [this.shaded, this.found] = [false, null];
    const { parts } = this;
    parts.round.textContent = `Round ${this.scores.length + 1} of ${ROUNDS}`;
    parts.main.textContent = "That is my point";
    parts.players.replaceChildren();
    parts.marks.replaceChildren();
    parts.path.setAttribute("points", "");
    if (!this.scores.length) parts.score.textContent = parts.learned.textContent = "";
    paint(parts.target, this.image);
    this.drawLandscape();
    this.draw();
    this.say(`${parts.round.textContent}: a new digit.`);
  }

  // The button, and Enter: from the search to what the others found, and on to the next digit.
  goOn() {
    if (!this.found) return this.reveal();
    if (this.scores.length < ROUNDS) return this.startRound();
    this.game += 1;
    this.begin();
  }

  reveal() {
    const path = walkDownhill(this.layers, this.image, this.place, this.ranges);
    const { encoder, grid } = this.spec;
    this.found = { you: this.place, encoder: encoder[this.digit], grid: grid[this.digit], walk: path.at(-1) };
    this.path = path;
    const errors = {};
    for (const [name, place] of Object.entries(this.found)) {
      const drawn = draw(this.layers, place);
      errors[name] = errorOf(this.image, drawn);
      const figure = document.createElement("figure");
      figure.className = name;
      const canvas = Object.assign(document.createElement("canvas"), { width: SIDE, height: SIDE });
      paint(canvas, drawn);
      const caption = document.createElement("figcaption");
      caption.textContent = `${PLAYERS[name]} ${errors[name].toFixed(4)}`;
      figure.append(canvas, caption);
      this.parts.players.append(figure);
    }
    this.scores.push(errors);
    const last = this.scores.length === ROUNDS;
    this.parts.main.textContent = last ? "Play again" : "Next digit";
    this.parts.score.textContent = this.score();
    if (last) this.parts.learned.textContent = this.learned();
    this.draw();
    const told = Object.keys(errors).map((name) => `${PLAYERS[name]} ${errors[name].toFixed(4)}`);
    this.say(`${told.join(", ")}. ${this.score()} ${this.parts.learned.textContent}`);
  }

  // The walk starts at the reader's point and cannot lose: it counts where it gained nothing to see.
  score() {
    const count = (holds) => this.scores.filter(holds).length;
    const won = (name) => count((errors) => errors.you < errors[name]);
    const level = count((errors) => errors.you.toFixed(4) === errors.walk.toFixed(4));
    const rounds = this.scores.length;
    return `Of ${rounds} round${rounds > 1 ? "s" : ""} you beat the encoder in ${won("encoder")} and the grid in ${won("grid")}. In ${level} your point was a bottom already: the walk led no lower.`;
  }

  learned() {
    const mean = (name) => this.scores.reduce((sum, errors) => sum + errors[name], 0) / ROUNDS;
    const [encoder, grid] = [mean("encoder"), mean("grid")];
    return (
      `Mean errors: you ${mean("you").toFixed(4)}, encoder ${encoder.toFixed(4)}, grid ${grid.toFixed(4)}, downhill from you ${mean("walk").toFixed(4)}. ` +
      (grid < encoder
        ? `The same decoder drew these ten digits closer from other points than from the encoder's, by ${Math.round(100 * (1 - grid / encoder))} in 100 of its error.`
        : "For these ten digits the encoder found what the grid found.")
    );
  }

  // -- moving

  onKey(event) {
    const by = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[event.key];
    if (event.key !== "Enter" && !by) return;
    event.preventDefault();
    if (event.key === "Enter") {
      if (!event.repeat) this.goOn();
      return;
    }
    const size = SMALL * (event.shiftKey ? 5 : 1);
    this.moveTo(this.place.map((value, k) => value + by[k] * size * (this.ranges[k][1] - this.ranges[k][0])));
  }

  onPointer(event) {
    if (!event.isPrimary || !this.dragging) return;
    const box = this.parts.plot.getBoundingClientRect();
    const shares = [(event.clientX - box.left) / box.width, (box.bottom - event.clientY) / box.height];
    this.moveTo(shares.map((share, k) => this.ranges[k][0] + share * (this.ranges[k][1] - this.ranges[k][0])));
  }

  moveTo(place) {
    if (this.found) return; // this round is over
    this.place = place.map((value, k) => clamp(value, ...this.ranges[k]));
    this.draw();
  }

  // -- drawing

  share(value, k) {
    const [low, high] = this.ranges[k];
    return (value - low) / (high - low);
  }

  toPlot([x, y]) {
    return [this.share(x, 0) * this.side, (1 - this.share(y, 1)) * this.side];
  }

  layOut() {
    const side = this.parts.plot.clientWidth;
    if (!side || side === this.side) return;
    this.side = side;
    drawPoints(this.parts.points, side, this.dots, this.spec.colours);
    this.draw();
  }

  drawLandscape() {
    const { landscape, points, shade } = this.parts;
    landscape.hidden = !this.shaded;
    points.classList.toggle("faint", this.shaded);
    shade.setAttribute("aria-pressed", this.shaded);
    const { side } = this.spec;
    landscape.width = landscape.height = side;
    const shades = this.landscapes.subarray(this.digit * side * side, (this.digit + 1) * side * side);
    paint(landscape, Float64Array.from(shades, (value) => 1 - value / 255));
  }

  draw() {
    this.frame ??= requestAnimationFrame(() => {
      this.frame = null;
      if (this.side) this.drawFrame();
    });
  }

  drawFrame() {
    const { parts } = this;
    const drawn = draw(this.layers, this.place);
    const error = errorOf(this.image, drawn);
    paint(parts.drawn, drawn);
    parts.error.textContent = `Error ${error.toFixed(4)}`;
    parts.fill.style.width = `${100 * Math.min(1, error / WORST)}%`;
    parts.cursor.setAttribute("transform", `translate(${this.toPlot(this.place).join(" ")})`);
    parts.marks.replaceChildren();
    if (!this.found) return;
    parts.path.setAttribute("points", this.path.map((place) => this.toPlot(place).join(",")).join(" "));
    for (const [name, [right, down]] of Object.entries(BESIDE)) {
      const [x, y] = this.toPlot(this.found[name]);
      const letter = addSvg(parts.marks, "text", { x: x + right, y: y + down });
      letter.textContent = PLAYERS[name][0];
      addSvg(parts.marks, "circle", { cx: x, cy: y, r: 4 });
    }
  }

  say(sentence) {
    this.parts.told.textContent = sentence;
  }

  remove() {
    this.resizing.disconnect();
    cancelAnimationFrame(this.frame);
  }
}

function paint(canvas, values) {
  const context = canvas.getContext("2d");
  const tile = context.createImageData(canvas.width, canvas.height);
  values.forEach((value, i) => tile.data.set([255 * value, 255 * value, 255 * value, 255], 4 * i));
  context.putImageData(tile, 0, 0);
}

function addSvg(parent, tag, attributes) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  parent.append(node);
  return node;
}

function clamp(value, low, high) {
  return Math.min(high, Math.max(low, value));
}

// ---- Its two homes -------------------------------------------------------------------------

function asData(spec, bytes) {
  const floats = (name) => new Float32Array(bytes[name].slice().buffer); // a copy is aligned
  return { ...bytes, spec, weights: floats("weights"), points: floats("points") };
}

function render({ model, el }) {
  const bytes = {};
  for (const name of ["weights", "points", "labels", "images", "landscapes"]) {
    const view = model.get(`_${name}`);
    if (!view) {
      el.textContent = "The digits did not reach this page: run the cell again.";
      return;
    }
    bytes[name] = new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
  }
  const game = new Game(el, asData(model.get("_spec"), bytes));
  return () => game.remove();
}

export async function openPage(host, { spec, packed }) {
  return new Game(host, asData(spec, await unpack(packed)));
}

export default { render };

// ---- Its looks -----------------------------------------------------------------------------

const STYLE = `
  ${THEME}
  .frame { display: grid; grid-template-columns: minmax(0, 12fr) minmax(0, 10fr); gap: 12px 24px; padding: 8px 4px; max-width: 920px; }
  .plot { position: relative; aspect-ratio: 1; cursor: crosshair; touch-action: none; user-select: none; -webkit-user-select: none; outline: 1px solid var(--line); background: var(--paper); }
  .plot:focus { outline: 2px solid var(--accent); }
  .plot canvas, .plot svg { position: absolute; inset: 0; width: 100%; height: 100%; pointer-events: none; }
  .landscape { opacity: 0.55; }
  .faint { opacity: 0.35; }
  .path { fill: none; stroke: var(--ink); stroke-width: 1.5; }
  .marks text { fill: var(--ink); font-size: 17px; font-weight: 700; text-anchor: middle; stroke: var(--paper); stroke-width: 4px; paint-order: stroke; }
  .marks circle { fill: var(--accent); stroke: var(--paper); stroke-width: 1.5; }
  .cursor { fill: none; }
  .halo { stroke: var(--paper); stroke-width: 5; }
  .ring { stroke: var(--ink); stroke-width: 2; }
  .dot { fill: var(--ink); }
  .images { display: grid; gap: 4px 12px; grid-template-columns: 1fr 1fr; max-width: 340px; }
  .players { display: grid; gap: 4px 8px; grid-template-columns: repeat(4, 1fr); }
  figure { margin: 0; }
  figure canvas { display: block; width: 100%; aspect-ratio: 1; image-rendering: pixelated; border-radius: 4px; background: #000; }
  figcaption { padding: 4px 0; font-variant-numeric: tabular-nums; }
  .bar { max-width: 340px; height: 8px; margin-top: 8px; background: var(--line); border-radius: 4px; overflow: hidden; }
  .fill { height: 100%; background: var(--accent); }
  p { margin: 6px 0; }
  .error { font-size: 16px; font-variant-numeric: tabular-nums; }
  .buttons { display: flex; flex-wrap: wrap; gap: 6px; padding: 4px 0 8px; }
  .main { padding: 4px 14px; border-color: var(--accent); }
  .shade[aria-pressed="true"] { background: var(--line); }
  .note { color: var(--quiet); }
  .key span { color: var(--ink); white-space: nowrap; margin-right: 4px; }
  .key span::before { content: ""; display: inline-block; width: 9px; height: 9px; margin-right: 3px; border-radius: 50%; background: var(--class); }
  .told { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
  @container (max-width: 620px) { .frame { grid-template-columns: minmax(0, 1fr); } }
`;
