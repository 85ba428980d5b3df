// The WebSocket to the viewer: comes back by itself, and knows the viewer's clock.
// The protocol is described in tools/view/websocket.h.

const HEADER_BYTES = 64;
const UNKNOWN_US = 0xffffffff;
const SAMPLES = 16;
const DRIFT = 1e-4; // two crystals of 50 ppm each
const RETRY_MIN_MS = 200;
const RETRY_MAX_MS = 2000;
const SILENCE_MS = 3000;

export function readFrame(buffer) {
  if (buffer.byteLength <= HEADER_BYTES) return null;
  const view = new DataView(buffer);
  const header = view.getUint16(6, true);
  if (view.getUint32(0, false) !== 0x534b5946 || view.getUint16(4, true) !== 1 ||
      header < HEADER_BYTES || header >= buffer.byteLength) return null;
  const u64 = (at) => Number(view.getBigUint64(at, true));
  const bound = view.getUint32(40, true);
  return {
    id: u64(8),
    exposedMs: u64(16) / 1e6,
    boundMs: bound === UNKNOWN_US ? null : bound / 1e3,
    width: view.getUint32(44, true),
    height: view.getUint32(48, true),
    sourceWidth: view.getUint32(52, true),
    sourceHeight: view.getUint32(56, true),
    jpeg: new Blob([new Uint8Array(buffer, header)], { type: "image/jpeg" }),
  };
}

// The offset between performance.now() and the viewer's clock, as NTP does it.
export class Clock {
  samples = [];

  add(askedMs, viewerMs, arrivedMs) {
    if (!(arrivedMs >= askedMs) || !Number.isFinite(viewerMs)) return;
    this.samples.push({ offset: viewerMs - (askedMs + arrivedMs) / 2, trip: arrivedMs - askedMs, at: arrivedMs });
    if (this.samples.length > SAMPLES) this.samples.shift();
  }

  // {offset, bound} in ms, or null while nothing is known.
  best(now = performance.now()) {
    let best = null;
    for (const s of this.samples) {
      const bound = s.trip / 2 + (now - s.at) * DRIFT;
      if (best === null || bound < best.bound) best = { offset: s.offset, bound };
    }
    return best;
  }
}

export class Link {
  clock = new Clock();
  open = false;
  lostAt = performance.now();
  #socket = null;
  #retryMs = RETRY_MIN_MS;
  #pings = 0;
  #heardAt = 0;
  #number = 0;
  #waiting = new Map();

  // handlers: message(object), frame(object), change(open)
  constructor(handlers) {
    this.handlers = handlers;
    this.#connect();
    setInterval(() => this.#look(), 1000);
  }

  send(object) {
    if (this.open) this.#socket.send(JSON.stringify(object));
    return this.open;
  }

  // Resolves with the answer: {name, accepted, reason, text}.
  ask(name, args, expiresMs) {
    const id = `b${++this.#number}`;
    const message = { type: "action", id, name };
    if (args) message.args = args;
    if (expiresMs) message.expires_ms = Math.round(expiresMs);
    if (!this.send(message)) {
      return Promise.resolve({ name, accepted: false, reason: "no_viewer",
        text: "The page has lost the viewer (is “skylane view” running?); it keeps trying." });
    }
    return new Promise((resolve) => this.#waiting.set(id, resolve));
  }

  #connect() {
    const url = new URL("socket", location.href);
    url.protocol = location.protocol === "https:" ? "wss:" : "ws:";
    url.search = location.search; // the token, if there is one
    const socket = new WebSocket(url, "skylane-view");
    socket.binaryType = "arraybuffer";
    this.#socket = socket;
    socket.onopen = () => {
      this.open = true;
      this.#retryMs = RETRY_MIN_MS;
      this.#heardAt = performance.now();
      this.clock = new Clock(); // another viewer, perhaps of another boot
      this.#pings = 0;
      this.#ping();
      this.handlers.change(true);
    };
    socket.onmessage = (event) => {
      this.#heardAt = performance.now();
      if (typeof event.data === "string") this.#hear(event.data);
      else this.handlers.frame(readFrame(event.data));
    };
    socket.onclose = () => {
      if (this.#socket !== socket) return;
      if (this.open) this.lostAt = performance.now();
      this.open = false;
      for (const [id, resolve] of this.#waiting) {
        this.#waiting.delete(id);
        resolve({ name: "", accepted: false, reason: "no_viewer",
          text: "The page lost the viewer before an answer came." });
      }
      this.handlers.change(false);
      setTimeout(() => this.#connect(), this.#retryMs);
      this.#retryMs = Math.min(RETRY_MAX_MS, this.#retryMs * 2);
    };
  }

  #hear(text) {
    const message = JSON.parse(text);
    if (message.type === "pong") {
      this.clock.add(message.t, message.viewer_ns / 1e6, performance.now());
      if (this.#pings < 5) this.#ping();
    } else if (message.type === "answer") {
      this.#waiting.get(message.id)?.(message);
      this.#waiting.delete(message.id);
    } else {
      this.handlers.message(message);
    }
  }

  #ping() {
    this.#pings++;
    this.send({ type: "ping", t: performance.now() });
  }

  #look() {
    if (!this.open) return;
    // The viewer tells its link's state twice a second; silence is a lost link.
    if (performance.now() - this.#heardAt > SILENCE_MS) {
      const socket = this.#socket;
      socket.close();
      socket.onclose(); // now, not after the closing handshake's patience
      this.#socket = null;
    } else {
      this.#ping();
    }
  }
}
