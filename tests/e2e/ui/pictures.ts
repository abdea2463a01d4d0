/**
 * `deno task page-pictures [FOLDER]`: takes pictures of the cluster page, for docs/guides/page.md: each view in the light and
 * the dark scheme, and some as wide as a phone, on a cluster of three real machines.
 *
 * @module
 */

import type { Page } from "playwright-core";
import type { PlanEntity } from "../../../daemon/api/v1/types.ts";
import { api_port } from "../../lab/fleet.ts";
import { type FleetCluster, sleeper, withFleet } from "../../lab/fleet_cluster.ts";
import { until } from "../../lab/process.ts";
import { prepare } from "../../prepare_host.ts";
import { TestBrowser } from "../../support/browser.ts";

const folder = Deno.args[0] ?? new URL("../../../docs/pictures/", import.meta.url).pathname;

const talker = `[Unit]
Description=Says hello every second
[Service]
ExecStart=/bin/sh -c 'while :; do echo hello; sleep 1; done'
`;

async function fill(cluster: FleetCluster): Promise<void> {
  const m1 = cluster.machine("m1");
  for (const number of [1, 2, 3, 4, 5, 6]) await cluster.put(m1, `web@${number}.service`, "launched", sleeper);
  await cluster.put(m1, "hello.service", "launched", talker);
  await cluster.put(m1, "logs.service", "launched", `${sleeper}[X-Fleet]\nGlobal=true\n`);
  await cluster.put(m1, "tape.service", "launched", `${sleeper}[X-Fleet]\nMachineMetadata=disk=tape\n`);
  await cluster.put(m1, "broken.service", "launched", "[Service]\nExecStart=/bin/false\n");
  await cluster.put(m1, "old.service", "inactive", sleeper);
  await cluster.put(m1, "cache.service", "launched", `${sleeper}[X-Fleet]\nMemoryReserve=256M\nCPUReserve=50%\n`);
  for (const text of ["one", "two"]) {
    const options = [["Service", "ExecStart", "/bin/sleep infinity"], ["Unit", "Description", text]];
    const units = ["shop-db", "shop-web"].map((name) => ({
      ...{ name: `${name}.service`, desiredState: "launched" },
      options: options.map(([section, name, value]) => ({ section, name, value })),
    }));
    const planned: PlanEntity = await (await cluster.request(m1, "POST", "/plan", { app: "shop", units })).json();
    const revisions = new Map(planned.units?.map(({ name, revision = 0 }) => [name, revision]));
    await cluster.request(m1, "POST", "/apps/shop", {
      units: units.map((unit) => ({ ...unit, revision: revisions.get(unit.name) })),
    });
    await until("the roll-out to end", async () => {
      const rollout = await (await cluster.request(m1, "GET", "/apps/shop/rollout")).json();
      return rollout.status === "done" || undefined;
    });
  }
  await cluster.active(m1, ["hello.service", "web@6.service"]);
  await cluster.statesWhere(
    m1,
    "the broken unit",
    (states) =>
      states.some(({ name, systemdActiveState }) => name === "broken.service" && systemdActiveState === "failed"),
  );
}

/** A view, and a text that it shows when it is complete. */
interface View {
  readonly name: string;
  readonly fragment: string;
  readonly text: string | RegExp;
  /** The button whose dialog is opened. */
  readonly press?: string;
}

async function open(page: Page, cluster: FleetCluster, { fragment, text, press }: View): Promise<void> {
  // A dialog of the view before would stay open.
  await page.keyboard.press("Escape");
  await page.goto(`http://${cluster.machine("m1").ip}:${api_port}/ui/${fragment}`);
  await page.locator("main").getByText(text).last().waitFor();
  await page.locator("main [aria-busy=true]").first().waitFor({ state: "detached" });
  if (press === undefined) return;
  await page.getByRole("button", { name: press, exact: true }).click();
  await page.getByRole("dialog").getByRole("list", { name: "Plan" }).waitFor();
}

async function take(page: Page, cluster: FleetCluster): Promise<void> {
  const places = await cluster.active(cluster.machine("m1"), ["cache.service"]);
  const { id } = cluster.byId(places.get("cache.service")!);
  const views: readonly View[] = [
    { name: "overview", fragment: "#/", text: /of \d+$/ },
    { name: "units", fragment: "#/units", text: "broken.service" },
    { name: "unit", fragment: "#/units/hello.service", text: /\]: hello/ },
    { name: "machine", fragment: `#/machines/${id}`, text: /of \d+ cores$/ },
    { name: "drain", fragment: `#/machines/${id}`, text: /of \d+ cores$/, press: "Drain" },
    { name: "apps", fragment: "#/apps", text: "shop" },
    { name: "app", fragment: "#/apps/shop", text: "Version 2" },
    { name: "submit", fragment: "#/submit", text: "Show the plan" },
    { name: "events", fragment: "#/events", text: "desired state" },
  ];
  for (const view of views) {
    await open(page, cluster, view);
    for (const colorScheme of ["light", "dark"] as const) {
      await page.emulateMedia({ colorScheme });
      await page.screenshot({ path: `${folder}/page-${view.name}-${colorScheme}.png` });
    }
  }
  await page.emulateMedia({ colorScheme: "light" });
  await page.setViewportSize({ width: 390, height: 780 });
  for (const view of views.filter(({ name }) => ["overview", "unit", "machine"].includes(name))) {
    await open(page, cluster, view);
    await page.screenshot({ path: `${folder}/page-${view.name}-phone.png` });
  }
}

await prepare([{ what: "chromium", debian: "chromium" }]);
await withFleet({ machines: [{ metadata: "zone=a" }, { metadata: "zone=b" }, {}], tcp: true }, async (cluster) => {
  await fill(cluster);
  await using browser = await TestBrowser.open(cluster.lab.network.path);
  const page = await browser.tab([], { width: 1000, height: 640 });
  await page.goto(`http://${cluster.machine("m1").ip}:${api_port}/ui/`);
  // The page shows the events from then on.
  await page.getByRole("heading", { name: "Cluster", level: 1 }).waitFor();
  await take(page, cluster);
});
console.log(`wrote page-*.png in ${folder}`);
