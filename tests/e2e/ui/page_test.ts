/** The cluster page in a real browser, on a cluster of real machines. */

import assert from "node:assert/strict";
import type { Page } from "playwright-core";
import { apiSocket } from "../../lab/fleet.ts";
import { sleeper, withFleet } from "../../lab/fleet_cluster.ts";
import { until } from "../../lab/process.ts";
import { accessibilityProblems, dropPaths, TestBrowser } from "../../support/browser.ts";
import { controlled, maintained, rebalanced, scaled } from "./actions.ts";
import { address, hostile, openMachine, signedIn, type Stage, tokenFile, tokens, visit } from "./stage.ts";
import { failedLately, liveJournal, machineFigures, pastEvents, pastWithAnotherLeader } from "./views.ts";

/** Opens the view of a unit, presses one of its buttons and confirms, after the plan was shown. */
async function act(page: Page, unit: string, button: string, plan?: RegExp): Promise<void> {
  await visit(page, `#/units/${encodeURIComponent(unit)}`, unit);
  await page.getByRole("button", { name: button, exact: true }).click();
  const dialog = page.getByRole("dialog");
  if (plan) await dialog.getByRole("list", { name: "Plan" }).getByText(plan).first().waitFor();
  await dialog.getByRole("button", { name: button, exact: true }).click();
  await dialog.waitFor({ state: "hidden" });
}

/** Waits until the unit's view shows a condition. */
async function shows(page: Page, condition: string): Promise<void> {
  await page.locator(`main > p .badge.${condition}`).waitFor();
}

async function overview(stage: Stage): Promise<void> {
  const { cluster } = stage;
  const page = await signedIn(stage, tokens.write);
  for (const name of ["m1", "m2", "m3"]) {
    await page.getByRole("link", { name: cluster.machine(name).ip }).first().waitFor();
  }
  await cluster.fleetctl(cluster.machine("m2"), "start", "/root/late.service");
  await page.locator(".tile.running", { hasText: "late.service" }).waitFor();
  const loaded_bytes = await page.evaluate<number>(
    `performance.getEntriesByType("resource").filter(({ name }) => name.includes("/ui/"))
      .reduce((sum, { transferSize }) => sum + transferSize, 0)`,
  );
  assert.ok(loaded_bytes > 10_000 && loaded_bytes < 100_000, `the files of the page have ${loaded_bytes} bytes`);
  await page.close();
}

async function reasons(stage: Stage): Promise<void> {
  const page = await signedIn(stage, tokens.write);
  const attention = page.getByRole("region", { name: "Needs attention" });
  await attention.getByText("needs disk=tape").waitFor();
  await attention.getByRole("link", { name: "tape.service" }).click();
  await page.getByRole("heading", { name: "tape.service", level: 1 }).waitFor();
  await shows(page, "waiting");
  const table = page.getByRole("region", { name: "Why" }).getByRole("table");
  await table.getByText(/MachineMetadata: .*disk=tape/).nth(2).waitFor();
  await page.close();
}

async function journal(stage: Stage): Promise<void> {
  const { cluster } = stage;
  const page = await signedIn(stage, tokens.write);
  await visit(page, "#/units/talker.service", "talker.service");
  const lines = page.getByRole("region", { name: "Journal" }).locator("pre");
  await lines.getByText(hostile).waitFor();
  const machine = (await cluster.active(cluster.machine("m1"), ["talker.service"])).get("talker.service")!;
  await cluster.byId(machine).must(["touch", "/run/say"]);
  await lines.getByText("said again").waitFor();
  await page.close();
}

async function actions(stage: Stage): Promise<void> {
  const { cluster } = stage;
  const m1 = cluster.machine("m1");
  const page = await signedIn(stage, tokens.write);
  await act(page, "web.service", "Stop", /stop on/);
  await shows(page, "loaded");
  await act(page, "web.service", "Start", /start on/);
  await shows(page, "running");
  const machine = cluster.byId((await cluster.active(m1, ["web.service"])).get("web.service")!);
  const before = await cluster.invocation(machine, "web.service");
  await act(page, "web.service", "Restart");
  await until("another invocation", async () => {
    const now = await cluster.invocation(machine, "web.service");
    return now !== before && now !== "";
  }, { deadline_ms: 60_000 });
  await cluster.put(m1, "web.service", "launched", sleeper + "[Unit]\nDescription=second\n");
  const versions = page.getByRole("region", { name: "Versions" });
  await versions.getByText("Version 2").waitFor();
  await versions.getByRole("button", { name: "Changes" }).first().click();
  await versions.getByText("+Description=second").waitFor();
  await versions.getByRole("button", { name: "Roll back to it" }).click();
  await page.getByRole("dialog").getByRole("list", { name: "Plan" }).getByText(/restart on/).waitFor();
  await page.getByRole("dialog").getByRole("button", { name: "Roll back" }).click();
  await versions.getByText("Version 3").waitFor();
  await act(page, "web.service", "Unload", /stop on/);
  await shows(page, "inactive");
  await act(page, "web.service", "Destroy");
  await page.getByText("The cluster has no unit of this name.").waitFor();
  await page.close();
}

/** Applies one unit as the application `shop`, from the form for files. */
async function applyFile(page: Page, text: string): Promise<void> {
  await visit(page, "#/submit", "Submit files");
  await page.getByLabel("Name").fill("shop.service");
  await page.getByLabel("Text").fill(text);
  await page.getByLabel("Application").fill("shop");
  await page.getByRole("button", { name: "Show the plan" }).click();
  await page.getByRole("dialog").getByRole("list", { name: "Plan" }).getByText("shop.service").waitFor();
  await page.getByRole("dialog").getByRole("button", { name: "Apply" }).click();
  await page.getByRole("heading", { name: "shop", level: 1 }).waitFor();
}

async function apps(stage: Stage): Promise<void> {
  const page = await signedIn(stage, tokens.write);
  await visit(page, "#/submit", "Submit files");
  await page.getByLabel("Name").fill("bad");
  await page.getByLabel("Text").fill(sleeper);
  await page.getByRole("button", { name: "Show the plan" }).click();
  await page.getByRole("dialog").getByText("refuse", { exact: true }).waitFor();
  assert.ok(await page.getByRole("dialog").getByRole("button", { name: "Start" }).isDisabled());
  await page.getByRole("dialog").getByRole("button", { name: "Cancel" }).click();
  await applyFile(page, `${sleeper}[X-Fleet]\nMinHealthyTime=100ms\n`);
  const [rollout, versions] = ["Roll-out", "Versions"].map((name) => page.getByRole("region", { name }));
  await versions!.getByText("Version 1").waitFor();
  await rollout!.getByText("1 of 1 units").waitFor();
  await applyFile(page, `${sleeper}[X-Fleet]\nMinHealthyTime=100ms\n[Unit]\nDescription=two\n`);
  await versions!.getByText("Version 2").waitFor();
  await versions!.getByRole("button", { name: "Roll back to it" }).click();
  await page.getByRole("dialog").getByRole("list", { name: "Plan" }).getByText(/restart on/).waitFor();
  await page.getByRole("dialog").getByRole("button", { name: "Roll back" }).click();
  await versions!.getByText("Version 3").waitFor();
  await page.getByRole("link", { name: "Apps", exact: true }).click();
  await page.getByRole("main").getByRole("link", { name: "shop" }).first().click();
  await page.getByRole("heading", { name: "shop", level: 1 }).waitFor();
  await page.close();
}

async function cordon(stage: Stage): Promise<void> {
  const page = await signedIn(stage, tokens.write);
  await openMachine(page, stage.cluster.machine("m2"));
  for (const [verb, other] of [["Cordon", "Uncordon"], ["Uncordon", "Cordon"]] as const) {
    await page.getByRole("button", { name: verb, exact: true }).click();
    await page.getByRole("dialog").getByRole("button", { name: verb, exact: true }).click();
    await page.getByRole("button", { name: other, exact: true }).waitFor();
  }
  await page.getByRole("button", { name: "Drain", exact: true }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Drain", exact: true }).click();
  await page.getByRole("heading", { name: "Drain: done" }).waitFor();
  await page.getByText("No unit is on this machine.").waitFor();
  await page.getByRole("button", { name: "Undrain", exact: true }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Undrain", exact: true }).click();
  await page.getByRole("heading", { name: "Drain: done" }).waitFor({ state: "detached" });
  await page.close();
}

async function labels(stage: Stage): Promise<void> {
  const { cluster } = stage;
  const m3 = cluster.machine("m3");
  const page = await signedIn(stage, tokens.write);
  await openMachine(page, m3);
  await page.getByLabel("New metadata").fill("disk=tape");
  await page.getByRole("button", { name: "Add" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Set" }).click();
  await page.getByRole("list", { name: "Units" }).getByText("tape.service").waitFor();
  await page.getByRole("button", { name: "Remove disk" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Remove" }).click();
  await page.getByRole("button", { name: "Remove disk" }).waitFor({ state: "detached" });
  await page.close();
}

async function readOnly(stage: Stage): Promise<void> {
  const page = await signedIn(stage, tokens.read);
  await page.getByText("read only").waitFor();
  await visit(page, "#/units/talker.service", "talker.service");
  await shows(page, "running");
  await page.getByRole("region", { name: "Versions" }).getByText("Version 1").waitFor();
  for (const name of ["Start", "Restart", "Stop", "Unload", "Destroy", "Roll back to it"]) {
    assert.equal(await page.getByRole("button", { name, exact: true }).count(), 0, name);
  }
  await page.close();
  const refused = await stage.browser.tab(stage.problems);
  await refused.goto(address(stage));
  await refused.getByLabel("Token").fill("wrong");
  await refused.getByRole("button", { name: "Sign in" }).click();
  await refused.getByText("the bearer token is not known").waitFor();
  await refused.close();
}

async function injection(stage: Stage): Promise<void> {
  const reported: string[] = [];
  const page = await signedIn({ ...stage, problems: reported }, tokens.write);
  await visit(page, "#/units/talker.service", "talker.service");
  await page.getByRole("region", { name: "File" }).getByText(hostile).first().waitFor();
  assert.equal(await page.locator("img").count(), 0, "no text has become an element");
  const outside = await page.evaluate(() =>
    fetch("http://192.0.2.1/", { mode: "no-cors" }).then(() => "sent", (error) => `${error}`)
  );
  assert.match(outside, /Failed to fetch/);
  // The attempt above is reported by the policy, and by nothing else.
  await until("a report of the policy", () => reported.length > 0);
  await page.close();
  assert.ok(reported.every((problem) => problem.includes("Content Security Policy")), reported.join("\n"));
}

async function keyboard(stage: Stage): Promise<void> {
  const page = await signedIn(stage, tokens.write);
  await page.keyboard.press("/");
  await page.getByRole("combobox", { name: "Name, view or action" }).waitFor();
  await page.keyboard.type("talker");
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { name: "talker.service", level: 1 }).waitFor();
  await page.keyboard.press("Control+k");
  await page.getByRole("combobox", { name: "Name, view or action" }).waitFor();
  await page.keyboard.type("units");
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { name: "Units", level: 1 }).waitFor();
  assert.equal(await page.title(), "units · fleet");
  await page.getByRole("link", { name: "Skip to the content" }).focus();
  await page.keyboard.press("Enter");
  await page.locator("#main:focus").waitFor();
  await page.getByRole("heading", { name: "Units", level: 1 }).waitFor();
  await page.getByLabel("Filter").focus();
  await page.keyboard.type("tape");
  await page.getByText(/^1 of /).waitFor();
  for (let presses = 0; presses < 10; presses++) {
    await page.keyboard.press("Tab");
    if (await page.evaluate("document.activeElement?.textContent") === "tape.service") break;
  }
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { name: "tape.service", level: 1 }).waitFor();
  await page.getByRole("button", { name: "Unload" }).focus();
  await page.keyboard.press("Enter");
  await page.getByRole("dialog").waitFor();
  await page.keyboard.press("Escape");
  await page.getByRole("dialog").waitFor({ state: "hidden" });
  await page.close();
}

async function accessible(stage: Stage): Promise<void> {
  for (const scheme of ["light", "dark"] as const) {
    const page = await signedIn(stage, tokens.write);
    await page.emulateMedia({ colorScheme: scheme });
    const machine = stage.cluster.machine("m2");
    const views = [
      ["#/", "Cluster"],
      ["#/units", "Units"],
      ["#/apps", "Apps"],
      ["#/apps/shop", "shop"],
      ["#/submit", "Submit files"],
      ["#/events", "Events"],
      [
        "#/units/talker.service",
        "talker.service",
      ],
    ] as const;
    for (const [fragment, heading] of views) {
      await visit(page, fragment, heading);
      assert.deepEqual(await accessibilityProblems(page), [], `${fragment} in the ${scheme} scheme`);
    }
    await page.evaluate((id) => {
      location.hash = `#/machines/${id}`;
    }, machine.id);
    await page.getByText(machine.id).waitFor();
    assert.deepEqual(await accessibilityProblems(page), [], `a machine in the ${scheme} scheme`);
    await page.close();
  }
  const phone = await signedIn(stage, tokens.write, { width: 360, height: 700 });
  for (
    const [fragment, heading] of [
      ["#/", "Cluster"],
      ["#/units/talker.service", "talker.service"],
      [`#/machines/${stage.cluster.machine("m2").id}`, /^10\.77\.0\.12/],
    ] as const
  ) {
    await phone.evaluate(`location.hash = ${JSON.stringify(fragment)}`);
    await phone.getByRole("heading", { name: heading, level: 1 }).waitFor();
    // The figures of the machines come a moment later.
    if (!fragment.includes("units")) await phone.getByRole("meter").first().waitFor();
    const overflow = await phone.evaluate<number>(
      "document.documentElement.scrollWidth - document.documentElement.clientWidth",
    );
    assert.ok(overflow <= 0, `${fragment} is ${overflow} pixels too wide for a phone`);
  }
  await phone.close();
}

/** Drops a folder whose unit attaches a file, on a page of this machine: browsers name contents only there, or by https. */
async function attached({ cluster }: Stage, page: Page): Promise<void> {
  const directory = await Deno.makeTempDir({ prefix: "fleet-page-" });
  try {
    await Deno.mkdir(`${directory}/cafe/files/cafe.service`, { recursive: true });
    await Deno.writeTextFile(`${directory}/cafe/cafe.service`, `${sleeper}[X-Fleet]\nMinHealthyTime=100ms\n`);
    await Deno.writeTextFile(`${directory}/cafe/files/cafe.service/menu`, "tea and cake");
    await dropPaths(page, `${directory}/cafe`);
    await page.getByText("From folder files/cafe.service: menu").waitFor();
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
  await page.getByRole("button", { name: "Show the plan" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Apply" }).click();
  await page.getByRole("region", { name: "Roll-out" }).getByText("1 of 1 units").waitFor();
  const machine = (await cluster.active(cluster.machine("m1"), ["cafe.service"])).get("cafe.service")!;
  const file = await cluster.byId(machine).must(["cat", "/run/fleet/files/cafe.service/menu"]);
  assert.equal(file, "tea and cake");
}

async function proxied(stage: Stage): Promise<void> {
  const { cluster, browser, problems } = stage;
  const main = new URL("../../../ctl/main.ts", import.meta.url).pathname;
  const command = [
    Deno.execPath(),
    "run",
    "-A",
    "--no-check",
    main,
    `--endpoint=unix://${apiSocket(cluster.machine("m2"))}`,
  ];
  const child = new Deno.Command("nsenter", {
    args: [`--net=${cluster.lab.network.path}`, ...command, "ui"],
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  try {
    let printed = "";
    for await (const chunk of child.stdout.pipeThrough(new TextDecoderStream())) {
      printed += chunk;
      if (printed.includes("\n")) break;
    }
    const [url = ""] = /http:\S+/.exec(printed) ?? [];
    const page = await browser.tab(problems);
    await page.goto(url);
    await page.locator(".tile.running", { hasText: "talker.service" }).first().waitFor();
    assert.ok(!page.url().includes("key="), "the key is not left in the address bar");
    const bare = await browser.tab(problems);
    await bare.goto(url.replace(/#.*/, ""));
    await bare.getByRole("alert").getByText("open the page by the whole address").waitFor();
    await bare.goto(url);
    await bare.locator(".tile.running", { hasText: "talker.service" }).first().waitFor();
    assert.ok(!bare.url().includes("key="), "nor is a key that was opened in a page without one");
    await bare.close();
    await attached(stage, page);
    await page.close();
  } finally {
    child.kill("SIGINT");
    await child.status;
  }
}

async function lostConnection(stage: Stage): Promise<void> {
  const m1 = stage.cluster.machine("m1");
  const page = await signedIn(stage, tokens.write, { width: 800, height: 300 });
  await page.evaluate("scrollTo(0, document.body.scrollHeight)");
  await m1.must(["systemctl", "stop", "fleet.socket", "fleet.service"]);
  await page.getByText("Connection lost").waitFor();
  const top_px = await page.evaluate<number>("document.querySelector('.connection').getBoundingClientRect().top");
  assert.equal(top_px, 0, "what is lost is said wherever the page is scrolled to");
  await m1.must(["systemctl", "start", "fleet.socket", "fleet.service"]);
  await page.getByText("Connection lost").waitFor({ state: "detached" });
  await page.locator(".tile.running", { hasText: "talker.service" }).first().waitFor();
  await page.close();
}

async function powerCut(stage: Stage): Promise<void> {
  const { cluster } = stage;
  const page = await signedIn(stage, tokens.write);
  const m3 = cluster.machine("m3");
  await page.getByRole("link", { name: m3.ip }).first().waitFor();
  await m3.powerCut();
  await page.getByRole("link", { name: m3.ip }).first().waitFor({ state: "detached" });
  await page.getByText("2 machines", { exact: true }).waitFor();
  await page.close();
}

Deno.test("the cluster page", async (t) => {
  const files = { "/etc/fleet/tokens": tokenFile, "/etc/fleet/peer": tokens.read, "/root/late.service": sleeper };
  const conf = {
    ...{ agent_ttl: "5s", api_insecure: false, api_tokens_file: "/etc/fleet/tokens" },
    api_peer_token_file: "/etc/fleet/peer",
  };
  await withFleet({ machines: 3, tcp: true, files, conf }, async (cluster) => {
    const m1 = cluster.machine("m1");
    const talker = `[Unit]\nDescription=${hostile}\n[Service]\n` +
      `ExecStart=/bin/sh -c 'echo "${hostile}"; while :; do [ -e /run/say ] && echo said again && rm /run/say; sleep 0.2; done'\n`;
    await cluster.put(m1, "talker.service", "launched", talker);
    await cluster.put(m1, "web.service", "launched", sleeper);
    await cluster.put(m1, "tape.service", "launched", `${sleeper}[X-Fleet]\nMachineMetadata=disk=tape\n`);
    await cluster.active(m1, ["talker.service", "web.service"]);
    const problems: string[] = [];
    await using browser = await TestBrowser.open(cluster.lab.network.path);
    const stage: Stage = { cluster, browser, problems };
    await t.step("the overview shows the machines, and a unit that is started later", () => overview(stage));
    await t.step("a waiting unit has the reasons of every machine", () => reasons(stage));
    await t.step("a journal is followed", () => journal(stage));
    await t.step("actions show their plan and are carried out", () => actions(stage));
    await t.step("files become an application, which is rolled out and back", () => apps(stage));
    await t.step("a machine is cordoned and drained", () => cordon(stage));
    await t.step("metadata moves a unit", () => labels(stage));
    await t.step("a template is scaled, and its instances are stopped together", () => scaled(stage));
    await t.step("a roll-out is paused, resumed, aborted and undone", () => controlled(stage));
    await t.step("a drain takes options", () => maintained(stage));
    await t.step("moves for balance are carried out", () => rebalanced(stage));
    await t.step("a token for reading sees no action, and a wrong one is refused", () => readOnly(stage));
    await t.step("text of units and journals never becomes markup", () => injection(stage));
    await t.step("every view can be reached and used by keyboard", () => keyboard(stage));
    await t.step("the views have no serious problem of accessibility, and fit a phone", () => accessible(stage));
    await t.step("fleetctl ui serves the page through a unix socket, and sends attached files", () => proxied(stage));
    await t.step("a machine shows its capacity, reservations and use", () => machineFigures(stage));
    await t.step("a view shows what happened before the page was opened", () => pastEvents(stage));
    await t.step(
      "the daemon of an open page knows the past after a change of leader",
      () => pastWithAnotherLeader(stage),
    );
    await t.step("the overview shows failures of late, with the last lines of journals", () => failedLately(stage));
    await t.step("a lost connection is shown, and found again", () => lostConnection(stage));
    await t.step("a journal goes on after a lost connection", () => liveJournal(stage));
    await t.step("a machine without power disappears", () => powerCut(stage));
    assert.deepEqual(problems, [], "the pages have reported no error");
  });
});
