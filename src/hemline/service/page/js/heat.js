// Attention over a picture as a heat map on a canvas.
import { texts } from "./texts.js";

const LARGEST = 720;

// weights (rows × columns, row by row) → 0-1 each, the least 0 and the most 1; null where flat.
function levels(weights) {
  const low = Math.min(...weights);
  const high = Math.max(...weights);
  return high - low > 1e-9 ? weights.map((w) => (w - low) / (high - low)) : null;
}

export function readable(attention) {
  const [rows, columns] = attention?.grid ?? [];
  const good = rows > 0 && columns > 0 && attention.weights?.length === rows * columns;
  return good && levels(attention.weights) !== null;
}

// Where most of the attention lies, in words: its centre among nine places.
export function placeOf({ grid: [rows, columns], weights }, part = [0, 0, 1, 1]) {
  let [x, y, all] = [0, 0, 0];
  weights.forEach((w, at) => {
    const heavy = Math.max(0, w) ** 2;
    x += heavy * (((at % columns) + 0.5) / columns);
    y += heavy * ((Math.floor(at / columns) + 0.5) / rows);
    all += heavy;
  });
  const share = (v, low, high) => low + (v / (all || 1)) * (high - low);
  const third = (v) => Math.min(2, Math.max(0, Math.floor(v * 3)));
  return texts.places[third(share(y, part[1], part[3]))][third(share(x, part[0], part[2]))];
}

// From nothing over amber to red; the alpha grows with the level.
function tile({ grid: [rows, columns], weights }) {
  const canvas = document.createElement("canvas");
  Object.assign(canvas, { width: columns, height: rows });
  const context = canvas.getContext("2d");
  const data = context.createImageData(columns, rows);
  levels(weights).forEach((level, at) => {
    data.data.set([255, Math.round(205 - 165 * level), Math.round(60 - 30 * level), Math.round(225 * level ** 1.2)], at * 4);
  });
  context.putImageData(data, 0, 0);
  return canvas;
}

// Draws `img` (loaded) and the attention over `box` of it (pixels of the picture; null: all of it).
export function drawHeat(canvas, img, attention, box) {
  const scale = Math.min(1, LARGEST / Math.max(img.naturalWidth, img.naturalHeight)) || 1;
  const [width, height] = [img.naturalWidth * scale, img.naturalHeight * scale].map(Math.round);
  Object.assign(canvas, { width, height });
  const context = canvas.getContext("2d");
  context.drawImage(img, 0, 0, width, height);
  const [x1, y1, x2, y2] = (box ?? [0, 0, img.naturalWidth, img.naturalHeight]).map((v) => v * scale);
  context.fillStyle = "rgba(12, 10, 8, 0.36)";
  context.fillRect(0, 0, width, height);
  context.imageSmoothingEnabled = true;
  context.imageSmoothingQuality = "high";
  context.drawImage(tile(attention), x1, y1, x2 - x1, y2 - y1);
  if (box) {
    context.strokeStyle = "rgba(255, 255, 255, 0.9)";
    context.lineWidth = 2;
    context.strokeRect(x1 + 1, y1 + 1, x2 - x1 - 2, y2 - y1 - 2);
  }
}
