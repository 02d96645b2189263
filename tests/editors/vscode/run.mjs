/**
 * The extension in the real VS Code, as a person uses it: type, see ghost text, take it, read the file back.
 *
 * usage: node run.mjs --tools FOLDER --vsix FILE --python INTERPRETER --pictures FOLDER [--only PATTERN]
 */

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { parseArgs } from "node:util";
import { CASES, EXAMPLE } from "./cases.mjs";
import { openSession } from "./session.mjs";

const KNOWN_MODEL = path.join(import.meta.dirname, "../known_model.py");

const { values: options } = parseArgs({
  options: {
    tools: { type: "string" },
    vsix: { type: "string" },
    python: { type: "string" },
    pictures: { type: "string" },
    only: { type: "string", default: "" }, // the cases whose names this regular expression finds
  },
});
for (const name of ["tools", "vsix", "python", "pictures"]) {
  if (options[name] === undefined) {
    console.error(`--${name} is missing; see the head of ${import.meta.filename}`);
    process.exit(2);
  }
  options[name] = path.resolve(options[name]);
}

const settingsFor = (model) => ({
  "coda.model": model,
  "coda.algorithm": "threshold",
  "coda.device": "cpu",
  "coda.dtype": "float32",
  "coda.candidates": 8,
  "coda.logLevel": "debug",
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
    if (!new RegExp(options.only).test(name)) {
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
  execFileSync(options.python, [KNOWN_MODEL, model]);
  const since = performance.now();
  const session = await openSession({ ...options, root, file, settings: settingsFor(model) });
  const screenshot = path.join(options.pictures, "ghost-text.png");
  const failures = [];
  try {
    await session.workbench.status("ready");
    console.log(`ready ${((performance.now() - since) / 1000).toFixed(1)} s after VS Code was started`);
    failures.push(...(await runCases({ ...session, file, folder, root, screenshot, python: options.python })));
  } catch (error) {
    failures.push("the session");
    console.error(`FAIL  the session: ${error.message}`);
  } finally {
    const left = await session.close();
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
