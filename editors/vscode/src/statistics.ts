/** The server's counters, which never leave the machine. */

import * as vscode from "vscode";
import { ExecuteCommandRequest } from "vscode-languageclient";
import type { Session } from "./session";

/** The answer to `coda.stats`, see docs/protocol.md. */
interface Statistics {
  readonly enabled: boolean;
  readonly since: string;
  readonly requests: number;
  readonly fromCache: number;
  readonly shown: number;
  readonly accepted: number;
  readonly partiallyAccepted: number;
  readonly rejected: number;
  readonly charactersSaved: number;
  readonly filters: Readonly<Record<string, number>>;
  readonly latencyMs: { readonly p50: number | null; readonly p95: number | null };
}

export async function showStatistics(session: Session): Promise<void> {
  const { connection } = session;
  if (connection === undefined) {
    void vscode.window.showWarningMessage("CoDA's language server does not run.");
    return;
  }
  const ask = (...given: object[]): Promise<Statistics> =>
    connection.sendRequest(ExecuteCommandRequest.type, { command: "coda.stats", arguments: given });
  const statistics = await ask();
  if (!statistics.enabled) {
    void vscode.window.showInformationMessage("CoDA counts nothing: coda.counters is off.");
    return;
  }
  const reset = "Begin Anew";
  const since = new Date(statistics.since).toLocaleString();
  const detail = linesOf(statistics).join("\n");
  const answer = await vscode.window.showInformationMessage(`CoDA since ${since}`, { modal: true, detail }, reset);
  if (answer === reset) {
    await ask({ reset: true });
  }
}

function linesOf(statistics: Statistics): string[] {
  const { requests, fromCache, shown, accepted, partiallyAccepted, rejected, charactersSaved } = statistics;
  const share = shown > 0 ? ` (${Math.round((100 * accepted) / shown)}%)` : "";
  const { p50, p95 } = statistics.latencyMs;
  const milliseconds = (value: number | null): string => (value === null ? "none yet" : `${Math.round(value)} ms`);
  return [
    `Requests: ${requests}, ${fromCache} from the cache`,
    `Shown: ${shown}`,
    `Accepted: ${accepted}${share}, and a part of ${partiallyAccepted}`,
    `Rejected: ${rejected}`,
    `Characters saved: ${charactersSaved}`,
    `Latency: p50 ${milliseconds(p50)}, p95 ${milliseconds(p95)}`,
    ...Object.entries(statistics.filters).map(([name, count]) => `Filter ${name}: ${count}`),
    "",
    "These numbers stay on this machine.",
  ];
}
