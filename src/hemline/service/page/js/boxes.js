// Boxes [x1, y1, x2, y2] in pixels of the photo that was sent.

export const SMALLEST = 16;
// The service crops a garment with this share of its sides around it; so does a tap on one.
export const MARGIN = 0.05;

const clamp = (value, low, high) => Math.min(high, Math.max(low, value));

export const same = (a, b, slack = 2) => Boolean(a && b) && a.every((v, i) => Math.abs(v - b[i]) <= slack);
export const area = (box) => (box[2] - box[0]) * (box[3] - box[1]);
export const inside = (box, x, y) => x >= box[0] && x <= box[2] && y >= box[1] && y <= box[3];
export const rounded = (box) => box.map((v) => Math.round(v));

export function cut([x1, y1, x2, y2], width, height) {
  return [clamp(x1, 0, width), clamp(y1, 0, height), clamp(x2, 0, width), clamp(y2, 0, height)];
}

export function grown(box, width, height) {
  const aside = MARGIN * (box[2] - box[0]);
  const above = MARGIN * (box[3] - box[1]);
  return cut([box[0] - aside, box[1] - above, box[2] + aside, box[3] + above], width, height);
}

// `part`: "move", or a corner such as "nw". Sides never pass each other nor leave the photo.
export function dragged(box, part, dx, dy, width, height) {
  let [x1, y1, x2, y2] = box;
  if (part === "move") {
    dx = clamp(dx, -x1, width - x2);
    dy = clamp(dy, -y1, height - y2);
    return [x1 + dx, y1 + dy, x2 + dx, y2 + dy];
  }
  if (part.includes("w")) x1 = clamp(x1 + dx, 0, x2 - SMALLEST);
  if (part.includes("e")) x2 = clamp(x2 + dx, x1 + SMALLEST, width);
  if (part.includes("n")) y1 = clamp(y1 + dy, 0, y2 - SMALLEST);
  if (part.includes("s")) y2 = clamp(y2 + dy, y1 + SMALLEST, height);
  return [x1, y1, x2, y2];
}

export function drawn(from, to, width, height) {
  const box = [Math.min(from.x, to.x), Math.min(from.y, to.y), Math.max(from.x, to.x), Math.max(from.y, to.y)];
  const [x1, y1, x2, y2] = cut(box, width, height);
  return x2 - x1 >= SMALLEST && y2 - y1 >= SMALLEST ? [x1, y1, x2, y2] : null;
}
