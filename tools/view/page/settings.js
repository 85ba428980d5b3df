// The live settings that the vehicle tells, to be changed and undone.

import { toast } from "./controls.js";

const ROWS_MAX = 200; // more is not a vehicle

export class Settings {
  #rows = new Map();

  constructor(box, none, ask) {
    this.box = box;
    this.none = none;
    this.ask = ask;
  }

  take(settings) {
    if (!Array.isArray(settings)) return;
    this.none.hidden = settings.length > 0;
    for (const s of settings) {
      if (typeof s?.key !== "string") continue;
      if (!this.#rows.has(s.key) && this.#rows.size >= ROWS_MAX) continue;
      const row = this.#rows.get(s.key) ?? this.#add(s);
      row.told = s.value;
      row.box.classList.toggle("changed", s.value !== s.default);
      if (document.activeElement !== row.input && !row.busy) show(row, s.value);
    }
  }

  #add(s) {
    const id = `setting-${this.#rows.size}`;
    const box = document.createElement("div");
    box.className = "setting";
    const label = document.createElement("label");
    label.htmlFor = id;
    label.textContent = s.key;
    const field = document.createElement("div");
    field.className = "field";
    const input = document.createElement("input");
    input.id = id;
    input.setAttribute("aria-describedby", `${id}-help`);
    input.type = typeof s.value === "boolean" ? "checkbox" : typeof s.value === "number" ? "number" : "text";
    if (input.type === "number") {
      input.min = s.min;
      input.max = s.max;
      input.step = "any";
      input.inputMode = "decimal";
    }
    const unit = document.createElement("span");
    unit.className = "unit";
    unit.textContent = s.unit || "";
    field.append(input, unit);
    const undo = document.createElement("button");
    undo.type = "button";
    undo.className = "quiet";
    undo.textContent = "Undo";
    undo.disabled = true;
    undo.setAttribute("aria-label", `Undo the last change of ${s.key}`);
    const help = document.createElement("p");
    help.className = "help";
    help.id = `${id}-help`;
    const range = Number.isFinite(s.min) && Number.isFinite(s.max) ? ` ${s.min} to ${s.max}${s.unit ? ` ${s.unit}` : ""},` : "";
    help.textContent = `${s.help ?? ""};${range} default ${s.default}`;
    box.append(label, field, undo, help);
    this.box.append(box);
    const row = { key: s.key, box, input, undo, told: s.value, past: [], busy: false };
    this.#rows.set(s.key, row);
    input.addEventListener("change", () => this.#set(row, read(input), true));
    input.addEventListener("keydown", (e) => {
      if (e.key === "Escape") { show(row, row.told); input.blur(); }
      if (e.key === "Enter") input.blur();
    });
    undo.onclick = () => this.#set(row, row.past.at(-1), false);
    return row;
  }

  async #set(row, value, remember) {
    if (value === row.told) return;
    if (typeof value === "number" && !Number.isFinite(value)) {
      show(row, row.told);
      toast("Setting: not sent.", `${row.key} takes a number.`, false);
      return;
    }
    const before = row.told;
    row.busy = true;
    const answer = await this.ask("set", { key: row.key, value });
    row.busy = false;
    if (answer.accepted) {
      if (remember) row.past.push(before);
      else row.past.pop();
      row.told = value;
    }
    show(row, row.told);
    row.undo.disabled = row.past.length === 0;
  }
}

function read(input) {
  return input.type === "checkbox" ? input.checked : input.type === "number" ? input.valueAsNumber : input.value;
}

function show(row, value) {
  if (row.input.type === "checkbox") row.input.checked = value === true;
  else row.input.value = value;
}
