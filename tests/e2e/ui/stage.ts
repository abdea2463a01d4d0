/**
 * What the browser tests of the cluster page share.
 *
 * @module
 */

import { createHash } from "node:crypto";
import type { Page } from "playwright-core";
import { api_port } from "../../lab/fleet.ts";
import type { FleetCluster } from "../../lab/fleet_cluster.ts";
import type { Machine } from "../../lab/machine.ts";
import type { TestBrowser } from "../../support/browser.ts";

/** The tokens of the API. */
export const tokens = { read: "let-me-see", write: "let-me-do" };
const digest = (text: string) => createHash("sha256").update(text).digest("hex");
/** The content of `api_tokens_file`. */
export const tokenFile = `read anna sha256:${digest(tokens.read)}\nwrite bert sha256:${digest(tokens.write)}\n`;

/** Text that would run as a script if a view took it for markup. */
export const hostile = `<img src=x onerror=alert(1)><script>alert(2)</script>`;

/** A cluster, a browser in its network, and what the pages of this test have reported. */
export interface Stage {
  readonly cluster: FleetCluster;
  readonly browser: TestBrowser;
  readonly problems: string[];
}

/** The address of the page on a machine. */
export const address = ({ cluster }: Stage, machine = "m1") => `http://${cluster.machine(machine).ip}:${api_port}/ui/`;

/** Opens the page of a machine and signs in. */
export async function signedIn(
  stage: Stage,
  token: string,
  size?: { width: number; height: number },
  machine?: string,
): Promise<Page> {
  const page = await stage.browser.tab(stage.problems, size);
  await page.goto(address(stage, machine));
  await page.getByLabel("Token").fill(token);
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.getByRole("heading", { name: "Cluster", level: 1 }).waitFor();
  return page;
}

/** Follows the link from the overview to a machine. A machine with a problem has several links. */
export async function openMachine(page: Page, { ip }: Machine): Promise<void> {
  await page.getByRole("main").getByRole("link", { name: ip }).first().click();
  await page.getByRole("heading", { name: ip, level: 1 }).waitFor();
}

/** Opens a view by its fragment, as a link would. */
export async function visit(page: Page, fragment: string, heading: string): Promise<void> {
  await page.evaluate((to) => {
    location.hash = to;
  }, fragment);
  await page.getByRole("heading", { name: heading, level: 1, exact: true }).waitFor();
}
