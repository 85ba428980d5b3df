// What a user does after `tools/demo`: the simulator, the vehicle, its network process and the page,
// all real, in a real browser.
//
// node drive_test.mjs BIN_DIR MODULES CHROMIUM
import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { Viewer, freePort, sleep, until } from "./harness.mjs";

const [bin, modules, executablePath] = process.argv.slice(2);
const { chromium } = createRequire(`${modules}/`)("playwright-core");
const SIZES = { desktop: { width: 1280, height: 800 }, phone: { width: 390, height: 844 } };

// The machine also draws the world and the page: what takes long here is not what is tried.
const options = ["--drive", "--headless", "--track", "oval", "--rate", "30", "--viewer", "web", "--web-port", "0",
  "--broadcast-url", `tcp://127.0.0.1:${await freePort()}`, "-o", `net.actions=tcp://127.0.0.1:${await freePort()}`,
  "-o", "net.metrics=", "-o", "safety.miss_limit=1000000", "-o", "safety.camera_stall_ms=2000",
  "-o", "safety.detector_stall_ms=2000"];
const simulator = new Viewer(`${bin}/skylane-sim`, options);

const text = (page, id) => page.locator(`#${id}`).textContent();
const mode = (page, wanted) => until(`mode ${wanted}`, async () => (await text(page, "mode")) === wanted, 20000);
const speed = async (page) => parseFloat((await text(page, "n-speed")).split("/")[1]);
const setting = (page, key) => page.locator(".setting", { has: page.locator(`label:text-is("${key}")`) });

async function look(page) {
  return page.evaluate(() => {
    const { picture } = window.skylane;
    return picture.shown ? { id: picture.shown.id, overlay: picture.overlay } : null;
  });
}

async function drivesOnScreen(page) {
  await mode(page, "Driving");
  const first = await until("a picture", () => look(page), 20000);
  await until("the picture moves, with its own lane", async () => {
    const now = await look(page);
    return now.id > first.id + 10 && now.overlay?.frameId === now.id && !now.overlay.stale;
  }, 20000);
  await until("its age is told", async () => /\d+ ms ± \d+/.test(await text(page, "age-text")));
  await until("it moves", async () => await speed(page) > 1, 20000);
  await until("the plots are drawn", () => page.evaluate(() =>
    [...document.querySelectorAll(".uplot canvas")].length >= 3));
}

async function pausesAndResumes(page) {
  await page.keyboard.press("p");
  await mode(page, "Paused");
  await until("it stands", async () => await speed(page) < 0.1, 20000);
  await page.keyboard.press("p");
  await mode(page, "Driving");
}

async function respawns(page) {
  await page.locator("#respawn").click();
  await until("respawn is answered", async () =>
    (await page.locator(".toast").allTextContents()).some((t) => /Respawn/.test(t)));
  await mode(page, "Driving");
}

async function changesAGain(page, value) {
  const row = setting(page, "control.lookahead_time_s");
  await row.locator("input").fill(String(value));
  await row.locator("input").press("Enter");
  await until("the vehicle tells the new value", async () =>
    page.evaluate((v) => window.skylane.view.state.settings?.some(
      (s) => s.key === "control.lookahead_time_s" && s.value === v) || null, value), 10000);
}

async function stops(page) {
  await page.keyboard.press("Space");
  await mode(page, "Safe stop");
  assert.match(await text(page, "why"), /a stop was requested/);
  await until("it stands", async () => await speed(page) < 0.1, 20000);
}

async function armsAgain(page) {
  await page.keyboard.down("a");
  await sleep(1300);
  await page.keyboard.up("a");
  await mode(page, "Driving");
}

await simulator.start();
const browser = await chromium.launch({ executablePath, args: ["--no-sandbox"] });
let step = "start";
try {
  let value = 0.6;
  for (const [size, viewport] of Object.entries(SIZES)) {
    const context = await browser.newContext({ viewport, hasTouch: size === "phone" });
    const page = await context.newPage();
    await page.goto(simulator.url);
    for (const [name, test] of Object.entries({ drivesOnScreen, pausesAndResumes, respawns, changesAGain, stops, armsAgain })) {
      const began = performance.now();
      step = `${size}: ${name}`;
      // Whoever drove before has to be relieved.
      if (name === "pausesAndResumes") await page.locator("#drive").click();
      await test(page, value);
      console.log(`ok      ${step} (${Math.round(performance.now() - began)} ms)`);
    }
    value += 0.05;
    await context.close();
  }
  step = "end";
  const [status] = await simulator.end("SIGINT");
  assert.equal(status, 0, simulator.errors);
  console.log("all is well");
} catch (error) {
  console.log(`FAILED  ${step}\n${error.stack}\n${simulator.output}\n${simulator.errors}`);
  process.exitCode = 1;
} finally {
  await browser.close();
  simulator.process.kill("SIGKILL");
}
process.exit(process.exitCode ?? 0);
