/**
 * Steps of the browser test that look at the views.
 *
 * @module
 */

import assert from "node:assert/strict";
import { sleeper } from "../../lab/fleet_cluster.ts";
import { until } from "../../lab/process.ts";
import { hostile, openMachine, signedIn, type Stage, tokens, visit } from "./stage.ts";

/** The page shows figures of a machine, and what its units reserve. */
export async function machineFigures(stage: Stage): Promise<void> {
  const { cluster } = stage;
  const [m1, m2] = [cluster.machine("m1"), cluster.machine("m2")];
  await cluster.put(m1, "roomy.service", "launched", `${sleeper}[X-Fleet]\nMemoryReserve=96M\nMachineID=${m2.id}\n`);
  await cluster.active(m1, ["roomy.service"]);
  const page = await signedIn(stage, tokens.write);
  const card = page.getByRole("listitem").filter({ has: page.getByRole("link", { name: m2.ip }) });
  await card.getByRole("meter", { name: "CPU" }).waitFor();
  await card.getByRole("meter", { name: "Memory" }).waitFor();
  await openMachine(page, m2);
  const capacity = page.getByRole("region", { name: "Capacity and use" });
  await capacity.getByRole("row", { name: "CPU" }).getByText(/^\d\.\d\d of \d+ cores$/).waitFor();
  await capacity.getByRole("row", { name: "Memory" }).getByText(/^96 MiB of/).waitFor();
  for (const fact of ["Up for", "Operating system", "systemd"]) {
    await capacity.getByText(fact, { exact: true }).waitFor();
  }
  await page.getByRole("list", { name: "Units" }).getByText(/^\d\.\d\d cores$/).first().waitFor();
  await page.close();
}

/** The history of a unit is shown that no page and no other reader has seen happen. */
export async function pastEvents(stage: Stage): Promise<void> {
  const { cluster } = stage;
  const m1 = cluster.machine("m1");
  await cluster.put(m1, "past.service", "launched", sleeper);
  await cluster.active(m1, ["past.service"]);
  await cluster.put(m1, "past.service", "loaded");
  await cluster.statesWhere(
    m1,
    "the unit to stop",
    (states) =>
      states.some(({ name, systemdActiveState }) => name === "past.service" && systemdActiveState === "inactive"),
  );
  // The leader's daemon, which is asked, may see it later than this one.
  await until("the leader to have seen it", async () => {
    const query = "since=1h&follow=false&unit=past.service&kind=state";
    const past = await (await cluster.request(m1, "GET", `/events?${query}`)).text();
    return past.includes('"systemdActiveState":"inactive"');
  }, { deadline_ms: 60_000 });
  const page = await signedIn(stage, tokens.read);
  await visit(page, "#/units/past.service", "past.service");
  const history = page.getByRole("region", { name: "History" });
  await history.getByText(/^placed on/).first().waitFor();
  await history.getByText(/^active \(running\) on/).first().waitFor();
  await history.getByText(/^inactive \(dead\) on/).first().waitFor();
  await history.getByText(/^desired state is loaded, changed by/).first().waitFor();
  await page.getByRole("link", { name: "Events", exact: true }).click();
  await page.getByLabel("Filter").fill("past.service");
  await page.getByText("active (running) on", { exact: false }).first().waitFor();
  await page.getByText("The cluster remembers every event since").waitFor();
  await page.close();
}

/** The daemon of an open page knows what has happened since, also when the engine of another machine begins to lead. */
export async function pastWithAnotherLeader(stage: Stage): Promise<void> {
  const { cluster } = stage;
  const leader = await cluster.leader();
  const machine = cluster.machine(leader.name === "m1" ? "m2" : "m1");
  const page = await signedIn(stage, tokens.read, undefined, machine.name);
  await visit(page, "#/units/often.service", "often.service");
  await cluster.put(machine, "often.service", "loaded", sleeper);
  const history = page.getByRole("region", { name: "History" });
  await history.getByText(/^desired state is loaded, changed by/).first().waitFor();
  await cluster.put(machine, "often.service", "inactive");
  await leader.must(["systemctl", "restart", "fleet.service"]);
  await cluster.leader();
  const query = "since=1h&follow=false&unit=often.service&kind=unit";
  const past = await (await cluster.request(machine, "GET", `/events?${query}`)).text();
  for (const state of ["loaded", "inactive"]) assert.ok(past.includes(`"desiredState":"${state}"`), past);
  await cluster.destroy(machine, "often.service");
  await page.close();
}

/** A unit that has failed and runs again is on the overview, and a failed one has the end of its journal there. */
export async function failedLately(stage: Stage): Promise<void> {
  const { cluster } = stage;
  const m1 = cluster.machine("m1");
  const page = await signedIn(stage, tokens.read);
  const broken = "[Service]\nExecStart=/bin/sh -c 'echo no such table; exit 3'\n";
  await cluster.put(m1, "broken.service", "launched", broken);
  const attention = page.getByRole("listitem").filter({ has: page.getByRole("link", { name: "broken.service" }) });
  await attention.getByText("systemd reports exit-code", { exact: false }).first().waitFor();
  // systemd may report the end of the process before the journal has its last words.
  const isBroken = ({ name }: { name: string }) => name === "broken.service";
  const states = await cluster.statesWhere(m1, "the broken unit", (states) => states.some(isBroken));
  const machine = cluster.byId(states.find(isBroken)!.machineID!);
  await until("the last words", async () => (await machine.journal("broken.service")).includes("no such table"), {
    deadline_ms: 60_000,
  });
  await attention.getByRole("button", { name: "Last lines" }).first().click();
  await attention.getByText("no such table").first().waitFor();
  await page.getByRole("link", { name: /\d+ failed/ }).click();
  await page.getByRole("list", { name: "Units" }).getByRole("link", { name: "broken.service" }).waitFor();
  await page.getByRole("link", { name: "Overview", exact: true }).click();
  await cluster.put(m1, "broken.service", "launched", sleeper);
  const lately = page.getByRole("region", { name: "Failed within the last hour" }).getByRole("listitem");
  await lately.filter({ hasText: "broken.service" }).getByText("exit-code").waitFor();
  await cluster.fleetctl(m1, "destroy", "broken.service");
  await page.close();
}

/** The journal goes on by itself after the daemon was away, with what was written meanwhile. */
export async function liveJournal(stage: Stage): Promise<void> {
  const { cluster } = stage;
  const m1 = cluster.machine("m1");
  const page = await signedIn(stage, tokens.read);
  await visit(page, "#/units/talker.service", "talker.service");
  const journal = page.getByRole("region", { name: "Journal" });
  const machine = cluster.byId((await cluster.active(m1, ["talker.service"])).get("talker.service")!);
  const count = "journalctl --unit=talker.service --output=cat | grep -c 'said again' || true";
  const before = Number((await machine.sh(count)).trim());
  const shows = (lines: number) =>
    until(`the journal to have ${lines} lines`, async () => {
      const text = await journal.locator("pre").textContent();
      return text?.split("said again").length === lines + 1 || undefined;
    }, { deadline_ms: 60_000 });
  await journal.getByText(hostile).first().waitFor();
  await shows(before);
  await m1.must(["systemctl", "stop", "fleet.socket", "fleet.service"]);
  await journal.getByText("The journal does not go on").waitFor();
  await page.getByText("What is shown is as of").waitFor();
  await machine.must(["touch", "/run/say"]);
  await m1.must(["systemctl", "start", "fleet.socket", "fleet.service"]);
  await journal.getByText("The journal does not go on").waitFor({ state: "detached" });
  await shows(before + 1);
  await page.close();
}
