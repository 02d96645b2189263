/**
 * Taking a word or a line of a suggestion, and telling the server of it.
 *
 * VS Code runs an item's command once all of it is taken, but tells extensions nothing of a part. So the two commands
 * here run VS Code's own, and see by the change of the text what was taken, and of which suggestion.
 */

import * as vscode from "vscode";
import { ExecuteCommandRequest } from "vscode-languageclient";
import type { Session } from "./session";

/** What the server answered last for a document: the suggestions that can be on the screen. */
interface Offer {
  readonly document: vscode.TextDocument;
  readonly items: readonly vscode.InlineCompletionItem[];
}

export class PartialAccept {
  private offer: Offer | undefined;

  constructor(private readonly session: Session) {}

  /** Called with every answer to a request for suggestions. */
  remember(document: vscode.TextDocument, items: readonly vscode.InlineCompletionItem[]): void {
    this.offer = { document, items };
  }

  /** Takes the next word. */
  word(): Promise<void> {
    return this.take("editor.action.inlineSuggest.acceptNextWord");
  }

  /** Takes the next line. */
  line(): Promise<void> {
    return this.take("editor.action.inlineSuggest.acceptNextLine");
  }

  private async take(command: string): Promise<void> {
    const offer = this.offer;
    const ends: number[] = [];
    const listener = vscode.workspace.onDidChangeTextDocument(({ document, contentChanges }) => {
      if (document === offer?.document) {
        ends.push(...contentChanges.map((change) => change.rangeOffset + change.text.length));
      }
    });
    try {
      await vscode.commands.executeCommand(command);
    } finally {
      listener.dispose();
    }
    if (offer !== undefined && ends.length > 0) {
      this.tell(offer, Math.min(...ends)); // with several cursors the first one's
    }
  }

  private tell({ document, items }: Offer, end: number): void {
    for (const { insertText, range, command } of items) {
      const id = (command?.arguments?.[0] as { id?: string } | undefined)?.id;
      if (typeof insertText !== "string" || range === undefined || id === undefined) {
        continue;
      }
      const taken = document.getText(new vscode.Range(range.start, document.positionAt(end)));
      if (taken.length > 0 && taken.length < insertText.length && insertText.startsWith(taken)) {
        const params = { command: "coda.partiallyAccepted", arguments: [{ id, length: taken.length }] };
        void this.session.connection?.sendRequest(ExecuteCommandRequest.type, params);
        return;
      }
    }
  }
}
