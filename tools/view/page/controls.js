// Buttons, keys, and what the vehicle answered.

const HOLD_MS = 1000;
const READ_MS = { accepted: 4000, refused: 12000 };
const STOP_LATE_MS = 10000;
const DOES = { stop: "Stop", arm: "Arm", disarm: "Disarm", pause: "Pause", resume: "Resume", respawn: "Respawn",
  drive: "Take over", release: "Let go", set: "Setting", permit: "Permission to drive" };

export function toast(title, text, accepted) {
  const box = document.createElement("div");
  box.className = accepted ? "toast accepted" : "toast refused";
  const words = document.createElement("p");
  const head = document.createElement("b");
  head.textContent = title;
  words.append(head, text ? ` ${text}` : "");
  const close = document.createElement("button");
  close.type = "button";
  close.textContent = "×";
  close.setAttribute("aria-label", "Close");
  close.onclick = () => box.remove();
  box.append(words, close);
  const all = document.getElementById("toasts");
  all.append(box);
  while (all.children.length > 4) all.firstChild.remove();
  // While somebody points at it, it stays.
  const end = () => (box.matches(":hover, :focus-within") ? setTimeout(end, 1000) : box.remove());
  setTimeout(end, accepted ? READ_MS.accepted : READ_MS.refused);
}

export class Controls {
  #mode = "";
  #hold = null;
  #drives = false; // this page was let drive, and renews its permission
  #permitTimer = null;
  #lease = 0;
  #stopWanted = 0;

  constructor(link) {
    this.link = link;
    const on = (id, action) => { document.getElementById(id).onclick = action; };
    on("stop", () => this.stop());
    on("pause", () => this.pauseOrResume());
    for (const name of ["disarm", "respawn", "drive", "release"]) on(name, () => this.ask(name));
    this.#holdToArm(document.getElementById("arm"));
    // In the capture phase on the window: before any input or button can have it.
    window.addEventListener("keydown", (e) => this.#key(e), { capture: true });
    window.addEventListener("keyup", (e) => this.#keyUp(e), { capture: true });
    window.addEventListener("blur", () => this.#letGo());
  }

  async ask(name, args) {
    const answer = await this.link.ask(name, args);
    this.#answered({ ...answer, name });
    return answer;
  }

  async stop() {
    this.#letGo();
    this.#drives = false;
    if (!this.link.open) {
      this.#stopWanted = performance.now();
      toast("Stop was not sent:", "the page has lost the viewer. It goes out if the viewer is back within 10 s.", false);
      return;
    }
    this.#stopWanted = 0;
    await this.ask("stop");
  }

  // The link is there again: a stop that could not go out is still meant.
  opened() {
    if (this.#stopWanted > 0 && performance.now() - this.#stopWanted < STOP_LATE_MS) this.stop();
    this.#stopWanted = 0;
  }

  pauseOrResume() { return this.ask(this.#mode === "paused" ? "resume" : "pause"); }

  state(state) {
    this.#mode = state.mode;
    document.getElementById("pause-text").textContent = state.mode === "paused" ? "Resume" : "Pause";
    const lease = state.lease?.demanded_ms || 0;
    if (lease !== this.#lease) {
      this.#lease = lease;
      clearInterval(this.#permitTimer);
      this.#permitTimer = lease > 0 ? setInterval(() => this.#permit(), Math.max(50, lease / 3)) : null;
    }
  }

  // Driving is permitted only while somebody can see this page.
  async #permit() {
    if (!this.#drives || document.hidden || !this.link.open) return;
    const answer = await this.link.ask("permit", undefined, Math.min(60000, this.#lease));
    if (!answer.accepted && this.#drives) {
      this.#drives = false;
      this.#answered({ ...answer, name: "permit" });
    }
  }

  #answered({ name, accepted, text }) {
    if (accepted && ["arm", "drive", "resume"].includes(name)) this.#drives = true;
    if (["release", "disarm"].includes(name) && accepted) this.#drives = false;
    toast(`${DOES[name] ?? name}: ${accepted ? "accepted." : "refused."}`, text, accepted);
  }

  // ---- arming: a press that lasts ----

  #holdToArm(button) {
    button.addEventListener("pointerdown", (e) => { if (e.button === 0) { button.setPointerCapture(e.pointerId); this.#begin(); } });
    for (const end of ["pointerup", "pointercancel", "lostpointercapture"]) button.addEventListener(end, () => this.#letGo(true));
    button.addEventListener("contextmenu", (e) => e.preventDefault()); // a long touch means arming
    button.addEventListener("pointermove", (e) => {
      const r = button.getBoundingClientRect();
      if (e.clientX < r.left || e.clientX > r.right || e.clientY < r.top || e.clientY > r.bottom) this.#letGo();
    });
  }

  #begin() {
    if (this.#hold !== null) return;
    const began = performance.now();
    const button = document.getElementById("arm");
    const step = () => {
      const share = Math.min(1, (performance.now() - began) / HOLD_MS);
      button.style.setProperty("--hold", share);
      if (share < 1) { this.#hold = requestAnimationFrame(step); return; }
      this.#hold = null;
      button.style.setProperty("--hold", 0);
      this.ask("arm");
    };
    this.#hold = requestAnimationFrame(step);
  }

  #letGo(tell = false) {
    if (this.#hold === null) return;
    cancelAnimationFrame(this.#hold);
    this.#hold = null;
    document.getElementById("arm").style.setProperty("--hold", 0);
    if (tell) toast("Not armed:", "press and hold for a whole second.", false);
  }

  // ---- keys ----

  #key(e) {
    if (e.code === "Space") {
      e.preventDefault();
      e.stopImmediatePropagation();
      if (!e.repeat) this.stop();
      return;
    }
    const typing = e.target instanceof Element && e.target.matches("input:not([type=checkbox]), textarea, select");
    if (e.ctrlKey || e.metaKey || e.altKey || typing) return;
    const key = e.key.toLowerCase();
    if (key === "a" || (e.key === "Enter" && e.target.id === "arm")) {
      e.preventDefault();
      if (!e.repeat) this.#begin();
    } else if (e.repeat) {
      return;
    } else if (key === "p") {
      this.pauseOrResume();
    } else if (key === "r") {
      this.ask("respawn");
    }
  }

  #keyUp(e) {
    // A button that has the focus would be pressed by the space bar's way up.
    if (e.code === "Space") { e.preventDefault(); e.stopImmediatePropagation(); }
    if (e.key.toLowerCase() === "a" || e.key === "Enter") this.#letGo(true);
  }
}
