/** One item in the status bar: how CoDA is, and a way to its menu. */

import * as vscode from "vscode";

/** What the server sends as `coda/status`; `missing` is our own, for a server that is not there. */
export interface Status {
  readonly state: "loading" | "ready" | "busy" | "error" | "off" | "missing";
  readonly message: string;
}

const ICONS: Readonly<Record<Status["state"], string>> = {
  loading: "loading~spin",
  ready: "sparkle",
  busy: "sparkle-filled",
  error: "error",
  off: "circle-slash",
  missing: "warning",
};

/** Shows the last status it was given. */
export class StatusBar implements vscode.Disposable {
  private readonly item = vscode.window.createStatusBarItem("coda.status", vscode.StatusBarAlignment.Right, 100);
  private current: Status = { state: "loading", message: "The language server has not been started yet." };

  constructor(menuCommand: string) {
    this.item.name = "CoDA";
    this.item.command = menuCommand;
    this.show(this.current);
    this.item.show();
  }

  get status(): Status {
    return this.current;
  }

  show(status: Status): void {
    this.current = status;
    this.item.text = `$(${ICONS[status.state]}) CoDA`;
    this.item.tooltip = describe(status);
    this.item.accessibilityInformation = { label: `CoDA is ${status.state}. ${status.message}`, role: "button" };
    this.item.backgroundColor =
      status.state === "error" ? new vscode.ThemeColor("statusBarItem.errorBackground")
      : status.state === "missing" ? new vscode.ThemeColor("statusBarItem.warningBackground")
      : undefined;
  }

  dispose(): void {
    this.item.dispose();
  }
}

/** The status as a line of text. */
export function describe(status: Status): string {
  return `CoDA: ${status.message || status.state}`;
}
