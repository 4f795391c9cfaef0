// An autoencoder 784 → hidden → 2 → hidden → 784, trained with adam on binary cross-entropy.
//
// It runs in a Web Worker (`workerSource` at the end), and in Node for the tests. Most of the time
// goes into the 784 columns of the last layer and the pixels of the first: black pixels and hidden
// units at 0 are skipped, and four rows are taken at a time, so that each sum is loaded once.

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

// sums[at…] += Σ factors[k] · rows[places[k]…] for k < count, over `width` columns.
function addRows(sums, at, rows, places, factors, count, width) {
  let k = 0;
  for (; k + 4 <= count; k += 4) {
    const [a, b, c, d] = [places[k], places[k + 1], places[k + 2], places[k + 3]];
    const [fa, fb, fc, fd] = [factors[k], factors[k + 1], factors[k + 2], factors[k + 3]];
    for (let j = 0; j < width; j++) {
      sums[at + j] += fa * rows[a + j] + fb * rows[b + j] + fc * rows[c + j] + fd * rows[d + j];
    }
  }
  for (; k < count; k++) {
    const [a, fa] = [places[k], factors[k]];
    for (let j = 0; j < width; j++) sums[at + j] += fa * rows[a + j];
  }
}

// products[k] = rows[places[k]…] · row[at…] for k < count.
function dotRows(products, rows, places, count, row, at, width) {
  let k = 0;
  for (; k + 4 <= count; k += 4) {
    const [a, b, c, d] = [places[k], places[k + 1], places[k + 2], places[k + 3]];
    let [sa, sb, sc, sd] = [0, 0, 0, 0];
    for (let j = 0; j < width; j++) {
      const value = row[at + j];
      sa += rows[a + j] * value;
      sb += rows[b + j] * value;
      sc += rows[c + j] * value;
      sd += rows[d + j] * value;
    }
    [products[k], products[k + 1], products[k + 2], products[k + 3]] = [sa, sb, sc, sd];
  }
  for (; k < count; k++) {
    products[k] = 0;
    for (let j = 0; j < width; j++) products[k] += rows[places[k] + j] * row[at + j];
  }
}

export class Trainer {
  // `images` holds the pixels, 0 to 255, of whole images one after another.
  constructor(images, { hidden, code, rate, seed }) {
    this.count = images.length / PIXELS;
    [this.hidden, this.code, this.rate, this.steps] = [hidden, code, rate, 0];
    this.keepInk(images);
    const shapes = [[PIXELS, hidden], [hidden, CODE], [CODE, hidden], [hidden, PIXELS]];
    const slopes = code === "prelu" ? CODE : 0; // they come after the code's kernel and bias
    const size = shapes.reduce((sum, [inputs, units]) => sum + (inputs + 1) * units, slopes);
    // One array each, in the order of Keras' get_weights(), so that adam is one loop.
    [this.weights, this.gradient, this.mean, this.square] = Array.from({ length: 4 }, () => new Float32Array(size));
    this.random = randomFrom(seed);
    const layOut = (array) => {
      let at = 0;
      const take = (length) => array.subarray(at, (at += length));
      const layers = shapes.map(([inputs, units], k) => {
        const layer = { kernel: take(inputs * units), bias: take(units) };
        if (k === 1 && slopes) layer.slope = take(CODE);
        return layer;
      });
      this.decoderAt = size - layers.slice(2).reduce((sum, { kernel, bias }) => sum + kernel.length + bias.length, 0);
      return layers;
    };
    this.layers = layOut(this.weights);
    this.gradients = layOut(this.gradient);
    shapes.forEach(([inputs, units], k) => {
      const limit = Math.sqrt(6 / (inputs + units)); // Glorot uniform, as Keras starts
      const { kernel } = this.layers[k];
      for (let i = 0; i < kernel.length; i++) kernel[i] = limit * (2 * this.random() - 1);
    });
    this.layers[1].slope?.fill(0.25);
    this.first = new Float32Array(hidden);
    this.sum = new Float32Array(CODE);
    this.point = new Float32Array(CODE);
    this.order = Uint32Array.from({ length: this.count }, (_, i) => i);
    this.next = this.count; // place in the order; at its end it is shuffled anew
  }

  // Of each image the pixels that are not black: where they are, and how bright, 0 to 1.
  keepInk(images) {
    this.start = new Uint32Array(this.count + 1);
    const ink = images.reduce((sum, value) => sum + (value > 0), 0);
    [this.where, this.level] = [new Uint16Array(ink), new Float32Array(ink)];
    let at = 0;
    images.forEach((value, i) => {
      if (value) [this.where[at], this.level[at++]] = [i % PIXELS, value / 255];
      if ((i + 1) % PIXELS === 0) this.start[(i + 1) / PIXELS] = at;
    });
    this.rows = new Uint32Array(Math.max(PIXELS, this.hidden));
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
    const { hidden, first, sum, point, rows } = this;
    const [one, two] = this.layers;
    const [from, to] = [this.start[image], this.start[image + 1]];
    for (let k = from; k < to; k++) rows[k - from] = this.where[k] * hidden;
    first.set(one.bias);
    addRows(first, 0, one.kernel, rows, this.level.subarray(from, to), to - from, hidden);
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
    if (this.delta?.length !== size * PIXELS) this.makeRoom(size);
    this.gradient.fill(0);
    let loss = 0;
    batch.forEach((image, b) => (loss += this.pass(image, b, size)));
    this.addLastGradient(size);
    this.adam();
    return loss / (size * PIXELS);
  }

  makeRoom(size) {
    this.delta = new Float32Array(size * PIXELS); // of the loss by the last layer's sums
    this.second = new Float32Array(size * this.hidden); // values of the decoder's hidden layer
    this.active = new Uint32Array(Math.max(size, this.hidden));
    this.factors = new Float32Array(Math.max(size, this.hidden));
    this.back = new Float32Array(this.hidden);
  }

  // Forward and backward for one image of the batch, all but the last layer's gradient.
  pass(image, b, size) {
    const { hidden, first, sum, point, delta, second, active, factors, back, rows } = this;
    const [one, two, three, four] = this.layers;
    const [g1, g2, g3] = this.gradients;
    this.encode(image);
    let count = 0;
    const units = rows; // of those that are not at 0, the row in the last kernel
    for (let i = 0; i < hidden; i++) {
      let value = three.bias[i];
      for (let c = 0; c < CODE; c++) value += point[c] * three.kernel[c * hidden + i];
      second[b * hidden + i] = value > 0 ? value : 0;
      if (value > 0) [active[count], units[count], factors[count++]] = [i, i * PIXELS, value];
    }
    const at = b * PIXELS;
    delta.set(four.bias, at);
    addRows(delta, at, four.kernel, units, factors, count, PIXELS);
    const loss = this.compare(image, at, size);

    dotRows(back, four.kernel, units, count, delta, at, PIXELS);
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
    for (let k = this.start[image]; k < this.start[image + 1]; k++) {
      const [row, level] = [this.where[k] * hidden, this.level[k]];
      for (let i = 0; i < hidden; i++) g1.kernel[row + i] += level * back[i];
    }
    return loss;
  }

  // Turn the sums in `delta` into the loss's derivative by them; returns the loss.
  compare(image, at, size) {
    const { delta } = this;
    const share = 1 / (size * PIXELS);
    let loss = 0;
    let ink = this.start[image];
    const end = this.start[image + 1];
    let product = 1; // one logarithm for 28 factors, each between 1 and 2
    for (let j = 0; j < PIXELS; j++) {
      const sum = delta[at + j];
      const small = Math.exp(sum > 0 ? -sum : sum);
      const target = ink < end && this.where[ink] === j ? this.level[ink++] : 0;
      loss += (sum > 0 ? sum : 0) - sum * target;
      product *= 1 + small;
      if (j % 28 === 27) [loss, product] = [loss + Math.log(product), 1];
      delta[at + j] = ((sum > 0 ? 1 : small) / (1 + small) - target) * share;
    }
    return loss;
  }

  addLastGradient(size) {
    const { hidden, delta, second, active: rows, factors } = this;
    const { kernel, bias } = this.gradients[3];
    for (let i = 0; i < hidden; i++) {
      let count = 0;
      for (let b = 0; b < size; b++) {
        const value = second[b * hidden + i];
        if (value) [rows[count], factors[count++]] = [b * PIXELS, value];
      }
      addRows(kernel, i * PIXELS, delta, rows, factors, count, PIXELS);
    }
    for (let b = 0; b < size; b++) [rows[b], factors[b]] = [b * PIXELS, 1];
    addRows(bias, 0, delta, rows, factors, size, PIXELS);
  }

  adam() {
    const { weights, gradient, mean, square } = this;
    this.steps++;
    const rate = (this.rate * Math.sqrt(1 - 0.999 ** this.steps)) / (1 - 0.9 ** this.steps);
    for (let i = 0; i < weights.length; i++) {
      const g = gradient[i];
      if (g === 0 && mean[i] === 0) continue; // the weights of pixels that are always black
      mean[i] += 0.1 * (g - mean[i]);
      square[i] += 0.001 * (g * g - square[i]);
      weights[i] -= (rate * mean[i]) / (Math.sqrt(square[i]) + 1e-7);
    }
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
    return this.weights.slice(this.decoderAt);
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
      tell(true);
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
  const parts = [randomFrom, addRows, dotRows, Trainer, serve].join("\n");
  return `const PIXELS = ${PIXELS}, CODE = ${CODE};\n${parts}\nserve(self);`;
}
