// Widgets of the notebooks, alive in a page without a kernel.
//
// A widget is its state, written by tools/live_cells.py, and a module with `render({ model, el })`,
// as in JupyterLab. Here are the model, and the links between models.

const aeData = {}; // what the scripts in data/ bring: deflated bytes in base64, by name

const live = (() => {
  const root = document.currentScript.src.replace(/[^/]*$/, "");
  const loading = {};

  function bring(name) {
    loading[name] ??= new Promise((resolve, reject) => {
      const script = document.createElement("script");
      script.src = `${root}data/${name}.js`;
      script.onload = resolve;
      script.onerror = () => reject(new Error(`${script.src} is missing`));
      document.head.append(script);
    });
    return loading[name];
  }

  async function read(name) {
    await bring(name);
    const deflated = await fetch(`data:;base64,${aeData[name]}`); // the browser's own base64 is fast
    return new Response(deflated.body.pipeThrough(new DecompressionStream("deflate"))).arrayBuffer();
  }

  const readText = async (name) => new TextDecoder().decode(await read(name));

  const modules = {};
  async function importModule(name) {
    // Not by its address: a page that was opened from a folder may import nothing.
    const address = URL.createObjectURL(new Blob([await readText(name)], { type: "text/javascript" }));
    return (await import(address)).default;
  }

  class Model {
    constructor(state) {
      this.state = state;
      this.heard = new Map();
    }
    get(name) {
      return this.state[name];
    }
    set(name, value) {
      if (this.state[name] === value) return;
      this.state[name] = value;
      for (const tell of [...(this.heard.get(`change:${name}`) ?? [])]) tell(this, value);
    }
    on(event, tell) {
      this.heard.set(event, [...(this.heard.get(event) ?? []), tell]);
    }
    off(event, tell) {
      this.heard.set(event, (this.heard.get(event) ?? []).filter((other) => other !== tell));
    }
    save_changes() {}
  }

  async function readModel({ kind, state }) {
    const model = new Model({});
    const readValue = async ([key, value]) => {
      if (key === "_esm") bring(value.file); // its view will want it
      const apart = value?.file && key !== "_esm";
      model.state[key] = apart ? new DataView(await read(value.file)) : value;
    };
    await Promise.all(Object.entries(state).map(readValue)); // all files at once
    return Object.assign(model, { kind });
  }

  // The address may say how the widgets of a page begin: index.html#z=3,12.5 is a point of the
  // map, playground.html#seed=21&code=relu a training. What is chosen there goes into the address.
  function followAddress(models) {
    const read = () => {
      const z = new URLSearchParams(location.hash.slice(1)).get("z")?.split(",").map(Number);
      const named = z?.length === 2 && z.every(Number.isFinite);
      for (const model of models) {
        if ("state" in model.state && location.hash.includes("=")) model.set("state", location.hash.slice(1));
        if (!named || !("x" in model.state)) continue;
        const inside = model.get("_spec").ranges.map(([low, high], k) => Math.min(high, Math.max(low, z[k])));
        ["x", "y"].forEach((name, k) => model.set(name, inside[k]));
      }
    };
    for (const model of models.filter((one) => "state" in one.state)) {
      model.on("change:state", (_, state) => history.replaceState(null, "", `#${state}`));
    }
    window.addEventListener("hashchange", read);
    read();
  }

  const reference = (text) => text.replace("IPY_MODEL_", "");

  function link(models, from, to) {
    const [[source, trait], [target, other]] = [from, to];
    const follow = () => models[reference(target)].set(other, models[reference(source)].get(trait));
    models[reference(source)].on(`change:${trait}`, follow);
    follow();
  }

  async function show(model, host) {
    if (model.kind !== "AnyModel") throw new Error(`there is no view of a ${model.kind}`);
    const name = model.get("_esm").file;
    const widget = await (modules[name] ??= importModule(name));
    await widget.initialize?.({ model });
    const el = document.createElement("div");
    host.append(el);
    await widget.render({ model, el });
  }

  // Show the widgets of the element's data-state in it, in place of what it holds.
  async function open(host) {
    const { views: shown, models: states } = JSON.parse(await readText(host.dataset.state));
    const names = Object.keys(states);
    const opened = await Promise.all(names.map((name) => readModel(states[name])));
    const models = Object.fromEntries(names.map((name, k) => [name, opened[k]]));
    for (const { kind, state } of opened) {
      if (kind.endsWith("LinkModel")) link(models, state.source, state.target);
      if (kind === "LinkModel") link(models, state.target, state.source);
    }
    if ("address" in host.dataset) followAddress(opened);
    host.replaceChildren();
    for (const name of shown) await show(models[name], host);
    host.classList.add("opened");
  }

  const seen = new IntersectionObserver(
    (entries) => {
      for (const { isIntersecting, target } of entries) {
        if (!isIntersecting) continue;
        seen.unobserve(target);
        open(target).catch((error) => {
          target.textContent = `This does not work here: ${error.message}.`;
          throw error;
        });
      }
    },
    { rootMargin: "400px" },
  );
  document.addEventListener("DOMContentLoaded", () => {
    for (const host of document.querySelectorAll(".live")) seen.observe(host);
  });
  return { readText };
})();
