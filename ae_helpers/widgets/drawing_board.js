// A small board to draw a digit on: white on black, as in MNIST.
//
// The drawing goes to Python as side × side grey levels, at most once a frame while you draw.
// Python brings it into MNIST's form and encodes it; nothing is recognised here.

const PEN = 11; // pixels wide; in MNIST's form about as bold as its digits

function render({ model, el }) {
  const side = model.get("_side"); // pixels of the board
  const board = document.createElement("canvas");
  board.width = board.height = side;
  board.setAttribute("role", "img");
  board.setAttribute("aria-label", "Board: draw a digit with the pointer");
  board.style.cssText =
    "width: 224px; height: 224px; background: black; border: 1px solid gray;" +
    "cursor: crosshair; touch-action: none; display: block;";
  const clear = document.createElement("button");
  clear.textContent = "Clear";
  clear.style.cssText = "margin-top: 6px; padding: 2px 12px;";
  el.append(board, clear);

  const pen = board.getContext("2d", { willReadFrequently: true });
  pen.lineWidth = PEN;
  pen.lineCap = pen.lineJoin = "round";
  pen.strokeStyle = "white";
  let from = null; // where the pen is, while it is down
  let frame = 0; // the animation frame in which the drawing will be sent

  // What another view of this board, or Python, has put there.
  function show() {
    const levels = model.get("pixels");
    pen.fillStyle = "black";
    pen.fillRect(0, 0, side, side);
    if (levels?.byteLength !== side * side) return; // empty, or dropped on the way here
    const picture = pen.createImageData(side, side);
    for (let i = 0; i < side * side; i++) picture.data.fill(levels.getUint8(i), 4 * i, 4 * i + 3);
    for (let i = 0; i < side * side; i++) picture.data[4 * i + 3] = 255;
    pen.putImageData(picture, 0, 0);
  }

  function send() {
    frame = 0;
    const colours = pen.getImageData(0, 0, side, side).data;
    const levels = new Uint8Array(side * side).map((_, i) => colours[4 * i]);
    model.set("pixels", new DataView(levels.buffer));
    model.save_changes();
  }

  function drawTo(event) {
    const box = board.getBoundingClientRect();
    const to = [
      ((event.clientX - box.left) / box.width) * side,
      ((event.clientY - box.top) / box.height) * side,
    ];
    pen.beginPath();
    pen.moveTo(...(from ?? to));
    pen.lineTo(...to);
    pen.stroke();
    from = to;
    frame ||= requestAnimationFrame(send);
  }

  board.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    board.setPointerCapture(event.pointerId);
    drawTo(event);
  });
  board.addEventListener("pointermove", (event) => {
    if (from) for (const step of event.getCoalescedEvents?.() ?? [event]) drawTo(step);
  });
  for (const end of ["pointerup", "pointercancel"]) {
    board.addEventListener(end, () => (from = null));
  }
  clear.addEventListener("click", () => {
    model.set("pixels", new DataView(new ArrayBuffer(0)));
    model.save_changes();
  });

  const onChange = () => !from && !frame && show();
  model.on("change:pixels", onChange);
  show();
  return () => {
    cancelAnimationFrame(frame);
    model.off("change:pixels", onChange);
  };
}

export default { render };
