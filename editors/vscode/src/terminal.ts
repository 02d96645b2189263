/** Running a Python command in a terminal, where the user can read along. */

import * as vscode from "vscode";
import { SAFE_ENVIRONMENT } from "./interpreter";

/** Runs it to its end and returns its exit status; undefined when the user closed the terminal. */
export async function runInTerminal(
  name: string,
  program: string,
  programArguments: readonly string[],
  environment: Readonly<Record<string, string>> = {},
): Promise<number | undefined> {
  const execution = new vscode.ProcessExecution(program, [...programArguments], {
    env: { ...SAFE_ENVIRONMENT, ...environment },
  });
  const task = new vscode.Task({ type: "process" }, vscode.TaskScope.Workspace, name, "CoDA", execution, []);
  task.presentationOptions = { reveal: vscode.TaskRevealKind.Always, panel: vscode.TaskPanelKind.Dedicated, clear: true };
  const ended = new Promise<number | undefined>((resolve) => {
    const listener = vscode.tasks.onDidEndTaskProcess((event) => {
      if (event.execution.task.name === name && event.execution.task.source === "CoDA") {
        listener.dispose();
        resolve(event.exitCode);
      }
    });
  });
  await vscode.tasks.executeTask(task);
  return ended;
}
