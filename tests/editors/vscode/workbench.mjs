/** What a person does in VS Code, and sees there. */

import { watch } from "node:fs";
import { readFile } from "node:fs/promises";
import path from "node:path";

/** Only a case that fails waits so long: on a busy machine a model may take a minute to start. */
export const PATIENCE_MS = 180_000;

const GHOST = '[class*="ghost-text"]';

export class Workbench {
  constructor(page) {
    this.page = page;
  }

  /** Waits until the status bar says so: the document has been opened in the server by then. */
  async status(state) {
    await this.page.locator(`.statusbar-item [aria-label^="CoDA is ${state}."]`).waitFor();
  }

  /** What the status bar says, for the report of a failure. */
  async statusText() {
    return this.page.locator('.statusbar-item [aria-label^="CoDA is "]').getAttribute("aria-label");
  }

  async openMenu() {
    await this.page.locator('.statusbar-item [aria-label^="CoDA is "]').click();
    await this.page.locator(".quick-input-widget .quick-input-title").waitFor();
  }

  /** Runs a command as a person does: by its title in the palette. */
  async command(title) {
    await this.page.keyboard.press("F1");
    await this.choose(title);
  }

  /** Chooses from the list that is open by typing what the entry says. */
  async choose(label) {
    await this.page.locator(".quick-input-widget input[type=text]").waitFor();
    await this.page.keyboard.type(label);
    await this.page.locator(`.quick-input-list .focused[aria-label*="${label}"]`).first().waitFor();
    await this.page.keyboard.press("Enter");
    await this.page.locator(".quick-input-widget").waitFor({ state: "hidden" });
  }

  /** The caret to the end of a line of the open file, counted from 1. */
  async endOfLine(line) {
    await this.page.keyboard.press("Control+g");
    await this.page.locator(".quick-input-widget input[type=text]").waitFor();
    await this.page.keyboard.type(String(line));
    await this.page.keyboard.press("Enter");
    await this.page.locator(".quick-input-widget").waitFor({ state: "hidden" });
    await this.page.keyboard.press("End");
  }

  /** Selects the code of a line of the open file. */
  async selectLine(line) {
    await this.endOfLine(line);
    await this.page.keyboard.press("Shift+Home");
  }

  /** Waits until the suggestion on the screen is this text, white space apart: a block is drawn line by line. */
  async ghostText(wanted) {
    const shown = ([selector, text]) => {
      const found = [...document.querySelectorAll(selector)];
      const leaves = found.filter((element) => element.querySelector(selector) === null);
      const top = (element) => element.getBoundingClientRect().top;
      leaves.sort((one, other) => top(one) - top(other)); // the lines below the first are elsewhere in the page
      const letters = leaves.map((element) => element.textContent).join("").replaceAll(/\s/g, "");
      return text === undefined ? letters : letters === text.replaceAll(/\s/g, "");
    };
    try {
      await this.page.waitForFunction(shown, [GHOST, wanted]);
    } catch {
      const instead = await this.page.evaluate(shown, [GHOST]);
      throw new Error(`the suggestion ${JSON.stringify(wanted)} is not there, but ${JSON.stringify(instead)}`);
    }
  }

  async anyGhostText() {
    await this.page.locator(GHOST).first().waitFor();
  }

  async noGhostText() {
    await this.page.locator(GHOST).first().waitFor({ state: "detached" });
  }

  /** Saves as soon as there is something to save, and waits until it is on the disk. */
  async save() {
    await this.page.locator(".tab.active.dirty").waitFor();
    await this.settle();
  }

  /** Saves what there is to save. */
  async settle() {
    await this.page.keyboard.press("Control+s");
    await this.page.locator(".tab.active.dirty").waitFor({ state: "detached" });
  }

  /** Has the open file hold this text, on the disk too, with the caret at its end. */
  async replaceText(text) {
    await this.page.evaluate((pasted) => navigator.clipboard.writeText(pasted), text);
    await this.page.keyboard.press("Control+a");
    await this.page.keyboard.press("Control+v");
    await this.save();
    await this.endOfLine(text.split("\n").length);
  }
}

/** Reads a file as soon as it passes the test. */
export async function fileWhen(file, test, patience_ms) {
  const changes = watch(path.dirname(file));
  let timer;
  try {
    return await new Promise((resolve, reject) => {
      const look = async () => {
        const text = await readFile(file, "utf8").catch(() => ""); // it may just be being replaced
        if (test(text)) {
          resolve(text);
        }
        return text;
      };
      changes.on("change", look);
      timer = setTimeout(async () => reject(new Error(`${file} stayed as\n${await look()}`)), patience_ms);
      void look();
    });
  } finally {
    clearTimeout(timer);
    changes.close();
  }
}
