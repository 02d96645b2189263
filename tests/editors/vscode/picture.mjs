/**
 * The picture of the documents: what the bundled model suggests in a file, as VS Code shows it.
 *
 * usage: node picture.mjs TOOLS VSIX INTERPRETER FILE TYPED PICTURE
 *
 * TYPED is typed at the end of the line of FILE that is "@"; the file itself stays as it is.
 */

import { cp, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { openSession } from "./session.mjs";

const [tools, vsix, python, source, typed, picture] = process.argv.slice(2);
if (picture === undefined) {
  console.error(`six arguments are needed; see the head of ${import.meta.filename}`);
  process.exit(2);
}
const root = await mkdtemp(path.join(os.tmpdir(), "coda-picture-"));
const folder = path.join(root, "project");
const file = path.join(folder, path.basename(source));
await cp(source, file);
const lines = (await readFile(file, "utf8")).split("\n");
const line = lines.findIndex((text) => text.trim() === "@");
lines[line] = lines[line].replace("@", "");
await writeFile(file, lines.join("\n"));
const [toolsAt, vsixAt, pythonAt] = [tools, vsix, python].map((each) => path.resolve(each));
const session = await openSession({ tools: toolsAt, vsix: vsixAt, python: pythonAt, root, file, settings: {} });
try {
  const { page, workbench } = session;
  await workbench.status("ready");
  await page.locator(`.monaco-editor[data-uri$="${path.basename(file)}"] .view-lines`).click();
  await workbench.endOfLine(line + 1);
  await page.keyboard.type(typed);
  await workbench.anyGhostText();
  await page.screenshot({ path: picture });
} finally {
  await session.close();
  await rm(root, { recursive: true });
}
