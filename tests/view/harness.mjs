// Programs that the browser tests start, and what they tell.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:net";
import { fileURLToPath } from "node:url";
import readline from "node:readline";

const HERE = fileURLToPath(new URL(".", import.meta.url));

// Whatever a failed test left running ends with it.
const started = [];
process.on("exit", () => started.forEach((child) => child.kill("SIGKILL")));

export async function freePort() {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address();
  server.close();
  await once(server, "close");
  return port;
}

export const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

// Waits until `get()` is true (or anything but false, null, undefined), and returns it.
export async function until(what, get, ms = 8000) {
  const end = performance.now() + ms;
  for (;;) {
    const value = await get();
    if (value !== false && value !== null && value !== undefined) return value;
    if (performance.now() > end) throw new Error(`waited ${ms} ms in vain: ${what}`);
    await sleep(30);
  }
}

export class Vehicle {
  actions = [];
  exposed = new Map(); // frame_id -> CLOCK_MONOTONIC ms

  constructor({ pictures, predictions, broadcast, actions }) {
    this.arguments = ["--pictures", pictures, "--predictions", predictions,
      "--broadcast", `tcp://127.0.0.1:${broadcast}`, "--actions", `tcp://127.0.0.1:${actions}`];
  }

  async start() {
    this.process = spawn("/usr/bin/python3", [`${HERE}fake_vehicle.py`, ...this.arguments],
      { stdio: ["pipe", "pipe", "inherit"] });
    started.push(this.process);
    this.exposed.clear();
    this.ready = false;
    readline.createInterface({ input: this.process.stdout }).on("line", (line) => {
      const event = JSON.parse(line);
      if (event.event === "ready") this.ready = true;
      else if (event.event === "frame") this.exposed.set(event.frame_id, event.exposed_ns / 1e6);
      else this.actions.push(event);
    });
    await until("the fake vehicle starts", () => this.ready);
  }

  tell(command) { this.process.stdin.write(`${command}\n`); }

  asked(name) { return this.actions.filter((a) => a.name === name).length; }

  async kill() {
    const exit = once(this.process, "exit");
    this.process.kill("SIGKILL");
    await exit;
  }
}

export class Viewer {
  output = "";
  errors = "";

  constructor(program, options) {
    this.program = program;
    this.options = options;
  }

  async start() {
    this.process = spawn(this.program, this.options, { stdio: ["ignore", "pipe", "pipe"] });
    started.push(this.process);
    this.exited = once(this.process, "exit");
    this.process.stdout.on("data", (text) => { this.output += text; });
    this.process.stderr.on("data", (text) => { this.errors += text; });
    // Its address, or undefined if it ended instead.
    this.url = await until("the viewer tells its address",
      () => (this.output + this.errors).match(/http:\S+/) ?? (this.process.exitCode === null ? null : []));
    this.url = this.url[0];
  }

  // [exit status, ms]
  async end(signal = "SIGTERM") {
    const began = performance.now();
    this.process.kill(signal);
    const [status] = await this.exited;
    return [status, performance.now() - began];
  }
}

// CLOCK_MONOTONIC in ms, as the fake vehicle reads it.
export const monotonicMs = () => Number(process.hrtime.bigint()) / 1e6;
