"use strict";

// Hovering: over a unit of a feature map, what it sees of the image; over a pixel of the image, which units see it.

const told = JSON.parse(document.getElementById("told").textContent);
const readout = document.getElementById("readout");
const image = layered(document.getElementById("image"));
const figures = [...document.querySelectorAll("figure.layer")];
const layers = told.layers.map((layer, k) => ({
  ...layer,
  ...layered(figures[k].querySelector(".layered")),
  count: figures[k].querySelector("output"),
  cell: [layer.size[0] * layer.scale + layer.gap, layer.size[1] * layer.scale + layer.gap],
}));
const first = layers.map((layer) => layer.img.src); // the pictures of the first image stand in the page
const [MARK, VEIL] = ["#e8590c", "rgba(255, 255, 255, 0.55)"];
const probe = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
const hint = readout.textContent;
let sample = 0;

// A picture and a canvas over it, for the marks.
function layered(box) {
  const img = box.querySelector("img");
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = ["width", "height"].map((side) => Number(img.getAttribute(side)));
  box.append(canvas);
  return { box, img, canvas, pen: canvas.getContext("2d") };
}

// The pixels that a unit sees along one axis: [first, behind the last].
function interval(axis, i) {
  if (Array.isArray(axis)) return axis[i];
  const start = axis.start + i * axis.step;
  return [Math.max(start, 0), Math.min(start + axis.size, axis.limit)];
}

// [top, bottom, left, right] of the pixels that the unit (i, j) sees, or null where that is not known.
function box({ sees, size }, i, j) {
  if (!sees) return null;
  if (sees.boxes) return sees.boxes[i * size[1] + j];
  return [...interval(sees.rows, i), ...interval(sees.columns, j)];
}

// Whether the unit (i, j) sees the pixel (y, x).
function sees(layer, i, j, y, x) {
  const [top, bottom, left, right] = box(layer, i, j);
  if (y < top || y >= bottom || x < left || x >= right) return false;
  const { pattern, start, step } = layer.sees;
  return !pattern || pattern[y - start[0] - i * step[0]][x - start[1] - j * step[1]] === "1";
}

// The units (i, j) of a layer that see the pixel (y, x).
function seeing(layer, y, x) {
  if (!layer.sees) return [];
  const { rows, columns, boxes } = layer.sees;
  const within = (axis, count, at) =>
    [...Array(count).keys()].filter((k) => boxes || (interval(axis, k)[0] <= at && at < interval(axis, k)[1]));
  const js = within(columns, layer.size[1], x);
  return within(rows, layer.size[0], y).flatMap((i) => js.filter((j) => sees(layer, i, j, y, x)).map((j) => [i, j]));
}

// The rectangle of the unit (i, j) of one map on the picture of its layer.
function place({ cell, columns, scale }, map, i, j) {
  return [(map % columns) * cell[1] + j * scale, Math.floor(map / columns) * cell[0] + i * scale, scale, scale];
}

// Which unit lies below a point of the picture of a layer; null between two maps.
function unitAt({ cell, columns, scale, maps, size }, x, y) {
  const [column, row] = [Math.floor(x / cell[1]), Math.floor(y / cell[0])];
  const [i, j] = [Math.floor((y - row * cell[0]) / scale), Math.floor((x - column * cell[1]) / scale)];
  const map = row * columns + column;
  const there = i >= 0 && j >= 0 && i < size[0] && j < size[1] && column < columns && map < maps;
  return there ? { map, i, j } : null;
}

// The value of a unit, read from the brightness of its pixel.
function value(layer, { map, i, j }) {
  const [x, y] = place(layer, map, i, j);
  probe.drawImage(layer.img, -x, -y);
  const [least, greatest] = layer.range[sample][map];
  const share = probe.getImageData(0, 0, 1, 1).data[0] / 255;
  return Number((least + share * (greatest - least)).toPrecision(2));
}

function clear() {
  for (const { pen, canvas } of [image, ...layers]) pen.clearRect(0, 0, canvas.width, canvas.height);
  for (const layer of layers) layer.count.textContent = "";
  readout.textContent = hint;
}

function outline(pen, [x, y, width, height]) {
  pen.strokeStyle = MARK;
  pen.lineWidth = 2;
  pen.strokeRect(x - 1, y - 1, width + 2, height + 2);
}

function showUnit(layer, unit) {
  clear();
  outline(layer.pen, place(layer, unit.map, unit.i, unit.j));
  const where = layer.size[0] * layer.size[1] > 1 ? `map ${unit.map}, unit (${unit.i}, ${unit.j})` : `unit ${unit.map}`;
  const says = `${layer.name}, ${where}: about ${value(layer, unit)}. `;
  const seen = box(layer, unit.i, unit.j);
  if (!seen) return void (readout.textContent = `${says}What it sees is not known.`);
  const [top, bottom, left, right] = seen;
  const [sy, sx] = [image.canvas.height / told.height, image.canvas.width / told.width];
  const rectangle = [left * sx, top * sy, (right - left) * sx, (bottom - top) * sy];
  image.pen.fillStyle = VEIL;
  image.pen.fillRect(0, 0, image.canvas.width, image.canvas.height);
  image.pen.clearRect(...rectangle);
  let holes = 0;
  for (let y = top; layer.sees.pattern && y < bottom; y++) {
    for (let x = left; x < right; x++) {
      if (sees(layer, unit.i, unit.j, y, x)) continue;
      image.pen.fillRect(x * sx, y * sy, sx, sy);
      holes++;
    }
  }
  outline(image.pen, rectangle);
  const pixels = `${holes ? `${(bottom - top) * (right - left) - holes} of ` : ""}${bottom - top} × ${right - left} pixels`;
  readout.textContent = `${says}It sees ${pixels}: rows ${top} to ${bottom - 1}, columns ${left} to ${right - 1}.`;
}

function showPixel(y, x) {
  clear();
  const [sy, sx] = [image.canvas.height / told.height, image.canvas.width / told.width];
  outline(image.pen, [x * sx, y * sy, sx, sy]);
  for (const layer of layers) {
    const found = seeing(layer, y, x);
    layer.pen.fillStyle = MARK;
    layer.pen.globalAlpha = layer.size[0] * layer.size[1] > 1 ? 0.55 : 0.15;
    for (let map = 0; map < layer.maps; map++) {
      for (const [i, j] of found) layer.pen.fillRect(...place(layer, map, i, j));
    }
    layer.pen.globalAlpha = 1;
    layer.count.textContent = layer.sees ? `seen by ${found.length} of ${layer.size[0] * layer.size[1]} units` : "";
  }
  readout.textContent = `Pixel: row ${y}, column ${x}.`;
}

// Where the pointer is on a canvas, in its own pixels.
function point(event, canvas) {
  const { left, top, width, height } = canvas.getBoundingClientRect();
  return [((event.clientX - left) * canvas.width) / width, ((event.clientY - top) * canvas.height) / height];
}

for (const layer of layers) {
  layer.box.addEventListener("pointermove", (event) => {
    const unit = unitAt(layer, ...point(event, layer.canvas));
    if (unit) showUnit(layer, unit);
  });
  layer.box.addEventListener("pointerleave", clear);
}

image.box.addEventListener("pointermove", (event) => {
  const [x, y] = point(event, image.canvas);
  const row = Math.floor((y * told.height) / image.canvas.height);
  const column = Math.floor((x * told.width) / image.canvas.width);
  if (row >= 0 && column >= 0 && row < told.height && column < told.width) showPixel(row, column);
});
image.box.addEventListener("pointerleave", clear);

const choices = [...document.querySelectorAll("#choices button")];
choices.forEach((choice, n) => {
  choice.addEventListener("click", () => {
    sample = n;
    choices.forEach((other, k) => other.setAttribute("aria-pressed", String(k === n)));
    image.img.src = told.images[n];
    layers.forEach((layer, k) => (layer.img.src = n ? told.pictures[n][k] : first[k]));
    clear();
  });
});
