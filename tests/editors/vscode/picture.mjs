/**
 * The picture of the documents: what the bundled model suggests, when asked, at the end of a line of a file.
 *
 * usage: node picture.mjs TOOLS VSIX INTERPRETER FILE LINE PICTURE      LINE counts from 1
 */

import { cp, mkdtemp, rm } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { openSession } from "./session.mjs";

const [tools, vsix, python, source, line, picture] = process.argv.slice(2);
if (picture === undefined) {
  console.error(`six arguments are needed; see the head of ${import.meta.filename}`);
  process.exit(2);
}
const root = await mkdtemp(path.join(os.tmpdir(), "coda-picture-"));
const file = path.join(root, "project", path.basename(source));
await cp(source, file);
const [toolsAt, vsixAt, pythonAt] = [tools, vsix, python].map((each) => path.resolve(each));
const session = await openSession({ tools: toolsAt, vsix: vsixAt, python: pythonAt, root, file, settings: {} });
try {
  const { page, workbench } = session;
  await workbench.status("ready");
  await page.locator(`.monaco-editor[data-uri$="${path.basename(file)}"] .view-lines`).click();
  await workbench.endOfLine(Number(line));
  await workbench.command("CoDA: Suggest Here");
  await workbench.anyGhostText();
  await page.screenshot({ path: picture });
} finally {
  await session.close();
  await rm(root, { recursive: true });
}
