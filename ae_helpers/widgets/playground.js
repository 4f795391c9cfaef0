// The playground: an autoencoder that learns in the browser, and its plane, which unfolds.
//
// A worker trains (trainer.js), the latent map shows (latent_map.js). Like the map it has two
// homes: anywidget calls `default.render`, a page of its own calls `openPage`. What the reader
// chose is one line of text, `seed=21&code=relu`: in a page it is in the address.

import { LatentMap, THEME, drawPoints, unpack } from "./latent_map.js";
import { workerSource } from "./trainer.js";

const PIXELS = 784;
const SHOWN = 2000; // digits drawn on the map; the training has all of them
const EPOCHS = 50; // that "Start" trains before it waits for the reader
const PACE = 80; // ms between two planes, at least: the map has to answer in between
const IN_HAND = 160; // ms more while the reader moves over the map
const RESTS = 300; // ms after a move, when the hand is taken to rest
const KEPT = 8; // planes in the gallery

// ---- What the reader may choose --------------------------------------------------------------

const WIDTHS = Object.fromEntries([4, 8, 16, 32, 64, 128, 256].map((units) => [units, units]));
const CODES = { relu: "relu", linear: "linear", tanh: "tanh", prelu: "PReLU" };
export const CHOICES = {
  seed: { label: "Seed", start: 33, low: 0, high: 999999, whole: true },
  code: { label: "Code", start: "relu", options: CODES },
  hidden: { label: "Hidden units", start: 32, options: WIDTHS }, // the kernels want multiples of 4
  rate: { label: "Learning rate", start: 0.001, low: 0.000001, high: 1000 },
  batch: { label: "Batch size", start: 32, low: 1, high: 1000, whole: true },
  digits: { label: "Digits", start: 5000, low: 100, high: 5000, whole: true },
};

// Read `seed=21&code=relu`: the values, those not named as they start, and a sentence a fault.
export function readState(text) {
  const state = Object.fromEntries(Object.entries(CHOICES).map(([name, { start }]) => [name, start]));
  const faults = [];
  for (const [name, value] of new URLSearchParams(text.replace(/^#/, ""))) {
    const choice = Object.hasOwn(CHOICES, name) && CHOICES[name];
    const fault = choice ? faultOf(name, value) : `There is no “${name.slice(0, 40)}” here: choose ${Object.keys(CHOICES).join(", ")}.`;
    if (fault) faults.push(fault);
    else state[name] = valueOf(name, value);
  }
  return { state, faults };
}

function valueOf(name, text) {
  return typeof CHOICES[name].start === "number" ? Number(text) : text;
}

function faultOf(name, text) {
  const { low, high, whole, options, start } = CHOICES[name];
  const given = `${name}=${text.slice(0, 40)} cannot work: it must be`;
  if (options) return Object.hasOwn(options, text) ? "" : `${given} one of ${Object.keys(options).join(", ")}. It is ${start} now.`;
  const value = Number(text);
  if (text.trim() !== "" && value >= low && value <= high && (!whole || Number.isInteger(value))) return "";
  return `${given} a ${whole ? "whole " : ""}number from ${low} to ${high}. It is ${start} now.`;
}

export function writeState(state) {
  const told = Object.entries(state).filter(([name, value]) => name === "seed" || value !== CHOICES[name].start);
  return new URLSearchParams(told).toString();
}

// ---- The playground ----------------------------------------------------------------------------

const PARTS = `
  <div class="bar" role="group" aria-label="Training">
    <button type="button" class="main start">Start</button>
    <button type="button" class="one">One epoch</button>
    <button type="button" class="anew">New seed</button>
    <span class="choices"></span>
  </div>
  <div class="ruler" aria-hidden="true"><div class="track"><div class="fill"></div></div></div>
  <p class="status"></p>
  <p class="states" role="status"></p>
  <div class="host"></div>
  <div class="gallery" role="group" aria-label="The planes of the last seeds"></div>`;

export class Playground {
  // `data` has images and labels as bytes, and what Python knows: classes and the loss's ruler.
  // `home` has `text`, the state to begin with, and `keep(text)`, called when it changes.
  constructor(host, { spec, images, labels }, home) {
    [this.spec, this.images, this.labels, this.home] = [spec, images, labels, home];
    this.calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
    const url = URL.createObjectURL(new Blob([workerSource()], { type: "text/javascript" }));
    this.worker = new Worker(url);
    this.worker.onmessage = ({ data: message }) => this.receive(message);
    this.run = 0; // messages of an earlier network are passed over
    this.running = false;
    this.plane = null; // the last good one
    this.build(host);
    this.read(home.text);
    if (home.starts && !this.calm) this.train(EPOCHS);
  }

  build(host) {
    host.setAttribute("data-lm-suppress-shortcuts", "true"); // else JupyterLab takes the keys
    const root = host.shadowRoot ?? host.attachShadow({ mode: "open" });
    root.innerHTML = `<style>${STYLE}</style>${PARTS}`;
    const part = (name) => root.querySelector(`.${name}`);
    const names = ["start", "one", "anew", "choices", "ruler", "fill", "status", "states", "host", "gallery"];
    this.parts = Object.fromEntries(names.map((name) => [name, part(name)]));
    const { start, one, anew } = this.parts;
    start.addEventListener("click", () => (this.running ? this.pause() : this.train(EPOCHS)));
    one.addEventListener("click", () => this.train(1));
    anew.addEventListener("click", () => this.change({ seed: (this.state.seed + 1) % (CHOICES.seed.high + 1) }));
    this.inputs = {};
    for (const [name, { label, options }] of Object.entries(CHOICES)) {
      const input = document.createElement(options ? "select" : "input");
      for (const [value, text] of Object.entries(options ?? {})) input.append(new Option(text, value));
      if (!options) [input.type, input.inputMode, input.size] = ["text", "decimal", 6];
      input.name = name;
      input.addEventListener("change", () => this.choose(name, input.value));
      const labelled = document.createElement("label");
      labelled.append(`${label} `, input);
      this.parts.choices.append(labelled);
      this.inputs[name] = input;
    }
    this.spec.ruler.forEach(([name, loss], k) => {
      const mark = document.createElement("span");
      mark.classList.toggle("lower", k % 2 === 1); // so that no two lie over each other
      mark.style.insetInlineStart = `${100 * this.along(loss)}%`;
      mark.textContent = `${name} ${loss.toFixed(3)}`;
      this.parts.ruler.append(mark);
    });
  }

  // The share of the ruler that a loss has covered, from its first mark (0) to its last (1).
  along(loss) {
    const [first, last] = [this.spec.ruler[0][1], this.spec.ruler.at(-1)[1]];
    return Math.max(0, Math.min(1, (first - loss) / (first - last)));
  }

  // -- the state

  read(text) {
    const { state, faults } = readState(text);
    this.change(state);
    this.tell({ faults });
  }

  choose(name, text) {
    const fault = faultOf(name, text.trim());
    if (fault) {
      this.inputs[name].value = this.state[name];
      this.tell({ faults: [fault.replace(/It is .* now/, `It stays ${this.state[name]}`)] });
    } else {
      this.change({ [name]: valueOf(name, text.trim()) });
    }
  }

  // Another network: it starts anew, and goes on training if the one before was.
  change(some) {
    const was = this.running;
    this.begin({ ...this.state, ...some });
    if (was) this.train(EPOCHS);
  }

  begin(state) {
    this.keepPlane();
    this.state = state;
    for (const [name, value] of Object.entries(state)) this.inputs[name].value = value;
    this.home.keep(writeState(state));
    [this.running, this.plane, this.failed, this.lost] = [false, null, false, [false, false]];
    this.run++;
    this.tell({ faults: [], news: [] });
    this.parts.status.textContent = "";
    const shown = Math.min(SHOWN, state.digits);
    if (this.map?.labels.length !== shown) this.makeMap(shown);
    const images = this.images.subarray(0, state.digits * PIXELS);
    const pace = this.calm ? Infinity : PACE; // then a plane an epoch
    this.worker.postMessage({ begin: { ...state, images, shown, pace, run: this.run } });
    this.showButtons();
  }

  makeMap(shown) {
    this.map?.remove();
    const { hidden } = this.state;
    const spec = {
      layers: this.layers(),
      ranges: [[0, 1], [0, 1]],
      classes: this.spec.classes.map((one) => ({ ...one, place: [0.5, 0.5] })),
      start: [0.5, 0.5],
    };
    const data = {
      spec,
      weights: new Float32Array(3 * hidden + (hidden + 1) * PIXELS),
      points: new Float32Array(2 * shown),
      labels: this.labels.subarray(0, shown),
      images: this.images.subarray(0, shown * PIXELS),
    };
    this.map = new LatentMap(this.parts.host, data);
    this.parts.host.style.visibility = "hidden"; // until there is a plane: it would show names in a heap
  }

  layers() {
    const { hidden } = this.state;
    return [[2, hidden, "relu"], [hidden, PIXELS, "sigmoid"]];
  }

  // -- training

  train(epochs) {
    this.running = true;
    this.failed = false;
    this.worker.postMessage({ epochs });
    this.showButtons();
  }

  pause() {
    this.worker.postMessage({ pause: true });
  }

  receive(message) {
    if (message.run !== this.run) return;
    if (message.failed) this.fail(message.failed);
    // Right after a frame: what the hand moves is drawn in it, and the plane in time for the next.
    else requestAnimationFrame(() => setTimeout(() => this.showPlane(message)));
  }

  fail({ loss, step, firstLoss }) {
    this.running = false;
    this.failed = true;
    const now = Number.isFinite(loss) ? `the loss has grown from ${firstLoss.toFixed(2)} to ${loss.toPrecision(2)}` : "the loss is no longer a number";
    this.tell({ news: [`The learning rate ${this.state.rate} is too high: at step ${step} ${now}. You see the last plane before; choose a lower rate.`] });
    this.showButtons();
  }

  showPlane(plane) {
    if (plane.run !== this.run) return;
    const ranges = [0, 1].map((c) => rangeOf(plane.codes, c, this.plane?.ranges[c]));
    this.plane = { ...plane, ranges };
    this.parts.host.style.visibility = "";
    this.map.shapes = this.layers();
    this.map.update({ ranges, places: this.places(plane.codes), weights: plane.decoder, points: plane.codes });
    const inHand = performance.now() - this.map.movedAt < RESTS;
    setTimeout(() => this.worker.postMessage({ drawn: true }), inHand ? IN_HAND : 0);
    if (plane.ended) this.running = false;
    if (!this.failed) this.tellDead(plane);
    this.showStatus(plane);
    this.showButtons();
  }

  // A class's name stands at the median of its codes.
  places(codes) {
    const { labels } = this.map;
    const members = this.spec.classes.map(() => []);
    labels.forEach((c, i) => members[c].push(i));
    return members.map((own) =>
      [0, 1].map((k) => Float32Array.from(own, (i) => codes[2 * i + k]).sort()[own.length >> 1] ?? 0),
    );
  }

  // -- words

  // `faults` are about what was asked for, `news` about the network; one does not hide the other.
  tell(some) {
    Object.assign(this, some);
    this.parts.states.textContent = [...this.faults, ...this.news].join(" ");
  }

  tellDead({ dead, epoch, codes }) {
    if (dead.every((now, c) => now === this.lost[c])) return;
    const sentences = dead.map((now, c) => {
      if (now) return `Unit ${c + 1} is dead: it is ${+codes[c].toPrecision(3)} for every digit.`;
      return this.lost[c] ? `Unit ${c + 1} has come back, in epoch ${Math.ceil(epoch)}.` : "";
    });
    this.lost = dead;
    this.tell({ news: sentences.filter(Boolean) });
  }

  showStatus({ epoch, loss }) {
    const share = epoch ? this.along(loss) : 0;
    this.parts.fill.style.width = `${100 * share}%`;
    const [[first], [last]] = [this.spec.ruler[0], this.spec.ruler.at(-1)];
    const way = share ? `${Math.round(100 * share)} % of the way from the ${first} to a ${last}` : `not yet better than the ${first}`;
    this.parts.status.textContent = epoch ? `Epoch ${epoch.toFixed(1)} · loss ${loss.toFixed(4)}: ${way}.` : "Not trained yet: a plane of random weights.";
  }

  showButtons() {
    const { start, one } = this.parts;
    start.textContent = this.running ? "Pause" : "Start";
    one.disabled = this.running;
  }

  // -- the gallery

  keepPlane() {
    if (!this.plane?.epoch) return;
    const { codes, ranges, loss, dead, epoch } = this.plane;
    const { state } = this;
    const button = document.createElement("button");
    button.type = "button";
    const canvas = document.createElement("canvas");
    const words = [`seed ${state.seed}`, CODES[state.code], loss.toFixed(3)];
    if (dead.includes(true)) words.push("dead unit");
    button.append(canvas, words.join(" · "));
    button.title = `${writeState(state)}, after ${epoch.toFixed(1)} epochs. Press to train it again.`;
    button.addEventListener("click", () => this.change(state));
    const { labels, shown } = this.map;
    const unit = (k) => Float32Array.from(labels, (_, i) => (codes[2 * i + k] - ranges[k][0]) / (ranges[k][1] - ranges[k][0]));
    drawPoints(canvas, 96, { us: unit(0), vs: unit(1), labels, shown }, this.spec.classes.map(({ colour }) => colour));
    this.parts.gallery.prepend(button);
    while (this.parts.gallery.children.length > KEPT) this.parts.gallery.lastChild.remove();
  }

  remove() {
    this.worker.terminate();
    this.map.remove();
  }
}

// The range of an axis with some room; one of no width, as of a dead unit, becomes 1 wide. The
// range before stays while it fits, so that the axes do not shake.
function rangeOf(codes, c, before) {
  let [low, high] = [Infinity, -Infinity];
  for (let i = c; i < codes.length; i += 2) {
    if (codes[i] < low) low = codes[i];
    if (codes[i] > high) high = codes[i];
  }
  if (before && high > low && low >= before[0] && high <= before[1] && high - low > 0.7 * (before[1] - before[0])) return before;
  const room = 0.08 * (high - low) || 0.5;
  return [low - room, high + room];
}

// ---- Its two homes -----------------------------------------------------------------------------

async function unpackView(view) {
  const stream = new Blob([view]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

async function render({ model, el }) {
  const [images, labels] = ["_images", "_labels"].map((name) => model.get(name));
  if (!images || !labels) {
    el.textContent = "The digits did not reach this page: run the cell again.";
    return;
  }
  const data = { spec: model.get("_spec"), images: await unpackView(images), labels: await unpackView(labels) };
  const home = {
    text: model.get("state"),
    starts: false,
    keep(text) {
      model.set("state", text);
      model.save_changes();
    },
  };
  const playground = new Playground(el, data, home);
  const follow = () => model.get("state") !== writeState(playground.state) && playground.read(model.get("state"));
  model.on("change:state", follow);
  return () => {
    model.off("change:state", follow);
    playground.remove();
  };
}

export async function openPage(host, { spec, packed }) {
  const home = {
    text: location.hash || spec.state,
    starts: true,
    keep: (text) => history.replaceState(null, "", `#${text}`),
  };
  const playground = new Playground(host, { spec, ...(await unpack(packed)) }, home);
  window.addEventListener("hashchange", () => playground.read(location.hash));
  return playground;
}

export default { render };

// ---- Its looks ---------------------------------------------------------------------------------

const STYLE = `
  ${THEME}
  .bar { display: flex; flex-wrap: wrap; gap: 6px 8px; align-items: center; padding: 4px; }
  .choices { display: contents; }
  label { display: inline-flex; align-items: center; gap: 4px; color: var(--quiet); }
  input, select { font: inherit; color: var(--ink); background: var(--paper); border: 1px solid var(--line); border-radius: 4px; padding: 2px 4px; width: 64px; }
  select { width: auto; }
  select:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }
  button { padding: 4px 12px; }
  button:disabled { color: var(--quiet); cursor: default; }
  .main { border-color: var(--accent); min-width: 76px; font-weight: 600; }
  .ruler { position: relative; margin: 12px 40px 0; height: 50px; max-width: 820px; }
  .track { height: 8px; border-radius: 4px; background: var(--line); overflow: hidden; }
  .fill { height: 100%; width: 0; background: var(--accent); }
  .ruler span { position: absolute; top: 0; padding-top: 14px; transform: translateX(-50%); color: var(--quiet); white-space: nowrap; font-size: 12px; }
  .ruler span::before { content: ""; position: absolute; left: 50%; top: -2px; height: 14px; border-left: 1px solid var(--ink); }
  .ruler span:not(.lower) { background: var(--paper) content-box; z-index: 1; } /* the lower ones' lines pass behind */
  .ruler .lower { padding-top: 30px; }
  .ruler .lower::before { height: 30px; }
  .ruler span:first-of-type { transform: translateX(-30%); }
  .ruler span:first-of-type::before { left: 30%; }
  .ruler span:last-of-type { transform: translateX(-70%); }
  .ruler span:last-of-type::before { left: 70%; }
  p { margin: 4px; min-height: 1.45em; font-variant-numeric: tabular-nums; }
  .states { font-weight: 600; }
  .gallery { display: flex; flex-wrap: wrap; gap: 8px; padding: 12px 4px; }
  .gallery button { width: 112px; padding: 6px; border-radius: 8px; font-size: 12px; line-height: 1.3; }
  .gallery canvas { display: block; width: 96px; height: 96px; margin: 0 auto 4px; background: var(--paper); }
`;
