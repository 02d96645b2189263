/** VS Code as a web page: a server of our own on loopback, in folders of its own, gone without a trace afterwards. */

import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, open, readdir, readFile, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import path from "node:path";
import { createInterface } from "node:readline";

const NOWHERE = "http://127.0.0.1:9";
const GALLERY = JSON.stringify({ serviceUrl: NOWHERE, itemUrl: NOWHERE, resourceUrlTemplate: `${NOWHERE}/{path}` });

/** Installs the extension and starts the server; `root` takes its data, its settings and its logs. */
export async function startCodeServer({ tools, vsix, root, userSettings, machineSettings }) {
  const entry = path.join(tools, "node_modules/code-server/out/node/entry.js");
  const data = path.join(root, "data");
  const config = path.join(root, "config.yaml");
  const port = await freePort();
  // Every process that comes of this server inherits the mark: by it we know what is left of it.
  const mark = `CODA_EDITOR_TEST=${root}`;
  // A PYTHONPATH would put the server into environments that are to lack it.
  const env = { ...process.env, PYTHONPATH: "", EXTENSIONS_GALLERY: GALLERY, CODA_EDITOR_TEST: root };
  const settingsFile = await writeSettings(data, "User", userSettings);
  await writeSettings(data, "Machine", machineSettings); // for a page, the server is a remote machine
  await writeFile(config, `bind-addr: 127.0.0.1:${port}\nauth: none\ncert: false\n`);
  const folders = ["--config", config, "--user-data-dir", data, "--extensions-dir", path.join(root, "extensions")];
  const log = await open(path.join(root, "code-server.log"), "a"); // it complains of much that a test does without
  const stdio = ["ignore", log.fd, log.fd];
  await finished(spawn("node", [entry, ...folders, "--install-extension", vsix], { env, stdio }));

  const quiet = ["--disable-telemetry", "--disable-update-check", "--disable-workspace-trust"];
  const options = [...folders, ...quiet, "--disable-getting-started-override"];
  const server = spawn("node", [entry, ...options], { env, stdio: ["ignore", "pipe", log.fd] });
  for await (const line of createInterface(server.stdout)) {
    if (line.includes("HTTP server listening")) {
      break;
    }
  }
  if (server.exitCode !== null) {
    throw new Error(`code-server ended with status ${server.exitCode}`);
  }
  server.stdout.resume();
  return {
    settingsFile,
    setMachineSettings: (changed) => writeSettings(data, "Machine", changed),
    /** The address of a page with this file open in this folder. */
    address: (folder, file) => {
      const payload = JSON.stringify([["openFile", `vscode-remote://127.0.0.1:${port}${file}`]]);
      return `http://127.0.0.1:${port}/?folder=${encodeURIComponent(folder)}&payload=${encodeURIComponent(payload)}`;
    },
    /** Ends the server and returns the command lines of what outlived it by `patience_ms`. */
    stop: async (patience_ms) => {
      server.kill("SIGTERM");
      if (server.exitCode === null) {
        await once(server, "exit");
      }
      const deadline = Date.now() + patience_ms;
      let left = await processesWith(mark);
      while (left.length > 0 && Date.now() < deadline) {
        await new Promise((resolve) => setTimeout(resolve, 100)); // the end of a grandchild gives no event
        left = await processesWith(mark);
      }
      for (const { pid } of left) {
        process.kill(pid, "SIGKILL");
      }
      await log.close();
      return left.map((each) => each.command);
    },
  };
}

async function writeSettings(data, level, settings) {
  const file = path.join(data, level, "settings.json");
  await mkdir(path.dirname(file), { recursive: true });
  await writeFile(file, JSON.stringify(settings, null, 2));
  return file;
}

async function freePort() {
  const probe = createServer().listen(0, "127.0.0.1");
  await once(probe, "listening");
  const { port } = probe.address();
  probe.close();
  await once(probe, "close");
  return port;
}

async function finished(child) {
  const [status] = await once(child, "exit");
  if (status !== 0) {
    throw new Error(`${child.spawnargs.join(" ")} ended with status ${status}`);
  }
}

async function processesWith(mark) {
  const found = [];
  for (const name of await readdir("/proc")) {
    if (!/^\d+$/.test(name) || Number(name) === process.pid) {
      continue;
    }
    try {
      const environment = await readFile(`/proc/${name}/environ`, "utf8");
      if (environment.split("\0").includes(mark)) {
        const command = (await readFile(`/proc/${name}/cmdline`, "utf8")).replaceAll("\0", " ");
        found.push({ pid: Number(name), command });
      }
    } catch (error) {
      if (!["ENOENT", "ESRCH", "EACCES"].includes(error.code)) {
        throw error; // anything but a process that has ended or is not ours
      }
    }
  }
  return found;
}
