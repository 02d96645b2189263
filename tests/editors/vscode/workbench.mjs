/** What a person does in VS Code, and sees there. */

import { watch } from "node:fs";
import { readFile } from "node:fs/promises";
import path from "node:path";

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
    await this.page.locator(".quick-input-widget input[type=text]").waitFor();
    await this.choose(title);
  }

  /** Chooses from the list that is open by typing what the entry says. */
  async choose(label) {
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

  /** Waits for a suggestion and returns the text that is shown. */
  async ghostText() {
    await this.page.locator(GHOST).first().waitFor();
    const texts = await this.page.locator(GHOST).evaluateAll((elements, selector) => {
      const leaves = elements.filter((element) => element.querySelector(selector) === null);
      return leaves.map((element) => element.textContent);
    }, GHOST);
    return texts.join("").replaceAll("\u00a0", " ");
  }

  async noGhostText() {
    await this.page.locator(GHOST).first().waitFor({ state: "detached" });
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
