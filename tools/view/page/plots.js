// Numbers over time, all under one cursor.

const SHOWN_S = 60;
const KEPT_S = 600;
const REDRAW_MS = 200;
const HEIGHT_PX = 120;
const DEGREES = 180 / Math.PI;

const PLOTS = [
  { title: "Lateral offset", unit: "m", digits: 2, from: "state", lines: [["offset", "#56cdf2", (s) => s.lateral_offset_m]] },
  { title: "Heading error", unit: "°", digits: 1, from: "state", lines: [["error", "#56cdf2", (s) => scaled(s.heading_error_rad, DEGREES)]] },
  { title: "Steering", unit: "°", digits: 1, from: "state", lines: [
    ["asked", "#56cdf2", (s) => scaled(s.steering_rad, DEGREES)],
    ["measured", "#ffb52e", (s) => scaled(s.steering_measured_rad, DEGREES)]] },
  { title: "Speed", unit: "m/s", digits: 2, from: "state", lines: [
    ["asked", "#56cdf2", (s) => s.speed_command_mps], ["measured", "#ffb52e", (s) => s.speed_mps]] },
  { title: "Stages, p50", unit: "ms", digits: 2, from: "trace", lines: [
    ["to detect", "#56cdf2", (t) => stage(t, "camera_to_detect", 1e-3)], ["detect", "#43d69a", (t) => stage(t, "detect", 1e-3)],
    ["to control", "#c79bff", (t) => stage(t, "detect_to_control", 1e-3)], ["to actuator", "#ffb52e", (t) => stage(t, "camera_to_actuator", 1e-3)]] },
  { title: "Loop lateness", unit: "µs", digits: 0, from: "trace", lines: [
    ["p50", "#56cdf2", (t) => stage(t, "loop_lateness", 1)], ["p99", "#ffb52e", (t) => stage(t, "loop_lateness", 1, "p99_us")]] },
];

function scaled(value, factor) { return Number.isFinite(value) ? value * factor : null; }
function stage(trace, name, factor, which = "p50_us") { return scaled(trace.stages?.[name]?.[which], factor); }

export class Plots {
  #series = { state: [], trace: [] };
  #plots = [];
  #range = null; // what was zoomed to, or null: the last minute
  #heldAt = null;

  constructor(grid, state, pauseButton, allButton) {
    this.state = state;
    this.pauseButton = pauseButton;
    for (const plot of PLOTS) this.#add(grid, plot);
    pauseButton.onclick = () => { this.#heldAt = this.#heldAt === null ? Date.now() / 1e3 : null; this.#tell(); };
    allButton.onclick = () => this.#all();
    new ResizeObserver(() => this.#resize()).observe(grid);
    setInterval(() => this.#draw(), REDRAW_MS);
    this.#tell();
  }

  get charts() { return this.#plots.map(({ chart }) => chart); }

  take(from, object) {
    const rows = this.#series[from];
    const now = Date.now() / 1e3;
    rows.push([now, object]);
    if (rows.length > 100 && rows[0][0] < now - KEPT_S) rows.splice(0, 50);
  }

  #all() { this.#range = null; this.#heldAt = null; this.#tell(); this.#draw(true); }

  #tell() {
    this.pauseButton.setAttribute("aria-pressed", String(this.#heldAt !== null));
    this.pauseButton.textContent = this.#heldAt !== null ? "Go on" : "Hold still";
    this.state.textContent = this.#range ? "zoomed; double click for all" : this.#heldAt !== null ? "held still" : "drag to zoom";
  }

  #window() {
    const end = this.#heldAt ?? Date.now() / 1e3;
    return this.#range ?? [end - SHOWN_S, end];
  }

  #add(grid, spec) {
    const box = document.createElement("div");
    box.className = "plot";
    const title = document.createElement("h3");
    title.append(`${spec.title}, ${spec.unit}`);
    const values = spec.lines.map(([name, colour]) => {
      const item = document.createElement("i");
      const key = document.createElementNS("http://www.w3.org/2000/svg", "svg");
      const bar = document.createElementNS("http://www.w3.org/2000/svg", "rect");
      for (const [k, v] of [["width", "12"], ["height", "3"], ["fill", colour]]) bar.setAttribute(k, v);
      key.append(bar);
      const text = document.createElement("span");
      text.textContent = name;
      item.append(key, text);
      title.append(item);
      return text;
    });
    box.append(title);
    grid.append(box);
    const axis = { stroke: "#93a1b2", grid: { stroke: "#1f2833", width: 1 }, ticks: { show: false }, font: "11px system-ui, sans-serif" };
    const chart = new uPlot({
      width: box.clientWidth || 280, height: HEIGHT_PX,
      padding: [6, 6, 0, 0],
      legend: { show: false },
      cursor: { sync: { key: "skylane", setSeries: false }, drag: { x: true, y: false, setScale: false }, points: { size: 5 },
        bind: { dblclick: () => () => { this.#all(); return null; } } },
      scales: { x: { time: true, range: () => this.#window() },
        y: { range: (u, min, max) => padded(min, max, spec.digits) } },
      axes: [{ ...axis, size: 22, space: 70, values: (u, at) => at.map((t) => new Date(t * 1e3).toTimeString().slice(0, 8)) },
        { ...axis, size: 44, space: 20, values: (u, at) => at.map((v) => v.toFixed(spec.digits)) }],
      series: [{}, ...spec.lines.map(([, colour]) => ({ stroke: colour, width: 1.5, points: { show: false }, spanGaps: false }))],
      hooks: {
        setSelect: [(u) => {
          if (u.select.width < 5) return;
          this.#range = [u.posToVal(u.select.left, "x"), u.posToVal(u.select.left + u.select.width, "x")];
          u.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
          this.#tell();
          this.#draw(true);
        }],
        setCursor: [(u) => spec.lines.forEach(([name], i) => {
          const value = u.cursor.idx == null ? null : u.data[i + 1][u.cursor.idx];
          values[i].textContent = value == null ? name : `${name} ${value.toFixed(spec.digits)} ${spec.unit}`;
        })],
      },
    }, [[], ...spec.lines.map(() => [])], box);
    this.#plots.push({ spec, chart, box });
  }

  #draw(force = false) {
    if (document.hidden || (!force && (this.#heldAt !== null || this.#range !== null))) return;
    const [begin, end] = this.#window();
    for (const { spec, chart } of this.#plots) {
      const rows = this.#series[spec.from].filter(([t]) => t >= begin - 1 && t <= end + 1);
      chart.setData([rows.map(([t]) => t), ...spec.lines.map(([, , get]) => rows.map(([, o]) => get(o) ?? null))]);
    }
  }

  #resize() {
    for (const { chart, box } of this.#plots)
      if (box.clientWidth > 0 && box.clientWidth !== chart.width) chart.setSize({ width: box.clientWidth, height: HEIGHT_PX });
  }
}

// A little air, and never a scale so fine that noise looks like news.
function padded(min, max, digits) {
  if (min === null || max === null) return [-1, 1];
  const least = 4 / 10 ** digits;
  const air = Math.max((max - min) * 0.1, (least - (max - min)) / 2, 0);
  return [min - air, max + air];
}
