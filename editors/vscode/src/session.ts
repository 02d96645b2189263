/** The language server's process and the connection to it. */

import * as vscode from "vscode";
import { type LanguageClientOptions, type ProgressToken, State, type StaticFeature } from "vscode-languageclient";
import { LanguageClient, type ServerOptions, TransportKind } from "vscode-languageclient/node";
import { findInterpreter, type Interpreter, SAFE_ENVIRONMENT } from "./interpreter";
import { offerInstall } from "./installer";
import { PartialAccept } from "./partialAccept";
import type { Status, StatusBar } from "./statusBar";

/** Settings under `coda` that are this extension's own; the server would report them as unknown. */
const OWN_SETTINGS: readonly string[] = ["interpreter", "trace"];

/** Asks the server for `coda/status` notifications. */
const STATUS_FEATURE: StaticFeature = {
  fillClientCapabilities(capabilities) {
    capabilities.experimental = { ...(capabilities.experimental as object | undefined), codaStatus: true };
  },
  initialize() {},
  getState: () => ({ kind: "static" }),
  clear() {},
};

/** The bar of `vscode.window.withProgress`. */
type ProgressBar = vscode.Progress<{ message?: string; increment?: number }>;

/** Starts the server, and starts it again when asked to; one step after the other. */
export class Session {
  interpreter: Interpreter | undefined;
  readonly partialAccept = new PartialAccept(this);
  private progressBar: ProgressBar | undefined;
  private progressToken: ProgressToken | undefined; // of the server's work that the bar shows
  private client: LanguageClient | undefined;
  private steps: Promise<void> = Promise.resolve();

  constructor(
    private readonly context: vscode.ExtensionContext,
    private readonly output: vscode.LogOutputChannel,
    private readonly statusBar: StatusBar,
  ) {}

  /** The connection, once the server answers. */
  get connection(): LanguageClient | undefined {
    return this.client?.isRunning() ? this.client : undefined;
  }

  /** Looks for an interpreter and starts the server, in place of one that runs. */
  restart(): Promise<void> {
    return this.afterwards(async () => {
      await this.end();
      await this.begin();
    });
  }

  /** Starts the server anew if another interpreter would now be taken. */
  restartIfInterpreterChanged(): Promise<void> {
    return this.afterwards(async () => {
      const { chosen } = await findInterpreter(this.ownEnvironment);
      if (chosen?.path !== this.interpreter?.path) {
        await this.end();
        await this.begin();
      }
    });
  }

  /** Shows the server's progress in a bar of ours while the work runs: one that can be cancelled, which its own can't. */
  async withProgress(bar: ProgressBar, work: () => Promise<void>): Promise<void> {
    this.progressBar = bar;
    try {
      await work();
    } finally {
      this.progressBar = undefined;
    }
  }

  stop(): Promise<void> {
    return this.afterwards(() => this.end());
  }

  private get ownEnvironment(): vscode.Uri {
    return vscode.Uri.joinPath(this.context.globalStorageUri, "venv");
  }

  private afterwards(step: () => Promise<void>): Promise<void> {
    this.steps = this.steps.then(step).catch((error: unknown) => {
      this.output.error(String(error));
      this.statusBar.show({ state: "error", message: "The language server could not be started; the output says why." });
    });
    return this.steps;
  }

  private async begin(): Promise<void> {
    this.statusBar.show({ state: "loading", message: "Looking for a Python interpreter." });
    const { chosen, found, problem } = await findInterpreter(this.ownEnvironment);
    this.interpreter = chosen;
    if (chosen === undefined) {
      this.output.warn(problem);
      this.statusBar.show({ state: "missing", message: problem });
      void this.mend(problem, found);
      return;
    }
    this.output.info(`coda-lsp ${chosen.server} in ${chosen.path} (${chosen.origin}).`);
    this.statusBar.show({ state: "loading", message: "The language server starts." });
    const client = new LanguageClient("coda", "CoDA", serverOptions(chosen), this.clientOptions());
    client.registerFeature(STATUS_FEATURE);
    client.onNotification("coda/status", (status: Status) => this.statusBar.show(status));
    client.onDidChangeState(({ newState }) => {
      void vscode.commands.executeCommand("setContext", "coda.running", newState === State.Running);
      if (newState === State.Stopped && this.client === client) {
        this.statusBar.show({ state: "error", message: "The language server has stopped." });
      }
    });
    this.client = client;
    await client.start();
  }

  private async mend(problem: string, found: readonly Interpreter[]): Promise<void> {
    if (await offerInstall(problem, found, this.context, this.ownEnvironment)) {
      await this.restart();
    }
  }

  private async end(): Promise<void> {
    const client = this.client;
    this.client = undefined;
    try {
      await client?.dispose();
    } catch (error) {
      this.output.warn(`The language server did not end as asked: ${String(error)}`);
    }
  }

  private clientOptions(): LanguageClientOptions {
    return {
      documentSelector: [{ scheme: "file" }, { scheme: "untitled" }, { scheme: "vscode-notebook-cell" }],
      outputChannel: this.output,
      traceOutputChannel: this.output,
      middleware: {
        provideInlineCompletionItems: async (document, position, context, token, next) => {
          const answer = await next(document, position, context, token);
          this.partialAccept.remember(document, Array.isArray(answer) ? answer : (answer?.items ?? []));
          return answer;
        },
        handleWorkDoneProgress: (token, params, next) => {
          if (params.kind === "begin" && this.progressBar !== undefined) {
            this.progressToken = token;
          }
          if (params.kind !== "end" && token === this.progressToken) {
            this.progressBar?.report({ message: params.message });
          } else {
            next(token, params);
          }
        },
        workspace: {
          didChangeConfiguration: async (sections, next) => {
            try {
              await next(sections);
            } catch (error) {
              // A change that has the server started anew ends this connection before it was told.
              this.output.warn(`The server was not told of changed settings: ${String(error)}`);
            }
          },
          configuration: async (params, token, next) => {
            const answer = await next(params, token);
            return Array.isArray(answer) ? answer.map(withoutOwnSettings) : answer;
          },
        },
      },
    };
  }
}

function serverOptions(interpreter: Interpreter): ServerOptions {
  return {
    command: interpreter.path,
    args: ["-m", "coda_lsp"],
    transport: TransportKind.stdio,
    options: { env: { ...process.env, ...SAFE_ENVIRONMENT } },
  };
}

function withoutOwnSettings<T>(section: T): T {
  if (section === null || typeof section !== "object") {
    return section;
  }
  return Object.fromEntries(Object.entries(section).filter(([key]) => !OWN_SETTINGS.includes(key))) as T;
}
