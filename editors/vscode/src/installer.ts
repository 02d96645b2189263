/** Installing the language server, with the user's leave, into an environment of the user's choice. */

import * as vscode from "vscode";
import { type Interpreter, interpreterOf, isRecentEnough, OLDEST_PYTHON } from "./interpreter";
import { runInTerminal } from "./terminal";

interface Choice extends vscode.QuickPickItem {
  readonly interpreter?: Interpreter;
  readonly isNew?: boolean;
}

/** Says what is missing and offers to mend it. Returns true when the server has been installed. */
export async function offerInstall(
  problem: string,
  found: readonly Interpreter[],
  context: vscode.ExtensionContext,
  ownEnvironment: vscode.Uri,
): Promise<boolean> {
  const install = "Install…";
  const choose = "Choose an Interpreter…";
  const suited = found.filter(isRecentEnough);
  const answer = await vscode.window.showWarningMessage(problem, ...(suited.length > 0 ? [install] : []), choose);
  if (answer === choose) {
    await chooseInterpreter();
  }
  return answer === install && (await installServer(suited, context, ownEnvironment));
}

/** Lets the user point at an interpreter; the change of the setting restarts the server. */
export async function chooseInterpreter(): Promise<void> {
  const [file] =
    (await vscode.window.showOpenDialog({ title: "The Python interpreter that runs CoDA", openLabel: "Choose" })) ?? [];
  if (file !== undefined) {
    const configuration = vscode.workspace.getConfiguration("coda");
    await configuration.update("interpreter", file.fsPath, vscode.ConfigurationTarget.Global);
  }
}

async function installServer(
  suited: readonly Interpreter[],
  context: vscode.ExtensionContext,
  ownEnvironment: vscode.Uri,
): Promise<boolean> {
  const wheel = await bundledWheel(context.extensionUri);
  if (wheel === undefined) {
    void vscode.window.showErrorMessage("This build of the extension carries no language server; make it with make vscode.");
    return false;
  }
  const choice = await pickEnvironment(suited, ownEnvironment);
  if (choice?.interpreter === undefined) {
    return false;
  }
  const base = choice.interpreter.path;
  const target = choice.isNew ? interpreterOf(ownEnvironment.fsPath) : base;
  const commands: [string, ...string[]][] = [
    ...(choice.isNew ? [[base, "-m", "venv", ownEnvironment.fsPath] as [string, ...string[]]] : []),
    [target, "-m", "pip", "install", "--upgrade", wheel.fsPath],
  ];
  const detail = commands.map((command) => command.join(" ")).join("\n\n");
  const question = "Run this in a terminal? It downloads PyTorch, which is large.";
  if ((await vscode.window.showInformationMessage(question, { modal: true, detail }, "Run")) !== "Run") {
    return false;
  }
  await vscode.workspace.fs.createDirectory(context.globalStorageUri);
  for (const [program, ...programArguments] of commands) {
    const status = await runInTerminal("Install CoDA", program, programArguments);
    if (status !== 0) {
      void vscode.window.showErrorMessage("CoDA was not installed; the terminal says why.");
      return false;
    }
  }
  return true;
}

async function pickEnvironment(suited: readonly Interpreter[], ownEnvironment: vscode.Uri): Promise<Choice | undefined> {
  const fresh: Choice = {
    label: "$(add) A new environment for CoDA alone",
    description: "recommended",
    detail: ownEnvironment.fsPath,
    interpreter: suited[0],
    isNew: true,
  };
  const existing = suited.map<Choice>((interpreter) => ({
    label: `$(symbol-namespace) Python ${interpreter.python.join(".")}`,
    description: interpreter.origin,
    detail: interpreter.path,
    interpreter,
  }));
  const placeHolder = `Where to install coda-lsp (Python ${OLDEST_PYTHON.join(".")} or newer)`;
  return vscode.window.showQuickPick([fresh, ...existing], { placeHolder });
}

async function bundledWheel(extension: vscode.Uri): Promise<vscode.Uri | undefined> {
  const folder = vscode.Uri.joinPath(extension, "server");
  try {
    const wheel = (await vscode.workspace.fs.readDirectory(folder)).find(([name]) => name.endsWith(".whl"));
    return wheel && vscode.Uri.joinPath(folder, wheel[0]);
  } catch {
    return undefined;
  }
}
