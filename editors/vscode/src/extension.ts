/** CoDA in VS Code: finds the language server, starts it, and shows how it is. The server does the rest. */

import * as vscode from "vscode";
import { createCommands, MENU } from "./commands";
import { onDidChangeActiveEnvironment } from "./interpreter";
import { Session } from "./session";
import { StatusBar } from "./statusBar";

let session: Session | undefined;

export async function activate(context: vscode.ExtensionContext): Promise<void> {
  const output = vscode.window.createOutputChannel("CoDA", { log: true });
  const statusBar = new StatusBar(MENU);
  const running = (session = new Session(context, output, statusBar));
  context.subscriptions.push(output, statusBar);
  for (const [id, run] of Object.entries(createCommands(running, statusBar, output))) {
    context.subscriptions.push(vscode.commands.registerCommand(id, run));
  }
  context.subscriptions.push(
    vscode.workspace.onDidChangeConfiguration((change) => {
      if (change.affectsConfiguration("coda.interpreter")) {
        void running.restart();
      }
    }),
    vscode.workspace.onDidGrantWorkspaceTrust(() => void running.restartIfInterpreterChanged()),
  );
  await running.restart();
  context.subscriptions.push(await onDidChangeActiveEnvironment(() => void running.restartIfInterpreterChanged()));
}

export async function deactivate(): Promise<void> {
  await session?.stop();
}
