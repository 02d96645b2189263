/** The commands that edit: fill the selection, fill the holes of a file, write the last fill anew. */

import * as vscode from "vscode";
import { ExecuteCommandRequest } from "vscode-languageclient";
import type { Session } from "./session";

/** What the server answers to a command that edits. */
interface Report {
  readonly holes: number;
  readonly filled: number;
}

export async function fillSelection(session: Session): Promise<void> {
  if (vscode.window.activeTextEditor?.selection.isEmpty ?? true) {
    void vscode.window.showInformationMessage("Select the code that CoDA shall write anew.");
    return;
  }
  await runOnEditor(session, "coda.fillSelection", "CoDA fills the selection");
}

/** The holes that the selection touches; all of the file's where nothing is selected. */
export async function fillHoles(session: Session): Promise<void> {
  await runOnEditor(session, "coda.fillHoles", "CoDA fills the holes in this file");
}

export async function regenerate(session: Session): Promise<void> {
  await runOnEditor(session, "coda.regenerate", "CoDA writes its last fill anew", { selection: false });
}

async function runOnEditor(
  session: Session,
  command: string,
  title: string,
  { selection }: { selection: boolean } = { selection: true },
): Promise<void> {
  const { connection } = session;
  const editor = vscode.window.activeTextEditor;
  if (connection === undefined || editor === undefined) {
    const problem = connection === undefined ? "CoDA's language server does not run." : "Open a file first.";
    void vscode.window.showWarningMessage(problem);
    return;
  }
  const target = {
    uri: connection.code2ProtocolConverter.asUri(editor.document.uri),
    version: editor.document.version,
    ...(selection && !editor.selection.isEmpty && { range: connection.code2ProtocolConverter.asRange(editor.selection) }),
  };
  const progress = { location: vscode.ProgressLocation.Notification, title, cancellable: true };
  await vscode.window.withProgress(progress, (bar, token) =>
    session.withProgress(bar, async () => {
      try {
        const params = { command, arguments: [target] };
        tell(await connection.sendRequest(ExecuteCommandRequest.type, params, token));
      } catch (error) {
        if (!token.isCancellationRequested) {
          void vscode.window.showWarningMessage(error instanceof Error ? error.message : String(error));
        }
      }
    }),
  );
}

/** Silent where all went well, for the edit is to be seen. */
function tell({ holes, filled }: Report): void {
  if (filled < holes) {
    const rest = "for the others the model had nothing useful.";
    void vscode.window.showInformationMessage(`CoDA filled ${filled} of ${holes} holes; ${rest}`);
  }
}
