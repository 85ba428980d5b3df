// Puts the page together: what comes over the link goes where it is shown.

import { Link } from "./link.js";
import { Picture } from "./picture.js";
import { Plots } from "./plots.js";
import { Controls } from "./controls.js";
import { Settings } from "./settings.js";

const SLOW_MS = 150;
const OLD_MS = 300;
const SILENT_MS = 1000; // without a state, its words are not the present
const LOG_LINES = 100;
const MODES = { disarmed: "Disarmed", armed: "Armed", driving: "Driving", paused: "Paused", safe_stop: "Safe stop" };
const CONDITIONS = { estop: "emergency stop pressed", battery_low: "battery low", battery_empty: "battery empty",
  under_voltage: "board under-voltage", throttled: "board throttled" };
const DEGREES = 180 / Math.PI;

const $ = (id) => document.getElementById(id);
const view = { link: null, state: null, stateAt: 0, session: null, sensedHz: 0, sensed: null, broken: 0,
  age: null, oldTimer: 0, shownTimes: [] };

const fixed = (value, digits) => (Number.isFinite(value) ? value.toFixed(digits) : "–");

// A number with its unit, the unit smaller.
function put(id, number, unit) {
  const small = document.createElement("i");
  small.textContent = ` ${unit}`;
  $(id).replaceChildren(number, small);
}

// ---- the picture and its age ----

function ageOf(frame, at) {
  const clock = link.clock.best(at);
  if (clock === null || frame.boundMs === null) return null;
  return { ms: Math.max(0, at + clock.offset - frame.exposedMs), bound: clock.bound + frame.boundMs };
}

function shownHz(now = performance.now()) {
  view.shownTimes = view.shownTimes.filter((t) => t > now - 2000);
  return view.shownTimes.length / 2;
}

function onShown(frame, at) {
  view.age = { frame, at, ...(ageOf(frame, at) ?? { ms: null, bound: null }) };
  view.shownTimes.push(at);
  $("waiting").hidden = true;
  link.send({ type: "shown", frame_id: frame.id, hz: shownHz(at), ...(view.age.ms === null ? {} : { age_ms: view.age.ms }) });
  tellAge();
  tellStale();
  clearTimeout(view.oldTimer); // not only when the page looks the next time
  view.oldTimer = setTimeout(tellAge, OLD_MS - (view.age.ms ?? 0) + 1);
}

function tellStale() {
  const overlay = picture.overlay;
  $("stale").hidden = !overlay?.stale;
  if (overlay?.stale) $("stale").textContent = `stale: lane of ${picture.shown.id - overlay.frameId} frames before`;
}

// The age of the picture on the screen: as it was when drawn while pictures keep coming, and
// growing when they do not. Whether it is old is judged by how old it is now.
function tellAge() {
  const age = view.age, box = $("age");
  if (age === null) return;
  const now = performance.now();
  const waiting = now - age.at;
  const still = waiting > SLOW_MS;
  const ms = age.ms === null ? null : still ? age.ms + waiting : age.ms;
  const old = !link.open || waiting + (age.ms ?? 0) > OLD_MS;
  const level = old ? "old" : ms === null ? "none" : ms > SLOW_MS ? "slow" : "good";
  box.dataset.level = level;
  $("age-live").textContent = { old: "not live", none: "age unknown", slow: "slow", good: "live" }[level];
  const said = ms === null ? "–" : ms >= 10000 ? `${(ms / 1000).toFixed(0)} s` : `${ms.toFixed(0)} ms ± ${Math.ceil(age.bound)}`;
  $("age-text").textContent = `${still ? "picture's age" : "capture to screen"} ${said}`;
}

// ---- the link ----

function tellLink() {
  const badge = $("link");
  const now = performance.now();
  let state = "viewer", words;
  if (!link.open) {
    words = `no viewer; reconnecting for ${Math.round((now - link.lostAt) / 1000)} s`;
  } else if (view.link === null) {
    state = "connecting";
    words = "connecting";
  } else {
    state = view.link.state;
    const clock = link.clock.best(now);
    const since = clock === null ? 0 : Math.max(0, (now + clock.offset - view.link.since_ns / 1e6) / 1000);
    words = { live: "live", no_vehicle: "no vehicle: its control does not run",
      connecting: `no vehicle yet at ${view.link.endpoint}, for ${since.toFixed(0)} s`,
      reconnecting: `vehicle lost; reconnecting for ${since.toFixed(0)} s` }[state];
    if (view.link.refused && (state === "connecting" || state === "reconnecting"))
      words = "not let in: pair this laptop (skylane pair), or pair it again";
  }
  badge.dataset.state = state;
  if (badge.textContent !== words) badge.textContent = words;
  const unsure = now - view.stateAt > SILENT_MS;
  $("mode-card").classList.toggle("unsure", unsure);
  $("alerts").classList.toggle("unsure", unsure);
}

function onLink(message) {
  view.link = message;
  $("vehicle").textContent = message.vehicle;
  $("insecure").hidden = !message.insecure;
  document.title = message.vehicle ? `${message.vehicle} – skylane` : "skylane";
  put("n-clock", message.clock.known ? `± ${(message.clock.bound_us / 1e3).toFixed(2)} ms` : "not known yet",
    message.garbage > 0 ? `· ${message.garbage} unreadable messages: ${message.garbage_text}` : "");
  tellRates();
}

function tellRates() {
  const l = view.link, sends = view.state?.sends;
  if (l === null) return;
  put("n-rate", `${fixed(view.sensedHz, 0)} / ${fixed(l.received_hz, 0)} / ${fixed(shownHz(), 0)}`, "");
  put("n-drops", `rate ${sends?.dropped?.rate ?? "–"}, overrun ${sends?.dropped?.overrun ?? "–"}`,
    `on the vehicle · lost ${l.dropped.lost}, overtaken ${l.dropped.overtaken}${view.broken ? `, broken ${view.broken}` : ""} on the way`);
}

// ---- the state ----

function onState(state, arrivedMs) {
  if (view.session !== state.session) {
    view.session = state.session;
    view.sensed = null;
    picture.forget(); // frame ids may begin again
  }
  view.state = state;
  view.stateAt = performance.now();
  countSensed(state, arrivedMs);
  controls.state(state);
  plots.take("state", state);
  settings.take(state.settings);
  const mode = state.connected === false ? "none" : state.mode;
  const told = (state.conditions ?? []).map((name) => CONDITIONS[name] ?? name);
  if (Number.isFinite(state.battery_v)) told.push(`battery ${state.battery_v.toFixed(1)} V`);
  $("mode-card").dataset.mode = mode;
  $("mode").textContent = mode === "none" ? "Not running" : MODES[mode] ?? String(mode);
  $("why").textContent = state.connected === false ? "“skylane run” does not publish on the vehicle: start it there."
    : (state.stop_reason ?? "none") === "none" ? ""
    : `${mode === "safe_stop" ? "" : "Last stop: "}${state.stop_text ?? state.stop_reason}`;
  const lease = state.lease?.demanded_ms > 0 ? ` · permitted for ${fixed(state.lease.left_ms, 0)} ms` : "";
  $("driver").textContent = (state.driver ? `${state.driver} drives` : "Nobody has taken over") + lease +
    (mode === "none" ? "" : told.map((text) => ` · ${text}`).join(""));
  tellAlerts(state.alerts);
  if (state.figures) tellProcesses(state.figures);
  put("n-offset", fixed(scale(state.lateral_offset_m, 100), 1), "cm");
  put("n-heading", fixed(scale(state.heading_error_rad, DEGREES), 1), "°");
  put("n-lane", { two_lines: "two lines", one_line: "one line", lost: "lost" }[state.lane_state] ?? "–",
    Number.isFinite(state.confidence) ? `${(100 * state.confidence).toFixed(0)} %` : "");
  put("n-steering", `${fixed(scale(state.steering_rad, DEGREES), 1)} / ${fixed(scale(state.steering_measured_rad, DEGREES), 1)}`, "°");
  put("n-speed", `${fixed(state.speed_command_mps, 2)} / ${fixed(state.speed_mps, 2)}`, "m/s");
}

// Said anew only when something changed, so that screen readers say it once.
function tellAlerts(alerts = []) {
  const list = $("alerts");
  const now = JSON.stringify(alerts.map(({ name, level, text }) => [name, level, text]));
  if (list.dataset.told === now) return;
  list.dataset.told = now;
  list.replaceChildren(...alerts.map(({ level, text }) => {
    const item = document.createElement("li");
    const head = document.createElement("b");
    item.dataset.level = head.textContent = level === "critical" ? "critical" : "warning";
    item.append(head, String(text ?? ""));
    return item;
  }));
  list.hidden = alerts.length === 0;
}

function tellProcesses(figures) {
  const { process_cpu_ratio: cpu = {}, process_memory_bytes: memory = {} } = figures;
  const lines = Object.keys(memory).map((name) =>
    `${name} ${fixed(scale(cpu[name], 100), 1)} % / ${fixed(scale(memory[name], 1e-6), 0)} MB`);
  $("n-processes").textContent = lines.join(", ") || "–";
}

// null (nothing measures) stays nothing, not 0.
function scale(value, factor) { return typeof value === "number" ? value * factor : NaN; }

function countSensed(state, arrivedMs) {
  const sensed = state.sends?.frames_sensed;
  if (!Number.isFinite(sensed)) return;
  if (view.sensed === null) view.sensed = { count: sensed, at: arrivedMs };
  const since = (arrivedMs - view.sensed.at) / 1000;
  if (since < 1) return;
  view.sensedHz = Math.max(0, sensed - view.sensed.count) / since;
  view.sensed = { count: sensed, at: arrivedMs };
}

function onLog(log) {
  const line = document.createElement("li");
  line.className = ["warning", "error"].includes(log.level) ? log.level : "info";
  const time = document.createElement("time");
  time.textContent = new Date().toTimeString().slice(0, 8);
  line.append(time, String(log.text ?? ""));
  $("log-lines").prepend(line);
  if ($("log-lines").children.length > LOG_LINES) $("log-lines").lastChild.remove();
}

function onMessage(message) {
  switch (message.type) {
  case "link": onLink(message); tellLink(); break;
  case "state": onState(message.state, message.sent_viewer_ns / 1e6); break;
  case "detection": picture.detection(message.detection); break;
  case "trace": plots.take("trace", message.trace); break;
  case "log": onLog(message.log); break;
  }
}

// ---- together ----

const picture = new Picture($("picture"), {
  onShown,
  onBroken: (frame) => { view.broken++; link.send({ type: "shown", frame_id: frame.id }); },
});
const link = new Link({
  message: onMessage,
  frame: (frame) => { if (frame) picture.frame(frame); else { view.broken++; link.send({ type: "shown" }); } },
  change: (open) => { if (open) controls.opened(); tellLink(); },
});
const controls = new Controls(link);
const plots = new Plots($("plot-grid"), $("plots-state"), $("plots-pause"), $("plots-all"));
const settings = new Settings($("settings-rows"), $("settings-none"), (name, args) => controls.ask(name, args));
for (const layer of ["lines", "fill", "path", "offset"])
  $(`layer-${layer}`).onchange = (e) => { picture.layers[layer] = e.target.checked; picture.redraw(); };
setInterval(() => { tellAge(); tellStale(); tellLink(); }, 100);

// For tests, and for the curious at the console.
window.skylane = { view, picture, link, plots };
