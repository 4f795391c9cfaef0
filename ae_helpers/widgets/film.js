// The film of a training: moments of the latent map, with a time slider, play and pause, and the
// curve of their losses. It moves a LatentMap, in whichever home that is.

const FRAME_MS = 350; // from one moment to the next while it plays

// ---- From bytes to moments -------------------------------------------------------------------

// All 65,536 numbers of 16 bits, as float32.
let halves = null;
function makeHalves() {
  return Float32Array.from({ length: 65536 }, (_, bits) => {
    const [exponent, fraction] = [(bits >> 10) & 31, bits & 1023];
    const size = exponent ? 2 ** (exponent - 15) * (1 + fraction / 1024) : 2 ** -14 * (fraction / 1024);
    return bits >> 15 ? -size : size;
  });
}

// As pack_moment in film.py writes them, one after another; `counts` are numbers of 16 bits.
export function readMoments(bytes, counts) {
  halves ??= makeHalves();
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const moments = [];
  for (let at = 0; at < bytes.length; ) {
    const length = view.getUint32(at, true);
    const moment = JSON.parse(new TextDecoder().decode(bytes.subarray(at + 4, at + 4 + length)));
    at += 4 + length;
    for (const [name, count] of Object.entries(counts)) {
      const start = at;
      moment[name] = Float32Array.from({ length: count }, (_, i) => halves[view.getUint16(start + 2 * i, true)]);
      at += 2 * count;
    }
    moments.push(moment);
  }
  return moments;
}

// ---- The film --------------------------------------------------------------------------------

const PARTS = `
  <div class="row">
    <button type="button" class="play">Play</button>
    <input type="range" min="0" step="1" aria-label="Moment of the training" />
  </div>
  <div class="curve" aria-hidden="true">
    <svg viewBox="0 0 1 1" preserveAspectRatio="none"><g class="marks"></g><polyline /><line class="now" y1="0" y2="1" /></svg>
    <div class="words"></div>
    <div class="epochs"></div>
  </div>
  <p class="moment"></p>`;

export class Film {
  // `marks` are the ruler's, [name, loss] each; `onMoment(k)` is called when the film moves itself.
  constructor(map, marks, onMoment = () => {}) {
    [this.map, this.marks, this.onMoment] = [map, marks, onMoment];
    [this.moments, this.at, this.timer] = [[], -1, null];
    this.first = 0; // number of the first moment here: who opens a map late may have missed some
    this.counts = { points: 2 * map.labels.length, weights: map.layers.reduce((n, { kernel, bias }) => n + kernel.length + bias.length, 0) };
    this.host = document.createElement("section");
    this.host.className = "film";
    this.host.hidden = true;
    this.host.setAttribute("aria-label", "Film of the training");
    this.host.innerHTML = `<style>${STYLE}</style>${PARTS}`;
    map.parts.map.closest(".frame").append(this.host);
    const part = (selector) => this.host.querySelector(selector);
    this.parts = { play: part(".play"), slider: part("input"), curve: part("polyline"), marks: part(".marks"), now: part(".now"), words: part(".words"), epochs: part(".epochs"), moment: part(".moment") };
    const { play, slider } = this.parts;
    play.addEventListener("click", () => (this.timer ? this.pause() : this.play()));
    slider.addEventListener("input", () => {
      this.pause();
      this.go(+slider.value);
    });
  }

  // `bytes` hold one moment or many.
  add(bytes) {
    this.moments.push(...readMoments(bytes, this.counts));
    this.first = this.moments[0]?.number ?? 0;
    this.drawCurve();
  }

  clear() {
    this.pause();
    [this.moments, this.at] = [[], -1];
    this.host.hidden = true;
  }

  // Play it once when it is first seen, unless the reader's system asks for less motion.
  playWhenSeen() {
    if (this.moments.length < 2 || matchMedia("(prefers-reduced-motion: reduce)").matches) return;
    this.seeing = new IntersectionObserver(([{ isIntersecting }]) => {
      if (!isIntersecting) return;
      this.seeing.disconnect();
      this.play(0);
    });
    this.seeing.observe(this.host);
  }

  play(from = this.at === this.moments.length - 1 ? 0 : this.at) {
    this.pause();
    this.go(from);
    this.parts.play.textContent = "Pause";
    this.timer = setInterval(() => {
      if (this.at < this.moments.length - 1) this.go(this.at + 1);
      if (this.at === this.moments.length - 1) this.pause();
    }, FRAME_MS);
  }

  pause() {
    this.seeing?.disconnect();
    clearInterval(this.timer);
    this.timer = null;
    this.parts.play.textContent = "Play";
  }

  // Show a moment, and tell the home.
  go(k) {
    this.show(k + this.first);
    this.onMoment(k + this.first);
  }

  // Show the moment of this number.
  show(number) {
    const k = number - this.first;
    const moment = this.moments[k];
    if (!moment || k === this.at) return;
    this.at = k;
    this.map.update(moment);
    this.map.moved = true; // its point has other coordinates now
    const { slider, now, moment: words } = this.parts;
    slider.value = k;
    const text = this.sentence(moment);
    slider.setAttribute("aria-valuetext", text);
    words.textContent = text;
    now.setAttribute("x1", this.share(k));
    now.setAttribute("x2", this.share(k));
  }

  sentence({ epoch, loss }) {
    const time = epoch === 0 ? "Before the training" : `Epoch ${epoch < 1 ? epoch.toFixed(1) : Math.round(epoch)}`;
    return `${time} · loss ${loss.toFixed(4)}`;
  }

  share(k) {
    return k / Math.max(1, this.moments.length - 1);
  }

  // Losses by moment: the curve's ends lie below those of the slider. What lies above the
  // highest mark, as before the training, is cut off.
  drawCurve() {
    const { moments, marks, parts } = this;
    this.host.hidden = moments.length < 2;
    parts.slider.max = moments.length - 1;
    const losses = moments.map(({ loss }) => loss);
    const low = Math.min(...losses);
    const high = marks.length ? Math.max(low, ...marks.map(([, loss]) => loss)) : Math.max(...losses);
    const room = 0.12 * (high - low) || 0.1;
    const height = (loss) => (high + room - loss) / (high - low + 2 * room);
    parts.curve.setAttribute("points", losses.map((loss, k) => `${this.share(k)},${height(loss)}`).join(" "));
    parts.marks.replaceChildren();
    parts.words.replaceChildren();
    parts.epochs.replaceChildren();
    for (const [name, loss] of marks) {
      if (loss < low - room) continue;
      const line = document.createElementNS("http://www.w3.org/2000/svg", "line");
      for (const [key, value] of Object.entries({ x1: 0, x2: 1, y1: height(loss), y2: height(loss) })) line.setAttribute(key, value);
      parts.marks.append(line);
      this.write(parts.words, `${name} ${loss.toFixed(3)}`, "top", height(loss));
    }
    moments.forEach(({ epoch }, k) => {
      if (Number.isInteger(epoch)) this.write(parts.epochs, epoch, "left", this.share(k));
    });
    this.parts.now.setAttribute("x1", this.share(this.at));
    this.parts.now.setAttribute("x2", this.share(this.at));
  }

  write(host, text, side, share) {
    const span = document.createElement("span");
    span.textContent = text;
    span.style[side] = `${100 * share}%`;
    host.append(span);
  }

  remove() {
    this.pause();
  }
}

const STYLE = `
  .film { grid-column: 1 / -1; min-width: 0; }
  .film .row { display: flex; gap: 12px; align-items: center; padding-left: 48px; }
  .film .play { min-width: 76px; padding: 4px 12px; border-color: var(--accent); font-weight: 600; }
  .film .row input { margin: 0; }
  .film .curve { position: relative; margin: 14px 8px 0 144px; height: 76px; }
  .film svg { display: block; width: 100%; height: 76px; overflow: hidden; }
  .film polyline { fill: none; stroke: var(--accent); stroke-width: 2; vector-effect: non-scaling-stroke; }
  .film .marks line { stroke: var(--line); vector-effect: non-scaling-stroke; }
  .film .now { stroke: var(--ink); vector-effect: non-scaling-stroke; }
  .film span { position: absolute; color: var(--quiet); font-size: 12px; white-space: nowrap; font-variant-numeric: tabular-nums; }
  .film .words span { right: 0; transform: translateY(-100%); text-shadow: 0 0 3px var(--paper), 0 0 3px var(--paper), 0 0 3px var(--paper); }
  .film .epochs span { top: 78px; transform: translateX(-50%); }
  .film .epochs span:last-child { transform: translateX(-25%); } /* the longest would touch the one before */
  .film .curve::before, .film .epochs::before { content: "loss"; position: absolute; right: calc(100% + 12px); top: 0; color: var(--quiet); font-size: 12px; }
  .film .epochs::before { content: "epoch"; top: 78px; }
  .film .moment { margin: 24px 0 0 144px; font-variant-numeric: tabular-nums; }
  @container (max-width: 620px) { .film .row { padding: 0; } .film .curve, .film .moment { margin-left: 96px; } }
`;
