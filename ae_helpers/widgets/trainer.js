// An autoencoder 784 → hidden → 2 → hidden → 784, trained with adam on binary cross-entropy.
//
// It runs in a Web Worker (`workerSource` at the end), and in Node for the tests. Most of the time
// goes into the 784 columns of the last layer and the pixels of the first: black pixels and hidden
// units at 0 are skipped, and kernels.js does the rest four numbers a step.

import { makeKernels } from "./kernels.js";

const PIXELS = 784;
const CODE = 2;

// Random numbers in [0, 1), always the same ones for a seed (mulberry32).
export function randomFrom(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

// exp(-x) for x ≥ 0, to eight digits: the next lower of 64 values a unit, and a short series.
function makeFall() {
  const exponentials = Float64Array.from({ length: 90 * 64 }, (_, k) => Math.exp(-k / 64));
  return (x) => {
    if (!(x < 89)) return x >= 89 ? 0 : NaN;
    const k = Math.floor(x * 64);
    const rest = x - k / 64;
    return exponentials[k] * (1 - rest * (1 - rest * (0.5 - rest / 6)));
  };
}
const fall = makeFall();

export class Trainer {
  // `images` holds the pixels, 0 to 255, of whole images one after another; `hidden` is a multiple
  // of 4, and `batch` the largest batch that will come.
  constructor(images, { hidden, code, rate, seed, batch }) {
    this.count = images.length / PIXELS;
    [this.hidden, this.code, this.rate, this.steps] = [hidden, code, rate, 0];
    const shapes = [[PIXELS, hidden], [hidden, CODE], [CODE, hidden], [hidden, PIXELS]];
    const slopes = code === "prelu" ? CODE : 0; // they come after the code's kernel and bias
    const size = shapes.reduce((sum, [inputs, units]) => sum + (inputs + 1) * units, slopes);
    this.makeRoom(images, size, batch);
    const layOut = (array) => {
      let at = 0;
      const take = (length) => array.subarray(at, (at += length));
      return shapes.map(([inputs, units], k) => {
        const layer = { kernel: take(inputs * units), bias: take(units) };
        if (k === 1 && slopes) layer.slope = take(CODE);
        return layer;
      });
    };
    [this.layers, this.gradients] = [layOut(this.weights), layOut(this.gradient)];
    this.random = randomFrom(seed);
    for (const { kernel, bias } of this.layers) {
      const limit = Math.sqrt(6 / (kernel.length / bias.length + bias.length)); // Glorot uniform, as in Keras
      for (let i = 0; i < kernel.length; i++) kernel[i] = limit * (2 * this.random() - 1);
    }
    this.layers[1].slope?.fill(0.25);
    this.keepInk(images);
    this.order = Uint32Array.from({ length: this.count }, (_, i) => i);
    this.next = this.count; // place in the order; at its end it is shuffled anew
  }

  // All that the kernels work on, in one memory.
  makeRoom(images, size, batch) {
    const { hidden } = this;
    let ink = 3 * this.count;
    for (let i = 0; i < images.length; i++) if (images[i]) ink++;
    const listed = Math.max(batch, hidden) + 3;
    const lengths = {
      // Weights in the order of Keras' get_weights(), in one array, so that adam is one loop.
      ...{ weights: size, gradient: size, mean: size, square: size },
      ...{ inkPlaces: ink, ink, first: hidden, second: batch * hidden, back: listed },
      delta: batch * PIXELS, // the last layer's sums, then the loss's derivative by them
      ...{ places: listed, factors: listed, numbers: 4 },
    };
    const room = (length) => 16 * Math.ceil(length / 4);
    const total = Object.values(lengths).reduce((sum, length) => sum + room(length), 0);
    const memory = new WebAssembly.Memory({ initial: Math.ceil(total / 65536) });
    let at = 0;
    for (const [name, length] of Object.entries(lengths)) {
      const Kind = /places/i.test(name) ? Uint32Array : Float32Array;
      this[name] = new Kind(memory.buffer, at, length);
      at += room(length);
    }
    this.kernels = makeKernels(memory);
    this.where = new Uint16Array(ink);
    this.active = new Uint32Array(hidden);
    [this.sum, this.point] = [new Float64Array(CODE), new Float64Array(CODE)];
  }

  // Of each image the pixels that are not black: where they are, how bright (0 to 1), and where
  // their row of the first kernel begins.
  keepInk(images) {
    this.start = new Uint32Array(this.count + 1);
    let at = 0;
    const keep = (pixel, level) => {
      [this.where[at], this.ink[at], this.inkPlaces[at]] = [pixel, level, 4 * pixel * this.hidden];
      at++;
    };
    for (let image = 0; image < this.count; image++) {
      for (let pixel = 0; pixel < PIXELS; pixel++) {
        const value = images[image * PIXELS + pixel];
        if (value) keep(pixel, value / 255);
      }
      while (at % 4) keep(0, 0); // the kernels take four at a time
      this.start[image + 1] = at;
    }
  }

  // Run a kernel over the listed rows: `places` and `factors` from `from` to `to`.
  each(kernel, sums, base, places, factors, from, to, width) {
    if (from === to) return;
    const first = places.byteOffset + 4 * from;
    const second = factors === null ? 0 : factors.byteOffset + 4 * from;
    this.kernels[kernel](sums, base.byteOffset, first, second, first + 4 * (to - from), 4 * width);
  }

  // Fill the list up to a multiple of four; returns its length.
  fillUp(count) {
    while (count % 4) [this.places[count], this.factors[count++]] = [0, 0];
    return count;
  }

  activate(sum, unit) {
    if (this.code === "tanh") return Math.tanh(sum);
    if (sum > 0 || this.code === "linear") return sum;
    return this.code === "prelu" ? this.layers[1].slope[unit] * sum : 0;
  }

  // The derivative of `activate`.
  slopeAt(sum, value, unit) {
    if (this.code === "tanh") return 1 - value * value;
    if (sum > 0 || this.code === "linear") return 1;
    return this.code === "prelu" ? this.layers[1].slope[unit] : 0;
  }

  // Fill `first`, `sum` and `point` for one image.
  encode(image) {
    const { hidden, first, sum, point, start } = this;
    const [one, two] = this.layers;
    first.set(one.bias);
    this.each("addRows", first.byteOffset, one.kernel, this.inkPlaces, this.ink, start[image], start[image + 1], hidden);
    sum.set(two.bias);
    for (let i = 0; i < hidden; i++) {
      if (first[i] < 0) first[i] = 0;
      for (let c = 0; c < CODE; c++) sum[c] += first[i] * two.kernel[i * CODE + c];
    }
    for (let c = 0; c < CODE; c++) point[c] = this.activate(sum[c], c);
  }

  // One step of adam on these images; returns their loss before it.
  step(batch) {
    const size = batch.length;
    this.gradient.fill(0);
    let loss = 0;
    batch.forEach((image, b) => (loss += this.pass(image, b, size)));
    this.addLastGradient(size);
    this.adam();
    return loss / (size * PIXELS);
  }

  // Forward and backward for one image of the batch, all but the last layer's gradient.
  pass(image, b, size) {
    const { hidden, first, sum, point, delta, second, active, places, factors, back } = this;
    const [one, two, three, four] = this.layers;
    const [g1, g2, g3] = this.gradients;
    this.encode(image);
    let count = 0;
    for (let i = 0; i < hidden; i++) {
      let value = three.bias[i];
      for (let c = 0; c < CODE; c++) value += point[c] * three.kernel[c * hidden + i];
      second[b * hidden + i] = value > 0 ? value : 0;
      if (value > 0) [active[count], places[count], factors[count++]] = [i, 4 * i * PIXELS, value];
    }
    const at = b * PIXELS;
    delta.set(four.bias, at);
    const sums = delta.byteOffset + 4 * at;
    const listed = this.fillUp(count);
    this.each("addRows", sums, four.kernel, places, factors, 0, listed, PIXELS);
    const loss = this.compare(image, at, size);

    if (listed) {
      const end = places.byteOffset + 4 * listed;
      this.kernels.dotRows(back.byteOffset, four.kernel.byteOffset, places.byteOffset, sums, end, 4 * PIXELS);
    }
    const pointBack = [0, 0];
    for (let k = 0; k < count; k++) {
      const i = active[k];
      g3.bias[i] += back[k];
      for (let c = 0; c < CODE; c++) {
        g3.kernel[c * hidden + i] += point[c] * back[k];
        pointBack[c] += three.kernel[c * hidden + i] * back[k];
      }
    }
    const sumBack = pointBack.map((value, c) => value * this.slopeAt(sum[c], point[c], c));
    for (let c = 0; c < CODE; c++) {
      g2.bias[c] += sumBack[c];
      if (g2.slope && sum[c] <= 0) g2.slope[c] += pointBack[c] * sum[c];
    }
    for (let i = 0; i < hidden; i++) {
      back[i] = 0;
      if (first[i] === 0) continue;
      for (let c = 0; c < CODE; c++) {
        g2.kernel[i * CODE + c] += first[i] * sumBack[c];
        back[i] += two.kernel[i * CODE + c] * sumBack[c];
      }
      g1.bias[i] += back[i];
    }
    const { start, inkPlaces, ink } = this;
    this.each("addToRows", back.byteOffset, g1.kernel, inkPlaces, ink, start[image], start[image + 1], hidden);
    return loss;
  }

  // Turn the sums in `delta` into the loss's derivative by them; returns the loss.
  compare(image, at, size) {
    const { delta, where, ink: levels } = this;
    const share = 1 / (size * PIXELS);
    let loss = 0;
    let ink = this.start[image];
    const end = this.start[image + 1];
    let product = 1; // one logarithm for 28 factors, each between 1 and 2
    for (let j = 0; j < PIXELS; j++) {
      const sum = delta[at + j];
      const small = fall(Math.abs(sum));
      const target = ink < end && where[ink] === j ? levels[ink++] : 0;
      loss += (sum > 0 ? sum : 0) - sum * target;
      product *= 1 + small;
      if (j % 28 === 27) [loss, product] = [loss + Math.log(product), 1];
      delta[at + j] = ((sum > 0 ? 1 : small) / (1 + small) - target) * share;
    }
    return loss;
  }

  addLastGradient(size) {
    const { hidden, delta, second, places, factors } = this;
    const { kernel, bias } = this.gradients[3];
    const addTo = (sums, count) => this.each("addRows", sums.byteOffset, delta, places, factors, 0, this.fillUp(count), PIXELS);
    for (let i = 0; i < hidden; i++) {
      let count = 0;
      for (let b = 0; b < size; b++) {
        const value = second[b * hidden + i];
        if (value) [places[count], factors[count++]] = [4 * b * PIXELS, value];
      }
      addTo(kernel.subarray(i * PIXELS), count);
    }
    for (let b = 0; b < size; b++) [places[b], factors[b]] = [4 * b * PIXELS, 1];
    addTo(bias, size);
  }

  adam() {
    const { weights, gradient, mean, square, numbers } = this;
    this.steps++;
    const rate = (this.rate * Math.sqrt(1 - 0.999 ** this.steps)) / (1 - 0.9 ** this.steps);
    numbers.set([0.1, 0.001, rate, 1e-7]);
    const [at, g, m, s] = [weights, gradient, mean, square].map((array) => array.byteOffset);
    this.kernels.adam(at, g, m, s, at + weights.byteLength, numbers.byteOffset);
  }

  // A step on the next images of a shuffled epoch.
  stepOn(batchSize) {
    if (this.next >= this.count) {
      for (let i = this.count - 1; i > 0; i--) {
        const j = Math.floor(this.random() * (i + 1));
        [this.order[i], this.order[j]] = [this.order[j], this.order[i]];
      }
      this.next = 0;
    }
    const batch = this.order.subarray(this.next, (this.next += batchSize));
    return this.step(batch);
  }

  // The codes of the first images, two numbers each.
  codes(count) {
    const codes = new Float32Array(CODE * count);
    for (let i = 0; i < count; i++) {
      this.encode(i);
      codes.set(this.point, CODE * i);
    }
    return codes;
  }

  // Kernels and biases of the decoder's two layers, one after another.
  decoder() {
    return this.weights.slice(this.weights.length - (CODE + 1) * this.hidden - (this.hidden + 1) * PIXELS);
  }
}

// ---- The worker ----------------------------------------------------------------------------

// Trains in slices, so that messages get through; tells of the plane once the last was drawn.
function serve(port) {
  let trainer = null;
  let job = {}; // {run: which of the runs asked for, batch, shown, pace: ms between two planes}
  let stopAt = 0; // steps
  let drawn = true;
  let spoken = 0; // when the last plane was sent
  let recent = 0; // the mean loss of about the last hundred steps
  let firstLoss = 0;
  let going = false;

  const perEpoch = () => Math.ceil(trainer.count / job.batch);

  // Dead, as the course defines it: one and the same number for every image.
  function dead(codes, count) {
    return [0, 1].map((c) => {
      for (let i = 1; i < count; i++) if (codes[2 * i + c] !== codes[c]) return false;
      return true;
    });
  }

  function tell(ended) {
    let codes = trainer.codes(job.shown);
    let lost = dead(codes, job.shown);
    // The few that are drawn may agree by chance: ask all.
    if (lost.includes(true)) lost = dead(trainer.codes(trainer.count), trainer.count);
    [drawn, spoken] = [false, performance.now()];
    port.postMessage({
      run: job.run,
      epoch: trainer.steps / perEpoch(),
      loss: recent,
      codes,
      decoder: trainer.decoder(),
      dead: lost,
      ended,
    });
  }

  function slice() {
    const until = performance.now() + 12;
    while (trainer.steps < stopAt && performance.now() < until) {
      const loss = trainer.stepOn(job.batch);
      firstLoss ||= loss;
      // A training that goes wrong shows in the loss first: then the plane before it stays.
      if (!(loss < 2 * firstLoss)) {
        going = false;
        port.postMessage({ run: job.run, failed: { loss, step: trainer.steps, firstLoss } });
        return;
      }
      recent += (loss - recent) / Math.min(trainer.steps, 100);
      if (job.pace === Infinity && trainer.steps % perEpoch() === 0) break;
    }
    const ended = trainer.steps >= stopAt;
    const whole = job.pace === Infinity && trainer.steps % perEpoch() === 0;
    if (ended) going = false;
    if (ended || whole || (drawn && performance.now() - spoken > job.pace)) tell(ended);
    if (going) later.port2.postMessage(null);
  }

  const later = new MessageChannel(); // setTimeout would wait 4 ms
  later.port1.onmessage = () => going && slice();

  port.onmessage = ({ data }) => {
    if (data.begin) {
      job = data.begin;
      trainer = new Trainer(job.images, job);
      [going, recent, firstLoss] = [false, 0, 0];
      tell(false);
    } else if (data.epochs) {
      stopAt = (Math.floor(trainer.steps / perEpoch() + 1e-9) + data.epochs) * perEpoch();
      if (!going) later.port2.postMessage(null);
      going = true;
    } else if (data.pause) {
      if (going) tell(true);
      going = false;
    } else {
      drawn = true;
    }
  };
}

// The text of the worker: a page by double click has no file of its own to start it from.
export function workerSource() {
  const parts = [makeKernels, randomFrom, makeFall, Trainer, serve].join("\n");
  return `const PIXELS = ${PIXELS}, CODE = ${CODE};\n${parts}\nconst fall = makeFall();\nserve(self);`;
}
