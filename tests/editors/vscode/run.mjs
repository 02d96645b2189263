/**
 * The extension in the real VS Code, as a person uses it: type, see ghost text, take it, read the file back.
 *
 * usage: node run.mjs --tools FOLDER --vsix FILE --python INTERPRETER [--screenshot FILE]
 */

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import os from "node:os";
import path from "node:path";
import { parseArgs } from "node:util";
import { startCodeServer } from "./code_server.mjs";
import { fileWhen, Workbench } from "./workbench.mjs";

const PATIENCE_MS = 120_000;
const CHROMIUM = "/usr/bin/chromium";
const CHROMIUM_OPTIONS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"];
const QUIET_CHROMIUM = ["--disable-background-networking", "--disable-component-update"];

const EXAMPLE = `class Point:
    def __init__(self, x, y):
        self.x = x
        self.y = y

    def add(self, other):
        return Point(self.x + other.x, self.y + other.y)

    def subtract(self, other):
        return Point(self.x - other.x, self.y - other.y)

    def norm(self):
`;
const CARET_LINE = EXAMPLE.split("\n").length; // the empty one at the end
const TYPED = "        return self.";

const { values: options } = parseArgs({
  options: {
    tools: { type: "string" },
    vsix: { type: "string" },
    python: { type: "string" },
    screenshot: { type: "string" },
  },
});
for (const name of ["tools", "vsix", "python"]) {
  if (options[name] === undefined) {
    console.error(`--${name} is missing; see the head of ${import.meta.filename}`);
    process.exit(2);
  }
}
const { chromium } = createRequire(path.resolve(options.tools, "package.json"))("playwright-core");

const PYTHON = path.resolve(options.python);
const MACHINE_SETTINGS = { "coda.interpreter": PYTHON };
const USER_SETTINGS = {
  "coda.minimumConfidence": 0, // what is shown is judged elsewhere; here it matters that it is shown
  "coda.logLevel": "debug",
  "telemetry.telemetryLevel": "off",
  "workbench.startupEditor": "none",
  "workbench.colorTheme": "Default Dark Modern",
  "workbench.tips.enabled": false,
  "editor.minimap.enabled": false,
  "editor.fontSize": 15,
  "terminal.integrated.gpuAcceleration": "off", // so that its text can be read
  "files.autoSave": "off",
};

/** The cases, in the order of a session; each starts from the example, saved, with the caret on its last line. */
const CASES = {
  "Tab takes exactly the ghost text": async ({ page, workbench, file }) => {
    await page.keyboard.type(TYPED);
    const shown = await workbench.ghostText();
    if (options.screenshot !== undefined) {
      await page.screenshot({ path: options.screenshot });
    }
    await page.keyboard.press("Tab");
    await workbench.noGhostText();
    assert.ok(shown.trim(), "the ghost text is blank");
    await save(page);
    assert.equal(await readFile(file, "utf8"), EXAMPLE + TYPED + shown);
  },
  "Ctrl+Right takes a word of it": async ({ page, workbench, file }) => {
    await page.keyboard.type(TYPED);
    const shown = await workbench.ghostText();
    await page.keyboard.press("Control+ArrowRight");
    await save(page);
    const text = await readFile(file, "utf8");
    const word = text.slice((EXAMPLE + TYPED).length);
    assert.ok(word.trim(), "nothing was taken");
    assert.ok(shown.startsWith(word), `${JSON.stringify(word)} does not begin ${JSON.stringify(shown)}`);
  },
  "Fill Selection rewrites it, and one undo brings it back": async ({ page, workbench, file }) => {
    await workbench.endOfLine(7);
    await page.keyboard.press("Shift+Home");
    await workbench.command("CoDA: Fill Selection");
    await save(page); // the edit makes it a changed file, even where a good model writes the same again
    const text = await readFile(file, "utf8");
    const [before, after] = [EXAMPLE, text].map((each) => each.split("\n"));
    assert.deepEqual(after.slice(0, 6), before.slice(0, 6), "lines above the selection changed");
    assert.deepEqual(after.slice(-6), before.slice(-6), "lines below the selection changed");
    await page.keyboard.press("Control+z");
    await save(page);
    assert.equal(await readFile(file, "utf8"), EXAMPLE);
  },
  "manual mode from the status bar's menu, and a suggestion when asked for": async ({ page, workbench, server }) => {
    await workbench.openMenu();
    await workbench.choose("only when asked for");
    await fileWhen(server.settingsFile, (now) => now.includes('"coda.enable": "manual"'), PATIENCE_MS);
    await page.keyboard.type(TYPED);
    await workbench.command("CoDA: Suggest Here");
    assert.ok((await workbench.ghostText()).trim(), "the ghost text is blank");
    await page.keyboard.press("Escape");
    await workbench.noGhostText();
  },
  "Restart comes back to ready": async ({ workbench }) => {
    await workbench.command("CoDA: Restart");
    await workbench.status("loading");
    await workbench.status("ready");
  },
  "Doctor finds, in a terminal, that suggestions work": async ({ page, workbench }) => {
    await workbench.command("CoDA: Doctor");
    await page.locator(".xterm-rows").getByText("Suggestions work.").waitFor();
  },
  "without the server in the interpreter, it offers to install it, and asks before": async (session) => {
    const { page, workbench, root, server } = session;
    const bare = path.join(root, "bare");
    execFileSync(PYTHON, ["-m", "venv", "--without-pip", bare]);
    await server.setMachineSettings({ "coda.interpreter": path.join(bare, "bin/python") });
    await workbench.status("missing");
    await page.locator(".notification-toast").getByRole("button", { name: "Install…" }).click();
    await workbench.choose("A new environment for CoDA alone");
    const question = page.locator(".monaco-dialog-box");
    await question.getByText("-m pip install").waitFor();
    await page.keyboard.press("Escape");
    await question.waitFor({ state: "detached" });
  },
  "the workspace's own environment is found": async ({ workbench, folder, server }) => {
    await symlink(path.dirname(path.dirname(PYTHON)), path.join(folder, ".venv"));
    await server.setMachineSettings({ "coda.interpreter": null });
    await workbench.status("ready");
  },
};

/** Saves as soon as there is something to save, and waits until it is on the disk. */
async function save(page) {
  const changed = page.locator(".tab.active.dirty");
  await changed.waitFor();
  await page.keyboard.press("Control+s");
  await changed.waitFor({ state: "detached" });
}

/** Brings the example back, in the editor and on the disk. */
async function reset({ page, workbench, file }) {
  await page.locator(".view-lines").first().click();
  await page.keyboard.press("Control+s"); // what a case has left, so that the paste is seen to change something
  await page.locator(".tab.active.dirty").waitFor({ state: "detached" });
  await page.evaluate((text) => navigator.clipboard.writeText(text), EXAMPLE);
  await page.keyboard.press("Control+a");
  await page.keyboard.press("Control+v");
  await save(page);
  assert.equal(await readFile(file, "utf8"), EXAMPLE);
  await workbench.endOfLine(CARET_LINE);
}

async function main() {
  const root = await mkdtemp(path.join(os.tmpdir(), "coda-vscode-"));
  const folder = path.join(root, "geometry");
  await mkdir(folder);
  const file = path.join(folder, "point.py");
  await writeFile(file, EXAMPLE);
  const { vsix, tools } = options;
  const settings = { userSettings: USER_SETTINGS, machineSettings: MACHINE_SETTINGS };
  const server = await startCodeServer({ tools, vsix: path.resolve(vsix), root, ...settings });
  const args = [...CHROMIUM_OPTIONS, ...QUIET_CHROMIUM];
  const browser = await chromium.launch({ executablePath: CHROMIUM, args });
  let failures = 0;
  try {
    const context = await browser.newContext({ viewport: { width: 1000, height: 560 } });
    await context.grantPermissions(["clipboard-read", "clipboard-write"]);
    const page = await context.newPage();
    page.setDefaultTimeout(PATIENCE_MS);
    const workbench = new Workbench(page);
    const session = { page, workbench, file, folder, root, server };
    const since = performance.now();
    await page.goto(server.address(folder, file));
    await workbench.status("ready");
    console.log(`ready ${((performance.now() - since) / 1000).toFixed(1)} s after the page was asked for`);
    for (const [name, run] of Object.entries(CASES)) {
      const started = performance.now();
      try {
        await reset(session);
        await run(session);
        console.log(`ok    ${name} (${((performance.now() - started) / 1000).toFixed(1)} s)`);
      } catch (error) {
        failures += 1;
        console.error(`FAIL  ${name}: ${error.message}\n${await workbench.statusText()}`);
        await page.screenshot({ path: path.join(root, `failure-${failures}.png`) });
      }
    }
  } catch (error) {
    failures += 1;
    console.error(`FAIL  the session: ${error.message}`);
  } finally {
    await browser.close();
    const left = await server.stop(20_000);
    if (left.length > 0) {
      failures += 1;
      console.error(`FAIL  processes are left: ${left.join("; ")}`);
    }
  }
  if (failures > 0) {
    console.error(`Pictures of the failures are kept in ${root}.`);
  } else {
    await rm(root, { recursive: true });
  }
  process.exitCode = failures > 0 ? 1 : 0;
}

await main();
