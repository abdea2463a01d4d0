/**
 * A headless Chromium, of the Debian package, driven by Playwright.
 *
 * @module
 */

import axe from "axe-core";
import { type Browser, type BrowserContextOptions, chromium, type Page } from "playwright-core";
import { writeProgram } from "./programs.ts";

/** A browser. */
export class TestBrowser implements AsyncDisposable {
  private constructor(private readonly browser: Browser, private readonly folder: string) {}

  /** Starts a browser, in the network namespace at `netns` if one is given. Throws if there is no Chromium. */
  static async open(netns?: string): Promise<TestBrowser> {
    const folder = await Deno.makeTempDir({ prefix: "fleet-browser-" });
    const program = `${folder}/chromium`;
    await writeProgram(
      program,
      `#!/bin/sh\nexec ${netns === undefined ? "" : `nsenter --net=${netns} `}chromium "$@"\n`,
    );
    // Root may not use Chromium's sandbox; the page comes from the machines of this test.
    const browser = await chromium.launch({ executablePath: program, args: ["--no-sandbox"], timeout: 120_000 });
    return new TestBrowser(browser, folder);
  }

  /** Opens a tab that fails `problems` with each error of the page, and each dialog that a script opens. */
  async tab(
    problems: string[],
    size = { width: 1280, height: 800 },
    options: Pick<BrowserContextOptions, "clientCertificates" | "ignoreHTTPSErrors"> = {},
  ): Promise<Page> {
    const page = await this.browser.newPage({ viewport: size, ...options });
    page.setDefaultTimeout(60_000);
    page.on("pageerror", (error) => problems.push(`error: ${error.stack ?? error.message}`));
    page.on("dialog", (dialog) => {
      problems.push(`dialog: ${dialog.message()}`);
      void dialog.dismiss();
    });
    page.on("console", (message) => {
      // Chromium reports each failed request; tests that provoke failures look at what the page says.
      if (message.type() === "error" && !message.text().startsWith("Failed to load resource")) {
        problems.push(`console: ${message.text()}`);
      }
    });
    return page;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.browser.close();
    await Deno.remove(this.folder, { recursive: true });
  }
}

/** Drops files and folders of this machine on a page. */
export async function dropPaths(page: Page, ...paths: readonly string[]): Promise<void> {
  const session = await page.context().newCDPSession(page);
  for (const type of ["dragEnter", "dragOver", "drop"] as const) {
    const data = { items: [], files: [...paths], dragOperationsMask: 1 };
    await session.send("Input.dispatchDragEvent", { type, x: 300, y: 300, data });
  }
  await session.detach();
}

/** Returns the memory of the objects of a page's script after garbage collection, in bytes. */
export async function usedMemory(page: Page): Promise<number> {
  const session = await page.context().newCDPSession(page);
  await session.send("HeapProfiler.collectGarbage");
  const { usedSize } = await session.send("Runtime.getHeapUsage");
  await session.detach();
  return usedSize;
}

/** Scrolls the list of a page by a screen each frame to its end. Returns the number of frames, and the longest. */
export async function scrollToEnd(page: Page): Promise<{ readonly frames: number; readonly longest_ms: number }> {
  return await page.evaluate(`new Promise((resolve) => {
    const list = document.querySelector(".rows");
    let [frames, longest_ms, last] = [0, 0, 0];
    const step = (now) => {
      if (frames++ > 0) longest_ms = Math.max(longest_ms, now - last);
      last = now;
      list.scrollTop += list.clientHeight;
      if (list.scrollTop + list.clientHeight < list.scrollHeight) requestAnimationFrame(step);
      else resolve({ frames, longest_ms });
    };
    requestAnimationFrame(step);
  })`);
}

/** Returns the processor time that the main thread of a page takes for `task`, in milliseconds, however busy the host is. */
export async function processorTime(page: Page, task: () => Promise<unknown>): Promise<number> {
  const session = await page.context().newCDPSession(page);
  await session.send("Performance.enable", { timeDomain: "threadTicks" });
  const taken_ms = async () => {
    const { metrics } = await session.send("Performance.getMetrics");
    return 1000 * metrics.find(({ name }) => name === "TaskDuration")!.value;
  };
  const before_ms = await taken_ms();
  await task();
  const after_ms = await taken_ms();
  await session.detach();
  return after_ms - before_ms;
}

/** Returns the serious problems of accessibility that axe-core finds on a page, one line each. */
export async function accessibilityProblems(page: Page): Promise<string[]> {
  await page.evaluate(axe.source);
  const found = await page.evaluate(async () => {
    // deno-lint-ignore no-explicit-any
    const { violations } = await (globalThis as any).axe.run();
    return violations as { id: string; impact: string; nodes: { html: string }[] }[];
  });
  return found.filter(({ impact }) => impact === "serious" || impact === "critical")
    .map(({ id, impact, nodes }) => `${impact}: ${id}: ${nodes.map(({ html }) => html.slice(0, 200)).join(" ")}`);
}
