/**
 * The actions of the cluster page on real machines.
 *
 * @module
 */

import assert from "node:assert/strict";
import type { Page } from "playwright-core";
import { sleeper } from "../../lab/fleet_cluster.ts";
import { until } from "../../lab/process.ts";
import { openMachine, signedIn, type Stage, tokens, visit } from "./stage.ts";

/** Presses a button of the dialog when it can be pressed, after the plan has shown a text. */
async function confirm(page: Page, verb: string, plan?: string | RegExp): Promise<void> {
  const dialog = page.getByRole("dialog");
  if (plan !== undefined) await dialog.locator(".plan").getByText(plan).first().waitFor();
  await dialog.getByRole("button", { name: verb, exact: true }).click();
  await dialog.waitFor({ state: "hidden" });
}

const press = (page: Page, name: string) => page.getByRole("button", { name, exact: true }).click();

/** Writes a unit file into the form, and applies it as an application. */
async function apply(page: Page, app: string, name: string, text: string): Promise<void> {
  await visit(page, "#/submit", "Submit files");
  await page.getByLabel("Name", { exact: true }).fill(name);
  await page.getByLabel("Text").fill(text);
  await page.getByLabel("Application").fill(app);
  await press(page, "Show the plan");
  await confirm(page, "Apply", name);
  await page.getByRole("heading", { name: app, level: 1, exact: true }).waitFor();
}

const quick = `${sleeper}[X-Fleet]\nMinHealthyTime=100ms\n`;

/** A template is applied, scaled and scaled back, and its instances are stopped together. */
export async function scaled(stage: Stage): Promise<void> {
  const { cluster } = stage;
  const m1 = cluster.machine("m1");
  const page = await signedIn(stage, tokens.write);
  await apply(page, "farm", "farm@.service", `${quick}Instances=2\n`);
  const rollout = page.getByRole("region", { name: "Roll-out" });
  await rollout.getByText("apply: 3 of 3 units").waitFor();
  await press(page, "Scale farm@.service");
  await page.getByRole("dialog").getByLabel("Instances").fill("3");
  await confirm(page, "Scale", "farm@3.service");
  await rollout.getByText("scale: 2 of 2 units").waitFor();
  await cluster.active(m1, ["farm@3.service"]);
  await press(page, "Undo");
  await confirm(page, "Undo", "is destroyed again");
  await page.getByRole("region", { name: /^Units/ }).getByText("farm@3.service").waitFor({ state: "detached" });
  await visit(page, "#/units", "Units");
  await page.getByLabel("Filter").fill("farm@");
  await page.getByLabel("Select farm@1.service").check();
  await page.getByLabel("Select farm@2.service").check();
  await press(page, "Stop");
  await confirm(page, "Stop", /stop on/);
  await page.locator(".row", { hasText: "farm@" }).locator(".badge.loaded").nth(1).waitFor();
  await page.close();
}

/** A roll-out that takes an hour is paused, resumed and aborted. */
export async function controlled(stage: Stage): Promise<void> {
  const page = await signedIn(stage, tokens.write);
  const slow = `${sleeper}[X-Fleet]\nInstances=2\nMinHealthyTime=1h\nHealthyDeadline=2h\n`;
  await apply(page, "slow", "slow@.service", slow);
  const rollout = page.getByRole("region", { name: "Roll-out" });
  await rollout.getByRole("row", { name: "slow@1.service create changing" }).waitFor();
  const steps = [
    ["Pause", "paused", "becomes healthy"],
    ["Resume", "running", "becomes healthy"],
    ["Abort", "aborted", "stays changed"],
  ] as const;
  for (const [verb, status, plan] of steps) {
    await press(page, verb);
    await confirm(page, verb, plan);
    await rollout.locator(".kind", { hasText: status }).waitFor();
  }
  await press(page, "Undo");
  await confirm(page, "Undo", "is destroyed again");
  await page.getByText("Units (0)").waitFor();
  await page.close();
}

/** A drain with force and without global units stops what fits nowhere; then moves for balance are carried out. */
export async function maintained(stage: Stage): Promise<void> {
  const { cluster } = stage;
  const m1 = cluster.machine("m1");
  const m2 = cluster.machine("m2");
  await cluster.put(m1, "pinned.service", "launched", `${quick}MachineID=${m2.id}\n`);
  await cluster.put(m1, "everywhere.service", "launched", `${sleeper}[X-Fleet]\nGlobal=true\n`);
  await cluster.statesWhere(
    m1,
    "both units on m2",
    (states) =>
      ["pinned.service", "everywhere.service"].every((unit) =>
        states.some((state) =>
          state.name === unit && state.machineID === m2.id && state.systemdActiveState === "active"
        )
      ),
  );
  const page = await signedIn(stage, tokens.write);
  await openMachine(page, m2);
  await press(page, "Drain");
  const dialog = page.getByRole("dialog");
  await dialog.getByText("everywhere.service").waitFor();
  await dialog.getByText(/on no other machine and will stay/).waitFor();
  await dialog.getByLabel("Stop units that fit on no other machine").check();
  await dialog.getByLabel("Leave global units on the machine").check();
  await dialog.getByText("everywhere.service").waitFor({ state: "detached" });
  await dialog.getByText(/will be stopped after all others/).waitFor();
  await confirm(page, "Drain");
  await page.getByRole("heading", { name: "Drain: done" }).waitFor();
  await page.getByRole("list", { name: "Units" }).getByText("everywhere.service").waitFor();
  await press(page, "Undrain");
  await confirm(page, "Undrain", "pinned.service");
  await cluster.active(m1, ["pinned.service"]);
  for (const name of ["pinned.service", "everywhere.service"]) await cluster.destroy(m1, name);
  await page.close();
}

/** Units that are all on one machine are spread by the moves that the page proposes. */
export async function rebalanced(stage: Stage): Promise<void> {
  const { cluster } = stage;
  const m1 = cluster.machine("m1");
  const names = ["heavy@1.service", "heavy@2.service", "heavy@3.service", "heavy@4.service", "heavy@5.service"];
  for (const name of ["m2", "m3"]) await cluster.fleetctl(m1, "cordon", cluster.machine(name).id);
  for (const name of names) await cluster.put(m1, name, "launched", quick);
  await cluster.active(m1, names);
  for (const name of ["m2", "m3"]) await cluster.fleetctl(m1, "uncordon", cluster.machine(name).id);
  const page = await signedIn(stage, tokens.write);
  await press(page, "Rebalance");
  await confirm(page, "Move", /move from/);
  await until("units on other machines", async () => {
    const places = await cluster.active(m1, names);
    return new Set(names.map((name) => places.get(name))).size > 1;
  }, { deadline_ms: 60_000 });
  for (const name of names) await cluster.destroy(m1, name);
  await press(page, "Rebalance");
  await page.getByRole("dialog").locator(".plan").waitFor();
  assert.equal(await page.getByRole("dialog").getByRole("alert").count(), 0);
  await page.close();
}
