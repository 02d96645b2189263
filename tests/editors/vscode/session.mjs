/** A page with the real VS Code in it, the extension installed, and a file open. */

import { createRequire } from "node:module";
import path from "node:path";
import { startCodeServer } from "./code_server.mjs";
import { PATIENCE_MS, Workbench } from "./workbench.mjs";

const CHROMIUM = "/usr/bin/chromium";
const CHROMIUM_OPTIONS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"];
const QUIET_CHROMIUM = ["--disable-background-networking", "--disable-component-update"];
const PAGE = { width: 1000, height: 560 };
const QUIET_EDITOR = {
  "telemetry.telemetryLevel": "off",
  "workbench.startupEditor": "none",
  "workbench.colorTheme": "Default Dark Modern",
  "workbench.tips.enabled": false,
  "editor.minimap.enabled": false,
  "editor.fontSize": 15,
  "terminal.integrated.gpuAcceleration": "off", // so that its text can be read
  "files.autoSave": "off",
};

/**
 * Returns as soon as the page has been asked for. `root` takes what VS Code writes; `close` returns the command lines of
 * the processes that outlived it.
 */
export async function openSession({ tools, vsix, python, root, file, settings, scale = 1 }) {
  const userSettings = { ...QUIET_EDITOR, ...settings };
  const machineSettings = { "coda.interpreter": python };
  const server = await startCodeServer({ tools, vsix, root, userSettings, machineSettings });
  const { chromium } = createRequire(path.join(tools, "package.json"))("playwright-core");
  const args = [...CHROMIUM_OPTIONS, ...QUIET_CHROMIUM];
  const browser = await chromium.launch({ executablePath: CHROMIUM, args });
  const context = await browser.newContext({ viewport: PAGE, deviceScaleFactor: scale });
  await context.grantPermissions(["clipboard-read", "clipboard-write"]);
  const page = await context.newPage();
  page.setDefaultTimeout(PATIENCE_MS);
  await page.goto(server.address(path.dirname(file), file));
  return {
    page,
    workbench: new Workbench(page),
    server,
    close: async () => {
      await browser.close();
      return server.stop(20_000);
    },
  };
}
