// The camera's picture and, drawn over it, the lane that was found in that very frame.

const KEPT = 120; // detections: some seconds
const COLOURS = { left: "#56cdf2", right: "#ffb52e", fill: "rgb(67 214 154 / 22%)", path: "#ffffff", stale: "#b9c2cd" };

export class Picture {
  shown = null;   // the frame on the screen
  overlay = null; // {frameId, stale} of what is drawn over it
  layers = { lines: true, fill: true, path: true, offset: true };
  #detections = new Map();
  #bitmap = null;
  #dirty = false;
  #ratio = "";

  // onShown(frame, drawnAtMs) after a frame is drawn; onBroken() if it is no picture.
  constructor(canvas, { onShown, onBroken }) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d", { alpha: false });
    this.onShown = onShown;
    this.onBroken = onBroken;
    new ResizeObserver(() => this.redraw()).observe(canvas.parentElement);
  }

  detection(detection) {
    const id = detection.frame_id;
    this.#detections.delete(id);
    this.#detections.set(id, detection);
    if (this.#detections.size > KEPT) this.#detections.delete(this.#detections.keys().next().value);
    if (this.shown !== null && id === this.shown.id) this.redraw();
  }

  forget() { this.#detections.clear(); }

  async frame(frame) {
    let bitmap;
    try {
      bitmap = await createImageBitmap(frame.jpeg);
    } catch {
      this.onBroken(frame);
      return;
    }
    requestAnimationFrame(() => {
      this.#bitmap?.close();
      this.#bitmap = bitmap;
      this.shown = frame;
      this.#draw();
      this.onShown(frame, performance.now());
    });
  }

  redraw() {
    if (this.#dirty || this.#bitmap === null) return;
    this.#dirty = true;
    requestAnimationFrame(() => { this.#dirty = false; this.#draw(); });
  }

  // The frame's own detection, else the newest older one.
  #find() {
    const own = this.#detections.get(this.shown.id);
    if (own) return { detection: own, stale: false };
    let newest = null;
    for (const d of this.#detections.values())
      if (d.frame_id < this.shown.id && (newest === null || d.frame_id > newest.frame_id)) newest = d;
    return newest && { detection: newest, stale: true };
  }

  #fit() {
    const { width, height } = this.#bitmap;
    const box = this.canvas.parentElement;
    const ratio = `${width} / ${height}`;
    if (this.#ratio !== ratio) box.style.aspectRatio = this.#ratio = ratio;
    const scale = Math.min(box.clientWidth / width, box.clientHeight / height);
    const dpr = Math.min(window.devicePixelRatio || 1, 2);
    const w = Math.max(1, Math.round(width * scale * dpr)), h = Math.max(1, Math.round(height * scale * dpr));
    if (this.canvas.width !== w || this.canvas.height !== h) {
      this.canvas.width = w;
      this.canvas.height = h;
      this.canvas.style.width = `${w / dpr}px`;
      this.canvas.style.height = `${h / dpr}px`;
    }
    return dpr;
  }

  #draw() {
    const dpr = this.#fit();
    const c = this.context;
    c.setTransform(1, 0, 0, 1, 0, 0);
    c.drawImage(this.#bitmap, 0, 0, this.canvas.width, this.canvas.height);
    const found = this.#find();
    this.overlay = found && { frameId: found.detection.frame_id, stale: found.stale };
    if (!found) return;
    const d = found.detection;
    const scale = { x: this.canvas.width / this.shown.sourceWidth, y: this.canvas.height / this.shown.sourceHeight };
    const line = (side) => side?.seen && Array.isArray(side.points_px)
      ? side.points_px.filter((p) => Array.isArray(p) && Number.isFinite(p[0]) && Number.isFinite(p[1]))
        .map(([x, y]) => [x * scale.x, y * scale.y]) : [];
    const left = line(d.left), right = line(d.right);
    c.lineCap = c.lineJoin = "round";
    c.setLineDash(found.stale ? [10 * dpr, 8 * dpr] : []);
    const colour = (name) => (found.stale ? COLOURS.stale : COLOURS[name]);
    if (this.layers.fill && !found.stale && left.length > 1 && right.length > 1) {
      c.fillStyle = COLOURS.fill;
      c.beginPath();
      trace(c, left);
      [...right].reverse().forEach(([x, y]) => c.lineTo(x, y));
      c.closePath();
      c.fill();
    }
    if (this.layers.lines) {
      for (const [name, points] of [["left", left], ["right", right]]) stroke(c, points, colour(name), 3 * dpr, dpr);
    }
    const middle = centre(left, right);
    if (middle.length < 2) return;
    if (this.layers.path) stroke(c, ahead(middle, d), colour("path"), 2 * dpr, dpr);
    if (this.layers.offset) this.#drawOffset(middle, d, dpr, found.stale);
  }

  // Where the lane's middle is, and where the vehicle, on the nearest row.
  #drawOffset(middle, d, dpr, stale) {
    if (!Number.isFinite(d.lateral_offset_m)) return;
    const c = this.context;
    const row = middle[Math.min(2, middle.length - 1)];
    const at = row.x - d.lateral_offset_m / (d.lane_width_m / row.width);
    const y = row.y;
    c.setLineDash([]);
    c.strokeStyle = stale ? COLOURS.stale : "#43d69a";
    c.lineWidth = 2 * dpr;
    c.beginPath();
    c.moveTo(row.x, y - 12 * dpr);
    c.lineTo(row.x, y + 12 * dpr);
    c.moveTo(row.x, y);
    c.lineTo(at, y);
    c.stroke();
    c.fillStyle = stale ? COLOURS.stale : "#ffffff";
    c.beginPath();
    c.moveTo(at, y - 9 * dpr);
    c.lineTo(at - 6 * dpr, y - 19 * dpr);
    c.lineTo(at + 6 * dpr, y - 19 * dpr);
    c.fill();
    const cm = Math.round(d.lateral_offset_m * 100);
    const text = cm === 0 ? "in the middle" : `${Math.abs(cm)} cm ${cm > 0 ? "left" : "right"}`;
    c.font = `600 ${13 * dpr}px system-ui, sans-serif`;
    c.textAlign = "center";
    c.lineWidth = 4 * dpr;
    c.strokeStyle = "rgb(0 0 0 / 75%)";
    c.strokeText(text, row.x, y - 26 * dpr);
    c.fillText(text, row.x, y - 26 * dpr);
  }
}

function trace(c, points) {
  points.forEach(([x, y], i) => (i === 0 ? c.moveTo(x, y) : c.lineTo(x, y)));
}

function stroke(c, points, colour, width, dpr) {
  if (points.length < 2) return;
  c.beginPath();
  trace(c, points);
  c.strokeStyle = "rgb(0 0 0 / 55%)"; // a dark seam, to stand out from white paint
  c.lineWidth = width + 2 * dpr;
  c.stroke();
  c.strokeStyle = colour;
  c.lineWidth = width;
  c.stroke();
}

// The lane's middle where both lines have a point, near to far: {x, y, width}.
function centre(left, right) {
  const middle = [];
  for (const [lx, y] of left) {
    const at = right.findIndex((p, i) => i > 0 && (right[i - 1][1] - y) * (p[1] - y) <= 0);
    if (at < 1) continue;
    const [a, b] = [right[at - 1], right[at]];
    const t = b[1] === a[1] ? 0 : (y - a[1]) / (b[1] - a[1]);
    const rx = a[0] + t * (b[0] - a[0]);
    if (rx > lx + 1) middle.push({ x: (lx + rx) / 2, y, width: rx - lx });
  }
  return middle;
}

// Where the vehicle goes with straight wheels. In the lane's own coordinates it is
// offset + heading * x - curvature * x^2 / 2 left of the middle at distance x (from the rear axle).
// The lane's width in pixels tells metres per pixel on each row and, since it shrinks with the
// distance from the camera, x itself: x = a + k / width, with a and k from the nearest and farthest row.
function ahead(middle, d) {
  const nearest = Math.max(d.left.x_min_m, d.right.x_min_m), farthest = Math.min(d.left.x_max_m, d.right.x_max_m);
  const [first, last] = [1 / middle[0].width, 1 / middle.at(-1).width];
  if (!(farthest > nearest) || !(last > first)) return [];
  const k = (farthest - nearest) / (last - first);
  const points = [];
  for (const { x, y, width } of middle) {
    const far = nearest + k * (1 / width - first);
    const side = (d.lateral_offset_m || 0) + (d.heading_error_rad || 0) * far - (d.curvature_1pm || 0) * far * far / 2;
    const px = x - side * width / d.lane_width_m;
    if (Math.abs(px - x) > width) break;
    points.push([px, y]);
  }
  return points;
}
