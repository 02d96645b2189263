/** Finding a Python interpreter that can import the language server. */

import { execFile } from "node:child_process";
import * as os from "node:os";
import * as path from "node:path";
import { promisify } from "node:util";
import * as vscode from "vscode";

/** The oldest Python that the server runs on. */
export const OLDEST_PYTHON: readonly [number, number] = [3, 11];

const PROBE_TIMEOUT_MS = 20_000;
const PROBE = `
import json, sys
try:
    from coda_lsp import __version__ as server
except ModuleNotFoundError as error:
    if error.name != "coda_lsp":
        raise
    server = None
print(json.dumps({"path": sys.executable, "python": list(sys.version_info[:2]), "server": server}))
`;

/** Where an interpreter may be, and how it was come by. */
interface Candidate {
  readonly path: string;
  readonly origin: string;
}

/** An interpreter that runs; `server` is the version of coda-lsp in it, null where there is none. */
export interface Interpreter extends Candidate {
  readonly python: readonly [number, number];
  readonly server: string | null;
}

/** Without it, Python would import modules out of the folder that it is started in: the user's workspace. */
export const SAFE_ENVIRONMENT = { PYTHONSAFEPATH: "1", PYTHONUTF8: "1" } as const;

/**
 * The interpreter to run the server with, or why there is none and which interpreters it could be installed into.
 *
 * The setting `coda.interpreter` is taken at its word; without it, the first interpreter that has the server wins.
 */
export async function findInterpreter(
  ownEnvironment: vscode.Uri,
): Promise<{ chosen?: Interpreter; found: Interpreter[]; problem: string }> {
  const found: Interpreter[] = [];
  const configured = configuredInterpreter();
  if (configured !== undefined) {
    try {
      found.push(await probe({ path: configured, origin: "the setting coda.interpreter" }));
    } catch (error) {
      return { found, problem: `The interpreter ${configured} (coda.interpreter) can't be used: ${reasonOf(error)}` };
    }
  } else {
    for (const candidate of await candidates(ownEnvironment)) {
      const interpreter = await probe(candidate).catch(() => undefined); // most places have none
      if (interpreter !== undefined && !found.some((other) => other.path === interpreter.path)) {
        found.push(interpreter);
        if (hasServer(interpreter)) {
          break;
        }
      }
    }
  }
  const chosen = found.find(hasServer);
  const where = found.map((each) => each.path).join(", ");
  const problem =
    chosen !== undefined ? ""
    : found.length === 0 ? "There is no Python interpreter to run CoDA with."
    : `The Python package coda-lsp is not installed in ${where}.`;
  return { chosen, found, problem };
}

/** Whether the server could be installed here. */
export function isRecentEnough(interpreter: Interpreter): boolean {
  const [major, minor] = interpreter.python;
  return major > OLDEST_PYTHON[0] || (major === OLDEST_PYTHON[0] && minor >= OLDEST_PYTHON[1]);
}

/** The interpreter of an environment made by `python -m venv`. */
export function interpreterOf(environment: string): string {
  return process.platform === "win32"
    ? path.join(environment, "Scripts", "python.exe")
    : path.join(environment, "bin", "python");
}

/** Calls back when the Python extension, if there is one, switches to another environment. */
export async function onDidChangeActiveEnvironment(callback: () => void): Promise<vscode.Disposable> {
  const python = await pythonExtension();
  return python?.environments.onDidChangeActiveEnvironmentPath(callback) ?? new vscode.Disposable(() => {});
}

function hasServer(interpreter: Interpreter): boolean {
  return interpreter.server !== null && isRecentEnough(interpreter);
}

function configuredInterpreter(): string | undefined {
  const value = vscode.workspace.getConfiguration("coda").get<string | null>("interpreter")?.trim();
  if (!value) {
    return undefined;
  }
  const folder = vscode.workspace.workspaceFolders?.[0]?.uri.fsPath ?? "";
  const expanded = value.replaceAll("${workspaceFolder}", folder).replace(/^~(?=$|[\\/])/, os.homedir());
  return path.normalize(expanded);
}

async function candidates(ownEnvironment: vscode.Uri): Promise<Candidate[]> {
  const list: Candidate[] = [];
  if (vscode.workspace.isTrusted) {
    // An environment can run code of its own: none is taken from a workspace that the user does not trust.
    const active = await activeEnvironment();
    if (active !== undefined) {
      list.push({ path: active, origin: "the Python extension" });
    }
    for (const folder of vscode.workspace.workspaceFolders ?? []) {
      if (folder.uri.scheme === "file") {
        for (const name of [".venv", "venv"]) {
          list.push({ path: interpreterOf(path.join(folder.uri.fsPath, name)), origin: `${name} in ${folder.name}` });
        }
      }
    }
  }
  list.push({ path: interpreterOf(ownEnvironment.fsPath), origin: "CoDA's own environment" });
  for (const name of process.platform === "win32" ? ["python", "py"] : ["python3", "python"]) {
    list.push({ path: name, origin: "PATH" });
  }
  return list;
}

/** Asks an interpreter about itself. Rejects where there is none, or it is broken. */
async function probe(candidate: Candidate): Promise<Interpreter> {
  const options = {
    timeout: PROBE_TIMEOUT_MS,
    cwd: os.homedir(),
    env: { ...process.env, ...SAFE_ENVIRONMENT },
    windowsHide: true,
  };
  const { stdout } = await promisify(execFile)(candidate.path, ["-c", PROBE], options);
  return { ...candidate, ...(JSON.parse(stdout) as Omit<Interpreter, "origin">) };
}

/** The last line of what the interpreter had to say, which in a traceback is the error itself. */
function reasonOf(error: unknown): string {
  const { stderr, message } = error as Error & { stderr?: string };
  return (stderr || message).trim().split("\n").at(-1) ?? "";
}

/** The part of the Python extension's interface that is used here. */
interface PythonExtension {
  readonly environments: {
    getActiveEnvironmentPath(resource?: vscode.Uri): { readonly path: string };
    resolveEnvironment(
      environment: { readonly path: string },
    ): Promise<{ readonly executable: { readonly uri: vscode.Uri | undefined } } | undefined>;
    readonly onDidChangeActiveEnvironmentPath: vscode.Event<unknown>;
  };
}

async function pythonExtension(): Promise<PythonExtension | undefined> {
  return vscode.extensions.getExtension<PythonExtension>("ms-python.python")?.activate();
}

async function activeEnvironment(): Promise<string | undefined> {
  const environments = (await pythonExtension())?.environments;
  const folder = vscode.workspace.workspaceFolders?.[0]?.uri;
  const resolved = await environments?.resolveEnvironment(environments.getActiveEnvironmentPath(folder));
  return resolved?.executable.uri?.fsPath;
}
