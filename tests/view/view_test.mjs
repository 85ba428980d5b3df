// The viewer with a fake vehicle and a real browser, at the sizes of a desktop and of a phone.
//
// node view_test.mjs PROGRAM PICTURES PREDICTIONS MODULES CHROMIUM [SCREENSHOTS]
import assert from "node:assert/strict";
import { createRequire } from "node:module";
import http from "node:http";
import { Vehicle, Viewer, freePort, monotonicMs, sleep, until } from "./harness.mjs";

const [program, pictures, predictions, modules, executablePath, screenshots] = process.argv.slice(2);
const { chromium } = createRequire(`${modules}/`)("playwright-core");
const SIZES = { desktop: { width: 1280, height: 800 }, phone: { width: 390, height: 844 } };

const broadcast = await freePort(), actions = await freePort();
const LINK = ["--vehicle", `tcp://127.0.0.1:${broadcast}`, "--actions", `tcp://127.0.0.1:${actions}`, "--port", "0"];
const vehicle = new Vehicle({ pictures, predictions, broadcast, actions });
const viewer = new Viewer(program, LINK);
let failures = 0;

async function check(name, test) {
  const began = performance.now();
  try {
    await test();
    console.log(`ok      ${name} (${Math.round(performance.now() - began)} ms)`);
  } catch (error) {
    failures++;
    console.log(`FAILED  ${name}\n${error.stack}`);
  }
}

// ---- what is on the screen ----

// The number in the squares below the picture, read from the canvas, and what the overlay belongs to.
function look(page) {
  return page.evaluate(() => {
    const { picture, view } = window.skylane;
    if (!picture.shown) return null;
    const { canvas, context, shown, overlay } = picture;
    let number = 0;
    for (let bit = 0; bit < 32; bit++) {
      const [red] = context.getImageData(
        Math.round((bit * 16 + 8) * canvas.width / shown.width),
        Math.round((shown.height - 8) * canvas.height / shown.height), 1, 1).data;
      number = number * 2 + (red > 127 ? 1 : 0);
    }
    return { number, shown: shown.id, overlay, age: view.age && { id: view.age.frame.id, at: view.age.at,
      ms: view.age.ms, bound: view.age.bound }, level: document.getElementById("age").dataset.level,
      live: document.getElementById("age-live").textContent, text: document.getElementById("age-text").textContent };
  });
}

const text = (page, id) => page.locator(`#${id}`).textContent();
const mode = (page, wanted) => until(`mode ${wanted}`, async () => (await text(page, "mode")) === wanted);
const toasts = (page) => page.locator(".toast").allTextContents();
const live = (page) => until("a live picture", async () => ["good", "slow"].includes((await look(page))?.level));

async function hold(page, ms, press, release) {
  await press();
  await sleep(ms);
  await release();
}

async function watches(page) {
  await live(page);
  const first = await look(page);
  const later = await until("the picture moves", async () => {
    const l = await look(page);
    return l.number > first.number + 5 && l;
  });
  assert.ok(later.shown > first.shown);
  for (let i = 0; i < 20; i++) {
    const l = await look(page);
    assert.equal(l.number, l.shown, "the frame's number is not that of its pixels");
    assert.deepEqual(l.overlay, { frameId: l.shown, stale: false });
    await sleep(40);
  }
}

async function tellsAge(page) {
  await until("the clocks are known", async () => (await look(page)).age?.ms != null);
  await sleep(1500); // for the best of several pings
  let checked = 0;
  for (let i = 0; i < 20; i++) {
    const before = monotonicMs();
    const [now, l] = [await page.evaluate(() => performance.now()), await look(page)];
    const after = monotonicMs();
    const exposed = vehicle.exposed.get(l.age.id);
    await sleep(30);
    if (exposed === undefined) continue;
    // The browser's clock is known within the time that the question took.
    const early = l.age.at - now + before - exposed, late = l.age.at - now + after - exposed;
    assert.ok(l.age.ms >= early - l.age.bound - 0.5 && l.age.ms <= late + l.age.bound + 0.5,
      `shown ${l.age.ms} ± ${l.age.bound}, in truth ${early} to ${late}`);
    assert.ok(l.age.ms > 30 && l.age.bound < 50, `${l.age.ms} ± ${l.age.bound}`);
    assert.match(l.text, /^(capture to screen|picture's age) \d+ ms ± \d+$/);
    checked++;
  }
  assert.ok(checked > 10, `only ${checked} frames could be compared`);
}

async function armsByHoldOnly(page) {
  const arm = page.locator("#arm");
  const asked = vehicle.asked("arm");
  const box = await arm.boundingBox();
  await page.mouse.move(box.x + box.width / 2, box.y + box.height / 2);
  await hold(page, 300, () => page.mouse.down(), () => page.mouse.up());
  await page.keyboard.press("a");
  await sleep(1200);
  assert.equal(vehicle.asked("arm"), asked, "armed without a hold");
  await hold(page, 1300, () => page.mouse.down(), () => page.mouse.up());
  await mode(page, "Driving");
  assert.equal(vehicle.asked("arm"), asked + 1);
}

async function stopsFromAnywhere(page) {
  await page.locator("#setting-0").focus();
  await page.keyboard.press("Space");
  await mode(page, "Safe stop");
  assert.match(await text(page, "why"), /Somebody asked for a stop/);
  // A button that has the focus must not be pressed instead.
  const released = vehicle.asked("disarm"), stops = vehicle.asked("stop");
  await page.locator("#disarm").focus();
  await page.keyboard.press("Space");
  await until("a second stop", () => vehicle.asked("stop") > stops);
  assert.equal(vehicle.asked("disarm"), released);
  await page.locator("#stop").click();
  await until("a third stop", () => vehicle.asked("stop") > stops + 1);
}

async function armsByKeyPausesAndResumes(page) {
  await page.evaluate(() => document.activeElement?.blur());
  await hold(page, 1300, () => page.keyboard.down("a"), () => page.keyboard.up("a"));
  await mode(page, "Driving");
  await page.keyboard.press("p");
  await mode(page, "Paused");
  await page.locator("#pause").click();
  await mode(page, "Driving");
  const respawned = vehicle.asked("respawn");
  await page.keyboard.press("r");
  await until("a respawn", () => vehicle.asked("respawn") === respawned + 1);
}

async function setsAndUndoes(page) {
  const input = page.locator("#setting-0");
  const value = () => vehicle.actions.filter((a) => a.name === "set").at(-1)?.args;
  const before = Number(await input.inputValue());
  await input.fill("1.25");
  await input.press("Enter");
  await until("the setting arrives", () => value()?.value === 1.25);
  assert.equal(value().key, "control.speed_mps");
  const undo = page.locator(".setting button").first();
  await until("undo is offered", () => undo.isEnabled());
  await undo.click();
  await until("the setting is undone", () => value()?.value === before);
  await until("it is shown", async () => Number(await input.inputValue()) === before);
  await input.fill("7");
  await input.press("Enter");
  await until("the refusal's sentence", async () => (await toasts(page)).some((t) => t.includes("must be from 0 to 2")));
  assert.equal(Number(await input.inputValue()), before);
}

async function tellsRefusal(page) {
  vehicle.tell("refuse on");
  await page.evaluate(() => document.activeElement?.blur());
  await hold(page, 1300, () => page.keyboard.down("a"), () => page.keyboard.up("a"));
  await until("the refusal's sentence", async () =>
    (await toasts(page)).some((t) => t.includes("Arm: refused.") && t.includes("No lane is in sight")));
  vehicle.tell("refuse off");
}

async function drawsStaleLanes(page) {
  vehicle.tell("detections off");
  await until("the overlay is stale", async () => (await look(page)).overlay?.stale);
  await until("and says so", async () => /^stale/.test((await page.locator("#stale").isVisible()) ? await text(page, "stale") : ""));
  vehicle.tell("detections on");
  await until("the overlay is new again", async () => !(await look(page)).overlay?.stale);
}

async function showsOldAsNotLive(page) {
  vehicle.tell("delay 200");
  await until("slow", async () => (await look(page)).level === "slow");
  vehicle.tell("delay 600");
  await until("not live", async () => (await look(page)).live === "not live");
  vehicle.tell("delay 30");
  await live(page);
  // Looked at more often than the page does by itself.
  const oldest = page.evaluate((ms) => new Promise((resolve) => {
    let worst = 0;
    const timer = setInterval(() => {
      const { at, ms: then } = window.skylane.view.age;
      if (document.getElementById("age-live").textContent !== "not live")
        worst = Math.max(worst, performance.now() - at + then);
    }, 2);
    setTimeout(() => { clearInterval(timer); resolve(worst); }, ms);
  }), 2500);
  await sleep(500);
  vehicle.tell("delay 250"); // and what it takes to come and to be drawn
  await sleep(1000);
  vehicle.tell("delay 30");
  await live(page);
  vehicle.tell("frames off");
  await until("not live without frames", async () => (await look(page)).live === "not live");
  const worst = await oldest;
  assert.ok(worst > 100 && worst < 330, `called live at an age of ${worst} ms`);
  vehicle.tell("frames on");
  await live(page);
}

async function survivesGarbage(page) {
  vehicle.tell("garbage 5");
  await until("garbage is counted", async () => /unreadable messages/.test(await text(page, "n-clock")));
  await live(page);
}

async function renewsPermission(page) {
  vehicle.tell("lease 300");
  await page.evaluate(() => document.activeElement?.blur());
  await hold(page, 1300, () => page.keyboard.down("a"), () => page.keyboard.up("a"));
  await mode(page, "Driving");
  const permits = vehicle.asked("permit");
  await until("permits are renewed", () => vehicle.asked("permit") >= permits + 5);
  await until("the lease is told", async () => /permitted for \d+ ms/.test(await text(page, "driver")));
  await page.keyboard.press("Space");
  await mode(page, "Safe stop");
  await sleep(200);
  const after = vehicle.asked("permit");
  await sleep(600);
  assert.equal(vehicle.asked("permit"), after, "permission to drive was renewed after a stop");
  vehicle.tell("lease 0");
}

// Zoomed, held still, one cursor through all.
async function plots(page) {
  const ranges = () => page.evaluate(() => window.skylane.plots.charts.map((c) => [c.scales.x.min, c.scales.x.max]));
  await page.evaluate(() => document.getElementById("toasts").replaceChildren()); // they lie over the plots
  const over = page.locator(".u-over").first();
  await over.scrollIntoViewIfNeeded();
  const box = await over.boundingBox();
  const [y, right] = [box.y + box.height / 2, box.x + box.width];
  await page.mouse.move(right - 10, y);
  await until("all plots tell what is under the cursor", () => page.evaluate(() =>
    [...document.querySelectorAll(".plot h3 i span")].every((s) => /[\d.]+ \S+$/.test(s.textContent))));
  await page.mouse.move(right - 60, y);
  await page.mouse.down();
  await page.mouse.move(right - 20, y, { steps: 4 });
  await page.mouse.up();
  await until("all plots are zoomed alike", async () => {
    const all = await ranges();
    return all.length === 6 && all.every(([a, b]) => b - a < 30 && a === all[0][0] && b === all[0][1]);
  });
  await page.mouse.dblclick(right - 40, y);
  await until("the last minute again", async () => (await ranges()).every(([a, b]) => Math.abs(b - a - 60) < 0.1));
  await page.locator("#plots-pause").click();
  await sleep(300);
  const held = await ranges();
  await sleep(600);
  assert.deepEqual(await ranges(), held);
  await page.locator("#plots-pause").click();
  await until("it goes on", async () => (await ranges())[0][1] > held[0][1]);
  await page.evaluate(() => scrollTo(0, 0));
}

async function comesBack(page) {
  await vehicle.kill();
  await until("the loss is told", async () => /reconnecting for \d+ s/.test(await text(page, "link")));
  await until("the picture is not live", async () => (await look(page)).live === "not live");
  const refused = page.waitForSelector(".toast.refused:has-text('did not answer')", { timeout: 8000 });
  await page.locator("#disarm").click();
  await refused;
  await vehicle.start();
  await until("live again", async () => (await text(page, "link")) === "live");
  await live(page);
  const l = await look(page);
  assert.equal(l.number, l.shown);
  await until("overlay again", async () => (await look(page)).overlay?.stale === false);
}

async function showsAlerts(page) {
  const alerts = page.locator("#alerts"), item = page.locator("#alerts li");
  assert.ok(!await alerts.isVisible(), "there is an alert at the start");
  vehicle.tell("alert warning");
  await until("the alert", async () => (await item.count()) === 1 && await alerts.isVisible());
  assert.equal(await item.textContent(), "warning0.3 frames a second are dropped: free a core");
  const colour = () => item.evaluate((e) => getComputedStyle(e).borderLeftColor);
  const amber = await colour();
  const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  assert.ok(wide <= 0, `the alert makes the page ${wide} px wider than the screen`);
  vehicle.tell("alert critical");
  await until("it worsens", async () => /^critical/.test(await item.textContent()));
  assert.notEqual(await colour(), amber);
  vehicle.tell("alert none");
  await until("it goes", async () => !await alerts.isVisible());
  await until("processes", async () => (await text(page, "n-processes")) === "control 21.5 % / 14 MB, network 0.4 % / 9 MB");
}

async function tellsNoVehicle(page) {
  vehicle.tell("connected off");
  await until("no vehicle", async () => /no vehicle/.test(await text(page, "link")));
  vehicle.tell("connected on");
  await until("live", async () => (await text(page, "link")) === "live");
}

async function fits(page) {
  const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  assert.ok(wide <= 0, `the page is ${wide} px wider than the screen`);
  const stop = await page.locator("#stop").boundingBox();
  const others = await page.locator("#buttons button:not(#stop)").all();
  for (const other of others) {
    const box = await other.boundingBox();
    assert.ok(box.width * box.height < stop.width * stop.height, "stop is not the largest");
  }
  for (const y of [0, 1e6]) {
    await page.evaluate((to) => scrollTo(0, to), y);
    const box = await page.locator("#stop").boundingBox();
    const height = page.viewportSize().height;
    assert.ok(box.y >= 0 && box.y + box.height <= height, `stop is out of sight when scrolled to ${y}`);
  }
  await page.evaluate(() => scrollTo(0, 0));
}

// ---- without a browser ----

function request(url, options = {}) {
  return new Promise((resolve, reject) => {
    const r = http.request(url, { agent: false, ...options }, (response) => {
      let body = "";
      response.setEncoding("utf8");
      response.on("data", (part) => { body += part; });
      response.on("end", () => resolve({ status: response.statusCode, headers: response.headers, body }));
    });
    r.on("upgrade", (response, socket) => { socket.destroy(); resolve({ status: 101, headers: response.headers, body: "" }); });
    r.on("error", reject);
    r.end();
  });
}

const upgrade = (base, origin, query = "") => request(new URL(`/socket${query}`, base), { headers: {
  Connection: "Upgrade", Upgrade: "websocket", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "c2t5bGFuZS1za3lsYW5lIQ==",
  "Sec-WebSocket-Protocol": "skylane-view", ...(origin ? { Origin: origin } : {}) } });

async function refusesStrangers() {
  const own = new URL(viewer.url).origin;
  assert.equal((await upgrade(viewer.url, own)).status, 101);
  for (const origin of ["http://evil.example", own.replace("127.0.0.1", "localhost"), "null", undefined])
    assert.equal((await upgrade(viewer.url, origin)).status, 403, `origin ${origin}`);
  assert.equal((await request(viewer.url, { headers: { Host: "evil.example" } })).status, 403);
}

async function demandsToken() {
  const guarded = new Viewer(program, [...LINK, "--listen", "0.0.0.0"]);
  await guarded.start();
  const url = new URL(guarded.url);
  const token = url.searchParams.get("token");
  assert.match(token, /^[0-9a-f]{32}$/);
  const base = `http://127.0.0.1:${url.port}`;
  for (const path of ["/", "/app.js", "/api/state", "/metrics", "/snapshot.jpg", "/?token=", `/?token=${token}x`, `/?token=${"0".repeat(32)}`]) {
    const refused = await request(base + path);
    assert.equal(refused.status, 403, path);
    assert.match(refused.body, /token/);
  }
  assert.equal((await upgrade(base, base)).status, 403);
  assert.equal((await upgrade(base, base, `?token=${token}`)).status, 101);
  assert.equal((await upgrade(base, "http://evil.example", `?token=${token}`)).status, 403);
  const page = await request(`${base}/?token=${token}`);
  assert.equal(page.status, 200);
  const [cookie] = page.headers["set-cookie"];
  assert.match(cookie, /HttpOnly; SameSite=Strict/);
  assert.equal((await request(`${base}/app.js`, { headers: { Cookie: cookie.split(";")[0] } })).status, 200);
  const context = await browser.newContext();
  const tab = await context.newPage();
  await tab.goto(`${base}/?token=${token}`);
  await live(tab);
  await context.close();
  const [status, ms] = await guarded.end("SIGINT");
  assert.equal(status, 0);
  assert.ok(ms < 1000, `it took ${ms} ms to end`);
}

// Prometheus' text format: HELP and TYPE before a name's samples, which stand together, no sample twice.
function checkMetrics(body) {
  const named = new Set(), samples = new Set();
  let help = "", type = "", counts = "";
  assert.ok(body.endsWith("\n"));
  for (const line of body.slice(0, -1).split("\n")) {
    const head = line.match(/^# (HELP|TYPE) ([a-z_]+) (.+)$/);
    if (head?.[1] === "HELP") {
      assert.ok(!named.has(head[2]), `twice: ${line}`);
      named.add(help = head[2]);
      type = "";
    } else if (head) {
      assert.equal(head[2], help, line);
      assert.match(head[3], /^(counter|gauge)$/);
      [type, counts] = [head[2], head[3]];
      assert.equal(counts === "counter", type.endsWith("_total"), line);
    } else {
      const sample = line.match(/^([a-z_]+)(\{[a-z]+="[^"\\]*"(,[a-z]+="[^"\\]*")*\})? (\S+)$/);
      assert.ok(sample && sample[1] === type && Number.isFinite(Number(sample[4])), line);
      assert.ok(!samples.has(sample[1] + sample[2]), `twice: ${line}`);
      samples.add(sample[1] + sample[2]);
    }
  }
}

async function servesHttp() {
  const page = await request(viewer.url);
  assert.match(page.headers["content-security-policy"], /^default-src 'none'; script-src 'self'; .*frame-ancestors 'none'/);
  assert.equal(page.headers["x-content-type-options"], "nosniff");
  assert.equal(page.headers["cache-control"], "no-store");
  assert.equal((await request(new URL("/nothing", viewer.url))).status, 404);
  assert.equal((await request(viewer.url, { method: "DELETE" })).status, 405);
  assert.equal((await request(viewer.url, { method: "HEAD" })).status, 200);
  const state = JSON.parse((await request(new URL("/api/state", viewer.url))).body);
  assert.equal(state.link.state, "live");
  assert.equal(state.state.state.vehicle, "fake");
  const metrics = (await request(new URL("/metrics", viewer.url))).body;
  for (const line of [/^skylane_view_link_up 1$/m, /^skylane_view_frames_shown_total [1-9]/m,
    /^skylane_view_answers_total\{result="refused"\} [1-9]/m, /^skylane_view_answers_total\{result="accepted"\} [1-9]/m,
    /^skylane_view_garbage_total [1-9]/m, /^skylane_stage_seconds\{stage="detect",quantile="0.99"\} 0\.00/m,
    /^skylane_frame_access_seconds\{reader="detector",quantile="0.99"\} 0\.0021$/m, /^skylane_drops_total\{cause="detector"\} 3$/m,
    /^skylane_process_memory_bytes\{process="control"\} 1\.4e\+07$/m])
    assert.match(metrics, line);
  checkMetrics(metrics);
  // Of what the vehicle says, only what has a name here gets there.
  assert.doesNotMatch(metrics, /nonsense|bus_readers/);
  const snapshot = await request(new URL("/snapshot.jpg", viewer.url));
  assert.equal(snapshot.headers["content-type"], "image/jpeg");
  const frames = await new Promise((resolve, reject) => {
    http.get(new URL("/stream.mjpg", viewer.url), (response) => {
      let all = "";
      response.setEncoding("latin1");
      response.on("data", (part) => { all += part; });
      setTimeout(() => { response.destroy(); resolve(all.match(/X-Frame-Id: \d+/g)); }, 1000);
      response.on("error", () => {});
    }).on("error", reject);
  });
  assert.ok(frames.length > 5 && new Set(frames).size === frames.length, String(frames));
}

async function slowBrowserCostsNothing() {
  const context = await browser.newContext();
  const slow = await context.newPage();
  await slow.goto(viewer.url);
  await live(slow);
  // It takes frames but never says that they are shown.
  await slow.evaluate(() => { window.skylane.link.send = () => true; });
  const fast = await context.newPage();
  await fast.goto(viewer.url);
  await live(fast);
  const first = await look(fast);
  await sleep(2000);
  const later = await look(fast);
  assert.ok(later.shown - first.shown > 20, `${later.shown - first.shown} frames in 2 s`);
  await context.close();
}

async function saysWhatIsWrong() {
  const port = new URL(viewer.url).port;
  for (const [options, status, words] of [
    [[], 2, /--vehicle/], [["--vehicle", "http://x"], 2, /tcp:\/\/HOST:PORT/], [["--nix"], 2, /--nix/],
    [[...LINK, "--port", port], 1, /is taken.*--port/], [[...LINK, "--listen", "192.0.2.7"], 1, /not an address of this machine/]]) {
    const wrong = new Viewer(program, options);
    await wrong.start();
    const [code] = await wrong.end();
    assert.equal(code, status, options.join(" "));
    assert.match(wrong.errors, words);
  }
}

// ---- all of it ----

const browser = await chromium.launch({ executablePath, headless: true, args: ["--no-sandbox"] });
try {
  await vehicle.start();
  await viewer.start();
  for (const [size, viewport] of Object.entries(SIZES)) {
    const context = await browser.newContext({ viewport, hasTouch: size === "phone", deviceScaleFactor: 1 });
    const page = await context.newPage();
    const complaints = [];
    page.on("pageerror", (error) => complaints.push(String(error)));
    page.on("console", (message) => { if (message.type() === "error") complaints.push(message.text()); });
    await page.goto(viewer.url);
    const of = (name, test) => check(`${size}: ${name}`, () => test(page));
    await of("the picture moves, and the lane on it is its own", watches);
    await of("the age is true within its bound", tellsAge);
    await of("arms by a hold only", armsByHoldOnly);
    await of("the space bar stops, wherever the focus is", stopsFromAnywhere);
    await of("hold A arms, P pauses and resumes, R respawns", armsByKeyPausesAndResumes);
    if (screenshots) {
      await page.waitForTimeout(size === "phone" ? 6000 : 15000); // for plots and fewer toasts
      await page.evaluate(() => { document.activeElement?.blur(); scrollTo(0, 0); });
      await page.screenshot({ path: `${screenshots}/view-${size}.png` });
    }
    await of("a setting is changed and undone", setsAndUndoes);
    await of("a refusal tells its sentence", tellsRefusal);
    await of("a lane of another frame is drawn as stale", drawsStaleLanes);
    await of("an old picture is not live", showsOldAsNotLive);
    await of("garbage is counted", survivesGarbage);
    await of("alerts are shown and go", showsAlerts);
    await of("no vehicle", tellsNoVehicle);
    await of("permission to drive is renewed until a stop", renewsPermission);
    await of("plots are zoomed, held and read together", plots);
    await of("stop is the largest and always in sight", fits);
    await of("the vehicle dies and comes back", comesBack);
    await check(`${size}: no complaints at the console`, () => assert.deepEqual(complaints, []));
    await context.close();
  }
  await check("a slow browser costs the others nothing", slowBrowserCostsNothing);
  await check("HTTP", servesHttp);
  await check("strangers are refused", refusesStrangers);
  await check("a token is demanded beyond the loopback", demandsToken);
  await check("mistakes are told", saysWhatIsWrong);
  await check("the viewer dies and comes back", async () => {
    const page = await browser.newPage();
    await page.goto(viewer.url);
    await live(page);
    const [status] = await viewer.end();
    assert.equal(status, 0);
    await until("the loss is told", async () => /no viewer; reconnecting/.test(await text(page, "link")));
    // A stop that cannot go out says so, and goes out when it can.
    const stops = vehicle.asked("stop");
    await page.keyboard.press("Space");
    await until("stop was not sent", async () => (await toasts(page)).some((t) => t.includes("Stop was not sent")));
    viewer.options = [...viewer.options.slice(0, -1), new URL(viewer.url).port];
    viewer.output = "";
    await viewer.start();
    await live(page);
    await until("the late stop", () => vehicle.asked("stop") === stops + 1);
    await page.close();
  });
  await check("it ends within a second", async () => {
    const [status, ms] = await viewer.end();
    assert.equal(status, 0);
    assert.ok(ms < 1000, `${ms} ms`);
    assert.equal(viewer.errors, "");
  });
} finally {
  await browser.close();
  viewer.process?.kill("SIGKILL");
  vehicle.process?.kill("SIGKILL");
}
console.log(failures === 0 ? "all is well" : `${failures} failed`);
process.exit(failures === 0 ? 0 : 1);
