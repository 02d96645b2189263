/** What is tried in a session, in this order; each case starts from the example, saved, with the caret on its last line. */

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readdir, readFile, symlink } from "node:fs/promises";
import path from "node:path";
import { fileWhen, PATIENCE_MS } from "./workbench.mjs";

// What the model of tests/editors/known_model.py writes.
const FILL = "alpha + beta * gamma";
const SECOND_FILL = "omega + beta * gamma";
const SECOND_LINE = "\n        # delta";

export const EXAMPLE = `def add(a, b):
    return a + b


def subtract(a, b):
    return a - b


def scale(a, b):
`;
const TYPED = "    return -"; // not a blank: the engine writes a blank before the hole anew, with what follows it
const HOLES = `def first(a):
    ...


def second(a):
    ...


`;
/** A line of the example that is rewritten, counted from 1. */
const REWRITTEN = 6;

export const CASES = {
  "Tab takes exactly the ghost text": async ({ page, workbench, file, screenshot }) => {
    await page.keyboard.type(TYPED);
    await workbench.ghostText(FILL);
    await page.screenshot({ path: screenshot });
    await page.keyboard.press("Tab");
    await workbench.noGhostText();
    await workbench.save();
    assert.equal(await readFile(file, "utf8"), EXAMPLE + TYPED + FILL);
  },
  "typing along keeps it, and another letter puts it away": async ({ page, workbench, file }) => {
    await page.keyboard.type(`${TYPED}al`);
    await workbench.ghostText(FILL.slice(2));
    await page.keyboard.type("pha +");
    await workbench.ghostText(FILL.slice(7));
    await page.keyboard.type("x");
    await workbench.save();
    assert.equal(await readFile(file, "utf8"), `${EXAMPLE}${TYPED}alpha +x`);
    await page.keyboard.press("Escape"); // what the model makes of that
  },
  "Ctrl+Right takes a word of it, Tab the rest": async ({ page, workbench, file }) => {
    await page.keyboard.type(TYPED);
    await workbench.ghostText(FILL);
    await page.keyboard.press("Control+ArrowRight");
    await workbench.ghostText(FILL.slice("alpha".length));
    await page.keyboard.press("Tab");
    await workbench.noGhostText();
    await workbench.save();
    assert.equal(await readFile(file, "utf8"), EXAMPLE + TYPED + FILL);
  },
  "Ctrl+Down takes the lines of a block one by one": async ({ page, workbench, file }) => {
    await page.keyboard.insertText("   ");
    await workbench.ghostText(FILL + SECOND_LINE);
    await page.keyboard.type(" "); // over one blank more VS Code goes on showing it, until another comes
    await page.keyboard.press("Control+ArrowDown");
    await workbench.ghostText(SECOND_LINE);
    await page.keyboard.press("Control+ArrowDown");
    await workbench.noGhostText();
    await workbench.save();
    assert.equal(await readFile(file, "utf8"), `${EXAMPLE}    ${FILL}${SECOND_LINE}`);
  },
  "Alt+] shows the next one, which Tab takes": async ({ page, workbench, file }) => {
    await page.keyboard.type(TYPED);
    await workbench.ghostText(FILL);
    await page.keyboard.press("Alt+]");
    await workbench.ghostText(SECOND_FILL);
    await page.keyboard.press("Tab");
    await workbench.noGhostText();
    await workbench.save();
    assert.equal(await readFile(file, "utf8"), EXAMPLE + TYPED + SECOND_FILL);
  },
  "Fill Selection rewrites it, and one undo brings it back": async ({ workbench, file }) => {
    await workbench.selectLine(REWRITTEN);
    await workbench.command("CoDA: Fill Selection");
    await isRewritten(workbench, file);
  },
  "the code action rewrites a selection too": async ({ page, workbench, file }) => {
    await workbench.selectLine(REWRITTEN);
    await page.keyboard.press("Control+.");
    await page.locator(".action-widget .focused").getByText("Fill selection with CoDA").waitFor();
    await page.keyboard.press("Enter");
    await isRewritten(workbench, file);
  },
  "the holes of a file are filled at once, anew, and taken back by undo": async ({ page, workbench, file }) => {
    await workbench.replaceText(HOLES);
    await workbench.command("CoDA: Fill the Holes in This File");
    await workbench.save();
    const filled = await readFile(file, "utf8");
    assert.equal(filled.split(FILL).length, 3, `two fills in ${filled}`);
    assert.ok(!filled.includes("..."));
    await workbench.command("CoDA: Write the Last Fill Anew");
    await workbench.save();
    await page.keyboard.press("Control+z");
    await workbench.save();
    assert.equal(await readFile(file, "utf8"), filled);
    await page.keyboard.press("Control+z");
    await workbench.save();
    assert.equal(await readFile(file, "utf8"), HOLES);
  },
  "the statistics count what was taken, and what was in part": async ({ page, workbench }) => {
    await page.keyboard.type(TYPED);
    await workbench.ghostText(FILL);
    await page.keyboard.press("Control+ArrowRight");
    await workbench.ghostText(FILL.slice("alpha".length));
    await page.keyboard.press("Escape");
    await workbench.noGhostText();
    await workbench.command("CoDA: Statistics");
    const dialog = page.locator(".monaco-dialog-box");
    await dialog.getByText("These numbers stay on this machine.").waitFor();
    const text = await dialog.innerText();
    assert.match(text, /Accepted: [1-9]\d* \(\d+%\), and a part of 1\n/);
    await page.keyboard.press("Escape");
    await dialog.waitFor({ state: "detached" });
  },
  "manual mode from the status bar's menu, and a suggestion when asked for": async ({ page, workbench, server }) => {
    await workbench.openMenu();
    await workbench.choose("only when asked for");
    await fileWhen(server.settingsFile, (now) => now.includes('"coda.enable": "manual"'), PATIENCE_MS);
    await page.keyboard.type(TYPED);
    await workbench.command("CoDA: Suggest Here");
    await workbench.ghostText(FILL);
    await page.keyboard.press("Escape");
    await workbench.noGhostText();
  },
  "the output opens": async ({ page, workbench }) => {
    await workbench.command("CoDA: Show Output");
    // Its text is written by a native module that this code-server does without.
    const chosen = () => [...document.querySelectorAll(".panel select")].map((each) => each.selectedOptions[0]?.text);
    await page.waitForFunction(`(${chosen})().includes("CoDA")`);
  },
  "the walkthrough opens": async ({ page, workbench }) => {
    await workbench.command("CoDA: First Steps");
    await page.getByText("First steps with CoDA").first().waitFor();
    await page.locator(".tab.active .codicon-close").click();
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
  "the workspace's own environment is found": async ({ workbench, folder, server, python }) => {
    await symlink(path.dirname(path.dirname(python)), path.join(folder, ".venv"));
    await server.setMachineSettings({ "coda.interpreter": null });
    await workbench.status("loading");
    await workbench.status("ready");
  },
  "without the server in the interpreter, it offers to install it, asks, and does": async (session) => {
    const { page, workbench, root, server } = session;
    const bare = await environmentWithoutServer(session.python, path.join(root, "bare"));
    await server.setMachineSettings({ "coda.interpreter": bare });
    await workbench.status("missing");
    assert.equal(await page.locator(".notification-toast .codicon-error").count(), 0, "an error is shown");
    await page.locator(".notification-toast").getByRole("button", { name: "Install…" }).click();
    await workbench.choose("Python 3"); // this one, not a new one
    const question = page.locator(".monaco-dialog-box");
    await question.getByText("-m pip install").waitFor();
    await question.getByRole("button", { name: "Run" }).click();
    await workbench.status("ready");
    await page.keyboard.type(TYPED);
    await workbench.command("CoDA: Suggest Here");
    await workbench.ghostText(FILL);
  },
};

/** The line was rewritten and nothing else; then one undo. */
async function isRewritten(workbench, file) {
  await workbench.save();
  const lines = EXAMPLE.split("\n");
  lines[REWRITTEN - 1] = `    ${FILL}${SECOND_LINE}`;
  assert.equal(await readFile(file, "utf8"), lines.join("\n"));
  await workbench.page.keyboard.press("Control+z");
  await workbench.save();
  assert.equal(await readFile(file, "utf8"), EXAMPLE);
}

/** An environment that has all that the server needs, so that nothing is downloaded, and not the server. */
async function environmentWithoutServer(python, folder) {
  execFileSync(python, ["-m", "venv", folder]);
  const packages = (interpreter) =>
    execFileSync(interpreter, ["-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], { encoding: "utf8" }).trim();
  const interpreter = path.join(folder, "bin/python");
  const [all, own] = [packages(python), packages(interpreter)];
  const present = new Set(await readdir(own));
  for (const name of await readdir(all)) {
    if (!present.has(name) && !/coda/.test(name) && !name.endsWith(".pth")) {
      await symlink(path.join(all, name), path.join(own, name));
    }
  }
  return interpreter;
}
