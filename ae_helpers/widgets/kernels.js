// The four loops in which a training spends its time, in WebAssembly: four numbers a step.
//
// A browser's JavaScript adds one number at a time. There is no compiler here: each helper below
// returns the bytes of one instruction, and what it works on comes before it, so that the loops
// read like formulas. All pointers and widths count bytes; a width is a multiple of 16, a list of
// rows is filled up to a multiple of four with factors of 0, and none is empty.

export function makeKernels(memory) {
  const bytes = (n) => (n < 128 ? [n] : [(n & 127) | 128, ...bytes(n >> 7)]); // LEB128
  const get = (local) => [0x20, local];
  const set = (local, value) => [value, 0x21, local];
  const number = (n) => [0x41, n]; // below 64
  const plus = (a, b) => [a, b, 0x6a];
  const below = (a, b) => [a, b, 0x49];
  const wordAt = (address, offset) => [address, 0x28, 2, offset];
  const storeFloat = (address, offset, value) => [address, value, 0x38, 2, offset];
  const load = (address) => [address, 0xfd, 0x00, 2, 0];
  const store = (address, value) => [address, value, 0xfd, 0x0b, 2, 0];
  const fourTimes = (address, offset) => [address, 0xfd, 0x09, 2, offset]; // one number, in all lanes
  const zeros = [0xfd, 0x0c, ...Array(16).fill(0)];
  const lane = (value, k) => [value, 0xfd, 0x1f, k];
  const addFloats = (a, b) => [a, b, 0x92];
  const root = (a) => [a, 0xfd, 0xe3, 1];
  const add = (a, b) => [a, b, 0xfd, 0xe4, 1];
  const subtract = (a, b) => [a, b, 0xfd, 0xe5, 1];
  const multiply = (a, b) => [a, b, 0xfd, 0xe6, 1];
  const divide = (a, b) => [a, b, 0xfd, 0xe7, 1];
  const loopWhile = (condition, body) => [0x03, 0x40, body, condition, 0x0d, 0, 0x0b];
  const next = (local) => set(local, plus(get(local), number(16)));

  // Each has six arguments, 0 to 5; then come the locals: four rows, a place, and vectors.
  const [rows, j, vectors, value] = [[6, 7, 8, 9], 10, [11, 12, 13, 14], 15];
  const at = (local) => plus(get(local), get(j));

  // sums += Σ factor · row, over the rows that begin at base + each place.
  // 0 sums, 1 base, 2 places, 3 factors, 4 end of places, 5 width
  const addRows = loopWhile(below(get(2), get(4)), [
    rows.map((row, k) => set(row, plus(get(1), wordAt(get(2), 4 * k)))),
    vectors.map((factor, k) => set(factor, fourTimes(get(3), 4 * k))),
    set(j, number(0)),
    loopWhile(below(get(j), get(5)), [
      store(
        at(0),
        rows.reduce((sum, row, k) => add(sum, multiply(load(at(row)), get(vectors[k]))), load(at(0))),
      ),
      next(j),
    ]),
    [2, 3].map(next),
  ]);

  // products = row · each of the rows that begin at base + each place.
  // 0 products, 1 base, 2 places, 3 row, 4 end of places, 5 width
  const dotRows = loopWhile(below(get(2), get(4)), [
    rows.map((row, k) => set(row, plus(get(1), wordAt(get(2), 4 * k)))),
    vectors.map((sum) => set(sum, zeros)),
    set(j, number(0)),
    loopWhile(below(get(j), get(5)), [
      set(value, load(at(3))),
      vectors.map((sum, k) => set(sum, add(get(sum), multiply(load(at(rows[k])), get(value))))),
      next(j),
    ]),
    vectors.map((sum, k) =>
      storeFloat(get(0), 4 * k, [1, 2, 3].reduce((all, i) => addFloats(all, lane(get(sum), i)), lane(get(sum), 0))),
    ),
    [0, 2].map(next),
  ]);

  // Each of the rows that begin at base + each place += its factor · row.
  // 0 row, 1 base, 2 places, 3 factors, 4 end of places, 5 width
  const addToRows = loopWhile(below(get(2), get(4)), [
    rows.map((row, k) => set(row, plus(get(1), wordAt(get(2), 4 * k)))),
    vectors.map((factor, k) => set(factor, fourTimes(get(3), 4 * k))),
    set(j, number(0)),
    loopWhile(below(get(j), get(5)), [
      set(value, load(at(0))),
      rows.map((row, k) => store(at(row), add(load(at(row)), multiply(get(value), get(vectors[k]))))),
      next(j),
    ]),
    [2, 3].map(next),
  ]);

  // One step of adam. 0 weights, 1 gradient, 2 mean, 3 square, 4 end of weights, 5 the numbers
  // 0.1, 0.001, rate and epsilon
  const [gradient, mean, square] = vectors;
  const towards = (old, now, share) => add(old, multiply(share, subtract(now, old)));
  const adam = loopWhile(below(get(0), get(4)), [
    set(gradient, load(get(1))),
    set(mean, towards(load(get(2)), get(gradient), fourTimes(get(5), 0))),
    set(square, towards(load(get(3)), multiply(get(gradient), get(gradient)), fourTimes(get(5), 4))),
    store(get(2), get(mean)),
    store(get(3), get(square)),
    store(
      get(0),
      subtract(
        load(get(0)),
        divide(multiply(get(mean), fourTimes(get(5), 8)), add(root(get(square)), fourTimes(get(5), 12))),
      ),
    ),
    [0, 1, 2, 3].map(next),
  ]);

  const kernels = { addRows, dotRows, addToRows, adam };
  const names = Object.keys(kernels);
  const text = (name) => [name.length, ...new TextEncoder().encode(name)];
  const section = (id, content) => [id, bytes(content.flat(Infinity).length), content];
  const [integer, vector] = [0x7f, 0x7b];
  const body = (code) => {
    const all = [2, [5, integer], [5, vector], code, 0x0b].flat(Infinity);
    return [bytes(all.length), all];
  };
  const module = [
    [0, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
    section(1, [1, 0x60, 6, Array(6).fill(integer), 0]), // the one type of all four
    section(2, [1, text("of"), text("memory"), 2, 0, 1]),
    section(3, [names.length, names.map(() => 0)]),
    section(7, [names.length, names.map((name, k) => [text(name), 0, k])]),
    section(10, [names.length, names.map((name) => body(kernels[name]))]),
  ].flat(Infinity);
  return new WebAssembly.Instance(new WebAssembly.Module(new Uint8Array(module)), { of: { memory } }).exports;
}
