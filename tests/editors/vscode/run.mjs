/**
 * The extension in the real VS Code, as a person uses it: type, see ghost text, take it, read the file back.
 *
 * usage: node run.mjs --tools FOLDER --vsix FILE --python INTERPRETER --pictures FOLDER [--only PATTERN]
 */

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import os from "node:os";
import path from "node:path";
import { parseArgs } from "node:util";
import { CASES, EXAMPLE } from "./cases.mjs";
import { startCodeServer } from "./code_server.mjs";
import { PATIENCE_MS, Workbench } from "./workbench.mjs";

const CHROMIUM = "/usr/bin/chromium";
const CHROMIUM_OPTIONS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"];
const QUIET_CHROMIUM = ["--disable-background-networking", "--disable-component-update"];
const KNOWN_MODEL = path.join(import.meta.dirname, "../known_model.py");

const { values: options } = parseArgs({
  options: {
    tools: { type: "string" },
    vsix: { type: "string" },
    python: { type: "string" },
    pictures: { type: "string" },
    only: { type: "string" }, // the cases whose names this regular expression finds
  },
});
for (const name of ["tools", "vsix", "python", "pictures"]) {
  if (options[name] === undefined) {
    console.error(`--${name} is missing; see the head of ${import.meta.filename}`);
    process.exit(2);
  }
}
const { chromium } = createRequire(path.resolve(options.tools, "package.json"))("playwright-core");

const PYTHON = path.resolve(options.python);
const MACHINE_SETTINGS = { "coda.interpreter": PYTHON };
const userSettings = (model) => ({
  "coda.model": model,
  "coda.algorithm": "threshold",
  "coda.device": "cpu",
  "coda.dtype": "float32",
  "coda.candidates": 2,
  "coda.logLevel": "debug",
  "telemetry.telemetryLevel": "off",
  "workbench.startupEditor": "none",
  "workbench.colorTheme": "Default Dark Modern",
  "workbench.tips.enabled": false,
  "editor.minimap.enabled": false,
  "editor.fontSize": 15,
  "terminal.integrated.gpuAcceleration": "off", // so that its text can be read
  "files.autoSave": "off",
});

/** Brings the example back, in the editor and on the disk. */
async function reset({ page, workbench, file }) {
  await page.keyboard.press("Escape");
  await page.locator(`.monaco-editor[data-uri$="${path.basename(file)}"] .view-lines`).click();
  await workbench.settle(); // what a case has left, so that the paste is seen to change something
  await workbench.replaceText(EXAMPLE);
  assert.equal(await readFile(file, "utf8"), EXAMPLE);
}

async function runCases(session) {
  const failures = [];
  for (const [name, run] of Object.entries(CASES)) {
    if (!new RegExp(options.only ?? "").test(name)) {
      continue;
    }
    const started = performance.now();
    try {
      await reset(session);
      await run(session);
      console.log(`ok    ${name} (${((performance.now() - started) / 1000).toFixed(1)} s)`);
    } catch (error) {
      failures.push(name);
      const picture = path.join(options.pictures, `failure-${failures.length}.png`);
      await session.page.screenshot({ path: picture });
      console.error(`FAIL  ${name}: ${error.message}\n${await session.workbench.statusText()}\nIt looked like ${picture}.`);
    }
  }
  return failures;
}

async function main() {
  const root = await mkdtemp(path.join(os.tmpdir(), "coda-vscode-"));
  const [folder, model] = [path.join(root, "arithmetic"), path.join(root, "model")];
  const file = path.join(folder, "arithmetic.py");
  await mkdir(folder);
  await mkdir(options.pictures, { recursive: true });
  await writeFile(file, EXAMPLE);
  execFileSync(PYTHON, [KNOWN_MODEL, model]);
  const settings = { userSettings: userSettings(model), machineSettings: MACHINE_SETTINGS };
  const server = await startCodeServer({ tools: options.tools, vsix: path.resolve(options.vsix), root, ...settings });
  const args = [...CHROMIUM_OPTIONS, ...QUIET_CHROMIUM];
  const browser = await chromium.launch({ executablePath: CHROMIUM, args });
  const failures = [];
  try {
    const context = await browser.newContext({ viewport: { width: 1000, height: 560 } });
    await context.grantPermissions(["clipboard-read", "clipboard-write"]);
    const page = await context.newPage();
    page.setDefaultTimeout(PATIENCE_MS);
    const workbench = new Workbench(page);
    const screenshot = path.join(options.pictures, "ghost-text.png");
    const since = performance.now();
    await page.goto(server.address(folder, file));
    await workbench.status("ready");
    console.log(`ready ${((performance.now() - since) / 1000).toFixed(1)} s after the page was asked for`);
    failures.push(...(await runCases({ page, workbench, file, folder, root, server, screenshot, python: PYTHON })));
  } catch (error) {
    failures.push("the session");
    console.error(`FAIL  the session: ${error.message}`);
  } finally {
    await browser.close();
    const left = await server.stop(20_000);
    if (left.length > 0) {
      failures.push("the end");
      console.error(`FAIL  processes are left: ${left.join("; ")}`);
    }
  }
  if (failures.length > 0) {
    console.error(`The logs are kept in ${root}.`);
  } else {
    await rm(root, { recursive: true });
  }
  process.exitCode = failures.length > 0 ? 1 : 0;
}

await main();
