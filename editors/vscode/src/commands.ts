/** What the user can ask for. */

import * as vscode from "vscode";
import { fillHoles, fillSelection, regenerate } from "./fills";
import { chooseInterpreter } from "./installer";
import type { Session } from "./session";
import { showStatistics } from "./statistics";
import { describe, type StatusBar } from "./statusBar";
import { runInTerminal } from "./terminal";

export const MENU = "coda.menu.show";
const WALKTHROUGH = "coda-lsp.coda-lsp#coda.start";

/** The commands by their ids in package.json. Those of the server itself are registered by the client library. */
export function createCommands(
  session: Session,
  statusBar: StatusBar,
  output: vscode.LogOutputChannel,
): Readonly<Record<string, () => unknown>> {
  return {
    [MENU]: () => showMenu(statusBar),
    "coda.selection.fill": () => fillSelection(session),
    "coda.holes.fill": () => fillHoles(session),
    "coda.fill.regenerate": () => regenerate(session),
    "coda.suggestion.acceptWord": () => session.partialAccept.word(),
    "coda.suggestion.acceptLine": () => session.partialAccept.line(),
    "coda.statistics.show": () => showStatistics(session),
    "coda.suggestion.show": () => vscode.commands.executeCommand("editor.action.inlineSuggest.trigger"),
    "coda.server.restart": () => session.restart(),
    "coda.interpreter.choose": () => chooseInterpreter(),
    "coda.output.show": () => output.show(),
    "coda.doctor.run": () => runDoctor(session),
    "coda.walkthrough.show": () => vscode.commands.executeCommand("workbench.action.openWalkthrough", WALKTHROUGH),
  };
}

async function runDoctor(session: Session): Promise<void> {
  const { interpreter } = session;
  if (interpreter === undefined) {
    await session.restart(); // says what is missing, and offers to install it
    return;
  }
  const configuration = vscode.workspace.getConfiguration("coda");
  const options = [
    ["--model", configuration.get<string>("model")],
    ["--device", configuration.get<string>("device")],
    ["--dtype", configuration.get<string>("dtype")],
    ["--server-url", configuration.get<string | null>("serverUrl")],
  ] as const;
  const given = options.flatMap(([name, value]) => (value ? [name, value] : []));
  const token = configuration.get<string | null>("serverToken");
  // In the environment: whoever lists the processes could read it among the arguments.
  const environment: Record<string, string> = token ? { CODA_SERVER_TOKEN: token } : {};
  await runInTerminal("CoDA doctor", interpreter.path, ["-m", "coda_lsp", "doctor", ...given], environment);
}

interface MenuItem extends vscode.QuickPickItem {
  readonly run?: () => unknown;
}

async function showMenu(statusBar: StatusBar): Promise<void> {
  const command = (label: string, id: string, ...rest: unknown[]): MenuItem => ({
    label,
    run: () => vscode.commands.executeCommand(id, ...rest),
  });
  const separator = (label: string): MenuItem => ({ label, kind: vscode.QuickPickItemKind.Separator });
  const items = [
    separator("Suggestions appear"),
    ...modes(),
    separator("Do"),
    command("$(sparkle) Suggest here", "coda.suggestion.show"),
    command("$(edit-sparkle) Fill the selection", "coda.selection.fill"),
    command("$(checklist) Fill the holes in this file", "coda.holes.fill"),
    command("$(refresh) Write the last fill anew", "coda.fill.regenerate"),
    command("$(graph) Statistics", "coda.statistics.show"),
    separator("When something is wrong"),
    command("$(debug-restart) Restart", "coda.server.restart"),
    command("$(pulse) Doctor: why does nothing show?", "coda.doctor.run"),
    command("$(output) Show the output", "coda.output.show"),
    separator("Set up"),
    command("$(settings-gear) Settings", "workbench.action.openSettings", "@ext:coda-lsp.coda-lsp"),
    command("$(symbol-namespace) Choose the Python interpreter…", "coda.interpreter.choose"),
    command("$(book) First steps", "coda.walkthrough.show"),
  ];
  const chosen = await vscode.window.showQuickPick(items, { title: describe(statusBar.status) });
  if (chosen?.run !== undefined) {
    // From the status bar the keyboard would stay there: Tab would not take the suggestion asked for here.
    await vscode.commands.executeCommand("workbench.action.focusActiveEditorGroup");
    await chosen.run();
  }
}

/** One item for each value of `coda.enable`, the present one marked. */
function modes(): MenuItem[] {
  const configuration = vscode.workspace.getConfiguration("coda");
  const now = configuration.get<string>("enable");
  const labels = { automatic: "while typing", manual: "only when asked for", off: "never" };
  return Object.entries(labels).map(([mode, label]) => ({
    label: `$(${mode === now ? "check" : "blank"}) ${label}`,
    description: mode,
    run: () => configuration.update("enable", mode, targetOf(configuration, "enable")),
  }));
}

/** Where a change takes effect: the workspace, if it has a value of its own, or else the user. */
function targetOf(configuration: vscode.WorkspaceConfiguration, key: string): vscode.ConfigurationTarget {
  const hasOwn = configuration.inspect(key)?.workspaceValue !== undefined;
  return hasOwn ? vscode.ConfigurationTarget.Workspace : vscode.ConfigurationTarget.Global;
}
