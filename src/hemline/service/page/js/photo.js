// From a file to the photo that is sent: upright, at most 1600 pixels, without EXIF.

export const LARGEST = 1600;
const SMALLEST = 32;
const MOST_BYTES = 60e6;

export class PhotoError extends Error {
  constructor(kind, name = "") {
    super(kind);
    Object.assign(this, { kind, file: name });
  }
}

// FNV-1a, twice with other starts: a name for a photo in this browser; nothing secret hangs on it.
export function hashOf(bytes) {
  let a = 0x811c9dc5;
  let b = 0x9747b28c;
  for (const byte of bytes) {
    a = Math.imul(a ^ byte, 0x01000193);
    b = Math.imul(b ^ byte, 0x85ebca6b) + 1;
  }
  return [a, b].map((part) => (part >>> 0).toString(16).padStart(8, "0")).join("");
}

async function decoded(blob, name) {
  try {
    return await createImageBitmap(blob, { imageOrientation: "from-image" });
  } catch {
    throw new PhotoError("bad", name);
  }
}

async function made(blob, width, height) {
  const hash = hashOf(new Uint8Array(await blob.arrayBuffer()));
  return { blob, width, height, hash, url: URL.createObjectURL(blob) };
}

// A person's file: drawn anew, which also leaves its EXIF behind.
export async function prepare(file) {
  if (!file || !file.size) throw new PhotoError("none");
  if (file.size > MOST_BYTES) throw new PhotoError("big", file.name);
  const bitmap = await decoded(file, file.name);
  const scale = Math.min(1, LARGEST / Math.max(bitmap.width, bitmap.height));
  const width = Math.max(1, Math.round(bitmap.width * scale));
  const height = Math.max(1, Math.round(bitmap.height * scale));
  if (Math.min(bitmap.width, bitmap.height) < SMALLEST || Math.min(width, height) < 2) {
    throw new PhotoError("small", file.name);
  }
  const canvas = document.createElement("canvas");
  Object.assign(canvas, { width, height });
  const context = canvas.getContext("2d");
  context.fillStyle = "#fff";
  context.fillRect(0, 0, width, height);
  context.imageSmoothingQuality = "high";
  context.drawImage(bitmap, 0, 0, width, height);
  bitmap.close();
  const blob = await new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", 0.92));
  if (!blob) throw new PhotoError("bad", file.name);
  return made(blob, width, height);
}

// A photo that was prepared before, or a sample: as it is.
export async function ready(blob) {
  const bitmap = await decoded(blob, "");
  const { width, height } = bitmap;
  bitmap.close();
  return made(blob, width, height);
}

// The picture file of a drop or a paste; null where there is none.
export function pictureOf(transfer) {
  const files = [...(transfer?.files ?? [])];
  return files.find((file) => file.type.startsWith("image/")) ?? files[0] ?? null;
}
