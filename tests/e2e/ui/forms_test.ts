/** The forms, dialogs and search of the cluster page in a real browser, in front of the API without machines. */

import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import type { Page } from "playwright-core";
import { terminal } from "../../../ctl/terminal/deno.ts";
import { readApplication } from "../../../ctl/units/application.ts";
import { buildFleet, sleeper } from "../../lab/fleet_cluster.ts";
import { optionsOf } from "../../support/api_fixture.ts";
import { ApiPage } from "../../support/api_page.ts";
import { accessibilityProblems, dropPaths, TestBrowser } from "../../support/browser.ts";

const [m1, m2] = ["1a", "2b"].map((part) => part.repeat(16)) as [string, string];

/** A server, and a page on it. Each step has both for itself, so that a step that fails leaves the next one nothing. */
interface Stage {
  readonly server: ApiPage;
  readonly page: Page;
}

async function visit({ server, page }: Stage, fragment: string, heading: string): Promise<void> {
  await page.goto(server.address + fragment);
  await page.getByRole("heading", { name: heading, level: 1, exact: true }).waitFor();
}

const dialogOf = ({ page }: Stage) => page.getByRole("dialog");

const press = (stage: Stage, name: string) => stage.page.getByRole("button", { name, exact: true }).click();

/** Presses a button of the dialog, and waits until it has closed. */
async function confirm(stage: Stage, name: string): Promise<void> {
  await dialogOf(stage).getByRole("button", { name, exact: true }).click();
  await dialogOf(stage).waitFor({ state: "hidden" });
}

const planOf = (stage: Stage) => dialogOf(stage).getByRole("list", { name: "Plan" });

/** Checks what is shown: no serious problem of accessibility in either scheme, and nothing too wide for a phone. */
async function fits({ page }: Stage): Promise<void> {
  const size = page.viewportSize()!;
  for (const colorScheme of ["dark", "light"] as const) {
    await page.emulateMedia({ colorScheme });
    assert.deepEqual(await accessibilityProblems(page), [], `in the ${colorScheme} scheme`);
  }
  await page.setViewportSize({ width: 360, height: 700 });
  const overflow = await page.evaluate<number>(
    `Math.max(...[document.documentElement, ...document.querySelectorAll("dialog[open]")].map((each) => each.scrollWidth - each.clientWidth))`,
  );
  assert.ok(overflow <= 0, `${overflow} pixels too wide for a phone`);
  await page.setViewportSize(size);
}

const unitsOf = async ({ server: { api } }: Stage) =>
  Object.fromEntries(
    [...(await api.registry.read()).units.values()].map(({ name, desiredState }) => [name, desiredState]),
  );

/** Drops files on the page, as if they came from a folder of the user. */
async function drop({ page }: Stage, files: Readonly<Record<string, number[] | string>>): Promise<void> {
  const dataTransfer = await page.evaluateHandle(`(() => {
    const transfer = new DataTransfer();
    for (const [name, content] of Object.entries(${JSON.stringify(files)})) {
      transfer.items.add(new File([typeof content === "string" ? content : new Uint8Array(content)], name));
    }
    return transfer;
  })()`);
  for (const type of ["dragover", "drop"]) await page.dispatchEvent("body", type, { dataTransfer });
}

const template = `${sleeper}[X-Fleet]\nInstances=2\n`;

async function droppedFiles(stage: Stage): Promise<void> {
  const { page } = stage;
  await visit(stage, "#/", "Cluster");
  await drop(stage, {
    "shop@.service": template,
    README: "How to run the shop",
    "photo.service": [0xff, 0xd8, 0xff, 0xe0],
    "huge.service": "#".repeat(256 * 1024 + 1),
  });
  await page.getByRole("heading", { name: "Submit files", level: 1 }).waitFor();
  const refused = page.getByRole("alert");
  for (
    const text of [
      "README is not a unit file and is ignored",
      "photo.service is ignored: it is no text",
      "huge.service is ignored: it has 257 KiB",
    ]
  ) {
    await refused.getByText(text).waitFor();
  }
  await fits(stage);
  assert.equal(await page.getByLabel("Name", { exact: true }).count(), 1, "only the unit file is in the form");
  await page.getByLabel("Text").fill("ExecStart");
  await press(stage, "Show the plan");
  await refused.getByText(/^shop@\.service, line 1: /).waitFor();
  await page.getByLabel("Text").fill(template);
  await press(stage, "Show the plan");
  await planOf(stage).getByText("shop@2.service").waitFor();
  await confirm(stage, "Start");
  await page.getByRole("heading", { name: "Units", level: 1 }).waitFor();
  assert.deepEqual(await unitsOf(stage), {
    "shop@.service": "inactive",
    "shop@1.service": "launched",
    "shop@2.service": "launched",
  });
}

async function scale(stage: Stage): Promise<void> {
  const { page, server: { api } } = stage;
  await api.put("shop@.service", "inactive", template);
  for (const name of ["shop@1.service", "shop@2.service"]) await api.put(name, "launched", template);
  await api.schedule();
  await visit(stage, "#/units/shop@.service", "shop@.service");
  await press(stage, "Scale");
  const instances = dialogOf(stage).getByLabel("Instances");
  assert.equal(await instances.inputValue(), "2");
  await instances.fill("2000");
  await dialogOf(stage).getByText("is neither a number up to 1000 nor a list").waitFor();
  assert.ok(await dialogOf(stage).getByRole("button", { name: "Scale" }).isDisabled());
  await instances.fill("1");
  await planOf(stage).getByText("stop on").waitFor();
  await fits(stage);
  await confirm(stage, "Scale");
  assert.deepEqual(await unitsOf(stage), { "shop@.service": "inactive", "shop@1.service": "launched" });
  await page.getByRole("region", { name: "File" }).getByText("Instances=1").waitFor();
}

async function keptDraft(stage: Stage): Promise<void> {
  const { page, server: { api } } = stage;
  await api.put("web.service", "launched");
  await visit(stage, "#/units/web.service", "web.service");
  await press(stage, "Edit");
  await page.getByRole("heading", { name: "Submit files", level: 1 }).waitFor();
  await page.getByLabel("Text").fill(`${sleeper}[Unit]\nDescription=edited\n`);
  // The stream begins again with a reset, as after a restart of the daemon with another store.
  const isStream = (url: URL) => url.pathname === "/fleet/v1/events" && !url.searchParams.has("follow");
  const changed = Promise.withResolvers<void>();
  await page.route(isStream, async (route) => {
    await route.continue({ url: route.request().url().replace(/since=.*/, "since=1-00000000") });
    changed.resolve();
  });
  stage.server.endStreams();
  await changed.promise;
  await page.unroute(isStream);
  // What is created from now on is shown after the reset.
  await api.put("late.service", "inactive");
  await page.getByRole("link", { name: "Units", exact: true }).click();
  await page.getByRole("heading", { name: "Units", level: 1 }).waitFor();
  await page.getByRole("link", { name: "late.service" }).waitFor();
  await page.getByRole("link", { name: "Submit", exact: true }).click();
  assert.match(await page.getByLabel("Text").inputValue(), /Description=edited/);
  await press(stage, "Show the plan");
  await planOf(stage).getByText("+Description=edited").waitFor();
  await fits(stage);
  await confirm(stage, "Start");
}

async function several(stage: Stage): Promise<void> {
  const { page, server: { api } } = stage;
  for (const name of ["a.service", "b.service", "shop@1.service", "shop@2.service"]) await api.put(name, "launched");
  await api.schedule();
  await visit(stage, "#/units", "Units");
  await page.getByLabel("Select a.service").check();
  await page.getByLabel("Select b.service").check();
  await page.getByText("2 selected").waitFor();
  await fits(stage);
  await press(stage, "Stop");
  await dialogOf(stage).getByRole("heading", { name: "Stop 2 units?" }).waitFor();
  await planOf(stage).getByText("b.service").waitFor();
  // Another client is faster: the dialog says so, and shows what is left.
  await api.send("DELETE", "/fleet/v1/units/b.service");
  await dialogOf(stage).getByRole("button", { name: "Stop" }).click();
  await dialogOf(stage).getByText("b.service: unit does not exist").waitFor();
  await planOf(stage).getByText("refuse", { exact: true }).waitFor();
  await dialogOf(stage).getByRole("button", { name: "Cancel" }).click();
  assert.equal((await unitsOf(stage))["a.service"], "loaded", "what was before it is done");
  await page.getByText("1 selected").waitFor();
  await press(stage, "Start");
  await confirm(stage, "Start");
  await page.getByLabel("Filter").fill("shop");
  await page.getByText("Select all 2").waitFor();
}

async function missingVersion(stage: Stage): Promise<void> {
  const { page, server: { api } } = stage;
  await api.put("a.service", "launched");
  for (const number of [1, 2, 3]) await api.put("a.service", "launched", `[Unit]\nDescription=number ${number}`);
  await page.route("**/units/a.service/history*", async (route) => {
    const answer = await route.fetch();
    const { versions, ...rest } = await answer.json();
    const changed = versions.map((each: { version: number }) => {
      const { options: _gone, ...kept } = each as { version: number; options?: unknown };
      return each.version === 3 ? { ...kept, missing: true } : each;
    });
    await route.fulfill({ json: { ...rest, versions: changed } });
  });
  await visit(stage, "#/units/a.service", "a.service");
  const versions = page.getByRole("region", { name: "Versions" });
  await versions.getByText("The store no longer has this file.").waitFor();
  await versions.getByRole("button", { name: "Changes" }).first().click();
  await versions.getByText("changes since version 2").waitFor();
  await versions.getByText("-Description=number 1").waitFor();
  await versions.getByText("+Description=number 3").waitFor();
  await page.unroute("**/units/a.service/history*");
}

async function unreachable(stage: Stage): Promise<void> {
  const { page, server: { api } } = stage;
  await api.put("a.service", "launched");
  await visit(stage, "#/units/a.service", "a.service");
  await press(stage, "Restart");
  await planOf(stage).getByText("a.service").waitFor();
  await page.route("**/restart", (route) => route.abort());
  await dialogOf(stage).getByRole("button", { name: "Restart" }).click();
  await dialogOf(stage).getByText("it is not known whether it has received the request").waitFor();
  await page.unroute("**/restart");
  await confirm(stage, "Restart");
}

async function closedDialog(stage: Stage): Promise<void> {
  const { page, server: { api } } = stage;
  await api.put("a.service", "launched");
  await visit(stage, "#/units/a.service", "a.service");
  await press(stage, "Stop");
  await planOf(stage).getByText("a.service").waitFor();
  const held = Promise.withResolvers<void>();
  await page.route("**/units/a.service", async (route) => {
    if (route.request().method() === "PUT") await held.promise;
    await route.continue();
  });
  await dialogOf(stage).getByRole("button", { name: "Stop" }).click();
  await confirm(stage, "Close");
  await api.send("DELETE", "/fleet/v1/units/a.service");
  held.resolve();
  const notice = page.getByRole("alert").getByText('"Stop a.service" has failed: ');
  await notice.getByText("unit does not exist").waitFor();
  await page.getByRole("link", { name: "Units", exact: true }).click();
  await page.getByRole("heading", { name: "Units", level: 1 }).waitFor();
  await notice.waitFor();
  await fits(stage);
  await page.getByRole("button", { name: "Dismiss" }).click();
  await notice.waitFor({ state: "detached" });
}

async function palette(stage: Stage): Promise<void> {
  const { page, server: { api } } = stage;
  await api.put("a.service", "launched");
  for (const name of ["shop@.service", "shop@1.service", "z.service"]) await api.put(name);
  await api.schedule();
  await visit(stage, "#/", "Cluster");
  await page.keyboard.press("/");
  const input = page.getByRole("combobox", { name: "Name, view or action" });
  await input.fill("service");
  await page.getByRole("option").nth(3).waitFor();
  for (let presses = 0; presses < 3; presses++) await page.keyboard.press("ArrowDown");
  const options = page.getByRole("option");
  const isChosen = page.locator('[aria-selected="true"]');
  await options.nth(3).and(isChosen).waitFor();
  // Fewer results than the number of the chosen one: the last one is chosen then.
  for (const name of ["shop@1.service", "shop@.service"]) await api.send("DELETE", `/fleet/v1/units/${name}`);
  await options.nth(2).waitFor({ state: "detached" });
  await options.nth(1).and(isChosen).waitFor();
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { name: "z.service", level: 1 }).waitFor();
  await page.locator("h1:focus", { hasText: "z.service" }).waitFor();
  await page.keyboard.press("/");
  await input.fill("stop a");
  await options.getByText("Stop: a.service").waitFor();
  await fits(stage);
  await page.keyboard.press("Enter");
  await dialogOf(stage).getByRole("heading", { name: "Stop a.service?" }).waitFor();
  await planOf(stage).getByText("stop on").waitFor();
  await confirm(stage, "Stop");
}

async function machines(stage: Stage): Promise<void> {
  const { page, server: { api } } = stage;
  await api.put("tape.service", "launched", `${sleeper}[X-Fleet]\nMachineMetadata=disk=tape`);
  await visit(stage, `#/machines/${m2}`, "10.0.0.2 (2b2b2b2b…)");
  await page.getByLabel("New metadata").fill("disk=tape");
  await press(stage, "Add");
  await planOf(stage).getByText("start on 10.0.0.2").waitFor();
  await dialogOf(stage).getByRole("button", { name: "Cancel" }).click();
  assert.equal(
    await page.getByLabel("New metadata").inputValue(),
    "disk=tape",
    "the form keeps what was not confirmed",
  );
  await press(stage, "Add");
  await confirm(stage, "Set");
  await api.until(({ machines }) => machines.get(m2)?.metadata["disk"] === "tape");
  await api.schedule();
  await press(stage, "Drain");
  const dialog = dialogOf(stage);
  await planOf(stage).getByText("needs disk=tape").waitFor();
  await dialog.getByText("1 unit fits on no other machine and will stay until there is room.").waitFor();
  await dialog.getByLabel("Stop units that fit on no other machine").check();
  await dialog.getByText("will be stopped after all others have moved").waitFor();
  await dialog.getByLabel("After this time").fill("soon");
  await dialog.getByText('expected a time such as 30s, 10m or 2h, not "soon"').waitFor();
  assert.ok(await dialog.getByRole("button", { name: "Drain" }).isDisabled());
  await dialog.getByLabel("After this time").fill("10m");
  await dialog.getByLabel("Reason").fill("new disk");
  await fits(stage);
  const held = Promise.withResolvers<void>();
  let requests = 0;
  const changes = /\/v1\/(drains|plan)\b/;
  await page.route(changes, async (route) => {
    // The view of the drain reads it by GET, as soon as the drain exists.
    if (route.request().method() === "POST") requests++;
    await held.promise;
    await route.continue();
  });
  await dialog.getByRole("button", { name: "Drain" }).click();
  await dialog.getByRole("button", { name: "Drain", disabled: true }).waitFor();
  await dialog.getByLabel("Units that move at once").fill("5");
  held.resolve();
  await dialog.waitFor({ state: "hidden" });
  await page.unroute(changes);
  assert.equal(requests, 1, "an option that is changed while the request is under way asks for nothing");
  await page.getByText("units are left").waitFor();
  const drain = (await api.registry.read()).drains?.get(m2);
  assert.deepEqual([drain?.force, drain?.deadlineAt_ms !== undefined], [true, true]);
  await page.getByText("takes no new units: new disk").waitFor();
  await press(stage, "Undrain");
  await dialog.getByLabel("Keep the machine cordoned").check();
  await planOf(stage).or(dialog.locator("p.plan")).waitFor();
  await confirm(stage, "Undrain");
  await press(stage, "Uncordon");
  await confirm(stage, "Uncordon");
  await page.getByRole("button", { name: "Cordon", exact: true }).waitFor();
}

async function rebalanced(stage: Stage): Promise<void> {
  const { server: { api } } = stage;
  for (const number of [1, 2, 3, 4]) {
    await api.put(`full@${number}.service`, "launched");
    await api.place(`full@${number}.service`, m1);
  }
  await visit(stage, "#/", "Cluster");
  await press(stage, "Rebalance");
  await planOf(stage).getByText("move from 10.0.0.1").first().waitFor();
  await confirm(stage, "Move");
  assert.ok((await api.registry.read()).rebalance, "the moves are requested");
  await press(stage, "Rebalance");
  await dialogOf(stage).getByText("These moves were requested").waitFor();
  await confirm(stage, "Cancel these moves");
  assert.equal((await api.registry.read()).rebalance, undefined);
}

async function rollouts(stage: Stage): Promise<void> {
  const { page, server: { api } } = stage;
  await visit(stage, "#/submit", "Submit files");
  await page.getByLabel("Name", { exact: true }).fill("site@.service");
  await page.getByLabel("Text").fill(template);
  await page.getByLabel("Application").fill("site");
  await press(stage, "Show the plan");
  await planOf(stage).getByText("site@2.service").waitFor();
  await dialogOf(stage).getByLabel("Units of a template at once").fill("2");
  await planOf(stage).getByText("site@2.service").waitFor();
  await confirm(stage, "Apply");
  await page.getByRole("heading", { name: "site", level: 1 }).waitFor();
  assert.equal((await api.registry.read()).rollouts?.get("site")?.maxParallel, 2);
  await api.advance("site", "running", { "site@.service": "healthy", "site@1.service": "changing" });
  await page.getByText("1 of 3 units").waitFor();
  await press(stage, "Pause");
  await planOf(stage).getByText("is not changed before the roll-out is resumed").waitFor();
  await confirm(stage, "Pause");
  await press(stage, "Resume");
  await confirm(stage, "Resume");
  await press(stage, "Undo");
  await planOf(stage).getByText("is destroyed again").first().waitFor();
  await dialogOf(stage).getByRole("button", { name: "Cancel" }).click();
  await press(stage, "Abort");
  await planOf(stage).getByText("is not changed", { exact: true }).waitFor();
  // It ends in the meantime: the refusal of the daemon is shown.
  await api.advance("site", "done", { "site@1.service": "healthy", "site@2.service": "healthy" });
  await dialogOf(stage).getByRole("button", { name: "Abort" }).click();
  await dialogOf(stage).getByRole("alert").waitFor();
  await dialogOf(stage).getByRole("button", { name: "Cancel" }).click();
  await page.getByRole("button", { name: "Scale site@.service" }).click();
  await dialogOf(stage).getByLabel("Instances").fill("blue,green");
  await planOf(stage).getByText("site@green.service").waitFor();
  await confirm(stage, "Scale");
  await api.until(({ rollouts }) => rollouts?.get("site")?.what === "scale");
}

async function lost(stage: Stage): Promise<void> {
  const { page, server: { api } } = stage;
  await api.put("web.service", "launched");
  await api.place("web.service", m1);
  await api.leave(m1);
  await api.lose(m1);
  await visit(stage, "#/", "Cluster");
  await page.getByText("1 machine was lost at once").waitFor();
  await press(stage, "Give up what was lost");
  await planOf(stage).getByText("starts on another machine instead of 1a1a1a1a").waitFor();
  await confirm(stage, "Give up");
  await page.getByText("lost at once").waitFor({ state: "detached" });
}

async function droppedFolder(stage: Stage): Promise<void> {
  const { page } = stage;
  await visit(stage, "#/apps", "Apps");
  const directory = await Deno.makeTempDir({ prefix: "fleet-page-" });
  try {
    await Deno.mkdir(`${directory}/cafe`);
    await Deno.writeTextFile(`${directory}/cafe/cafe@.service`, template);
    await Deno.writeTextFile(`${directory}/cafe/README`, "How to run the cafe");
    await dropPaths(page, `${directory}/cafe`);
    await page.getByRole("heading", { name: "Submit files", level: 1 }).waitFor();
    await page.getByText("README is not a unit file and is ignored").waitFor();
    assert.equal(await page.getByLabel("Application").inputValue(), "cafe", "the folder names the application");
    assert.equal(await page.getByLabel("Name", { exact: true }).inputValue(), "cafe@.service");
    await press(stage, "Remove cafe@.service");
    await page.getByRole("button", { name: "Remove cafe@.service" }).waitFor({ state: "detached" });
    const file = {
      name: "own.service",
      mimeType: "text/plain",
      buffer: Buffer.from(`${sleeper}[X-Fleet]\nFile=a.conf\n`),
    };
    await page.locator("input[type=file]").setInputFiles(file);
    await page.getByRole("button", { name: "Remove own.service" }).waitFor();
    await press(stage, "Show the plan");
    await page.getByRole("alert").getByText("own.service: File=a.conf: there is no file a.conf.").waitFor();
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

async function folderAsApplied(stage: Stage): Promise<void> {
  const { page } = stage;
  await visit(stage, "#/apps", "Apps");
  const directory = await Deno.makeTempDir({ prefix: "fleet-page-" });
  const files = {
    "README": "How to run the cafe",
    "cafe.servic": sleeper,
    "cafe.service": `${sleeper}[X-Fleet]\nFile=conf/app.conf\n`,
    "conf/app.conf": "a=1\n",
    "files/cafe": "no folder",
    "files/cafe.service/.env": "",
    "files/cafe.service/hooks/start": "#!/bin/sh\n",
    "files/other.service/x": "",
    "files/tea.service/": "",
    "old/cafe.service": sleeper,
    "tea.service": sleeper,
    // More files than the page reads, in a folder that no unit names.
    ...Object.fromEntries(Array.from({ length: 600 }, (_, at) => [`a-build/${at}`, ""])),
  };
  try {
    for (const [path, text] of Object.entries(files)) {
      await Deno.mkdir(`${directory}/cafe/${path.slice(0, path.lastIndexOf("/") + 1)}`, { recursive: true });
      if (!path.endsWith("/")) await Deno.writeTextFile(`${directory}/cafe/${path}`, text);
    }
    await dropPaths(page, `${directory}/cafe`);
    const alert = page.getByRole("alert").locator("li");
    await alert.first().waitFor();
    const shown = await alert.allTextContents();
    const { ignored, warnings, errors } = await readApplication(terminal(false), [`${directory}/cafe`], false);
    const applied = [...errors, ...warnings, ...ignored].map((line) => line.replaceAll(`${directory}/cafe/`, ""));
    assert.equal(applied.length, 8);
    assert.deepEqual(shown.map((line) => line.replace(/\.$/, "")).sort(), applied.sort());
    await page.getByText("From folder files/cafe.service: hooks/start").waitFor();
    await Deno.mkdir(`${directory}/empty`);
    await dropPaths(page, `${directory}/empty`);
    await page.getByText("empty: the folder has no unit files.").waitFor();
    for (const name of ["cafe.service", "tea.service"]) await press(stage, `Remove ${name}`);
    await Deno.mkdir(`${directory}/other`);
    for (const name of ["cafe.service", "NOTES"]) await Deno.writeTextFile(`${directory}/other/${name}`, template);
    await Deno.writeTextFile(`${directory}/loose.service`, `${sleeper}[X-Fleet]\nFile=conf/app.conf\n`);
    const dropped = ["loose.service", "cafe/conf", "cafe", "other"].map((path) => `${directory}/${path}`);
    await dropPaths(page, ...dropped);
    await page.getByText("other: cafe.service is ignored: the unit was dropped twice.").waitFor();
    await page.getByText("other: NOTES is not a unit file and is ignored.").waitFor();
    await page.getByText("cafe: old is not a unit file and is ignored.").waitFor();
    assert.equal(await page.getByText("conf is not a unit file").count(), 0, "a unit beside it names a file in it");
    for (const name of ["loose.service", "cafe.service", "tea.service"]) await press(stage, `Remove ${name}`);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

async function attachedFiles(stage: Stage): Promise<void> {
  const { page, server: { api } } = stage;
  await visit(stage, "#/", "Cluster");
  const directory = await Deno.makeTempDir({ prefix: "fleet-page-" });
  try {
    await Deno.mkdir(`${directory}/cafe/files/cafe.service/hooks`, { recursive: true });
    await Deno.mkdir(`${directory}/cafe/.conf/deep`, { recursive: true });
    await Deno.writeTextFile(`${directory}/cafe/cafe.service`, `${sleeper}[X-Fleet]\nFile=.conf/deep/app.conf\n`);
    await Deno.writeTextFile(`${directory}/cafe/.conf/deep/app.conf`, "a=1\n");
    await Deno.writeTextFile(`${directory}/cafe/files/cafe.service/hooks/start`, "#!/bin/sh\n");
    await dropPaths(page, `${directory}/cafe`);
    await page.getByText("From folder files/cafe.service: hooks/start").waitFor();
    assert.equal(await page.getByText("is ignored").count(), 0);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
  // What was dropped is applied, although it is gone from the disk.
  await press(stage, "Show the plan");
  await planOf(stage).getByText("cafe.service").waitFor();
  await confirm(stage, "Apply");
  await page.getByRole("heading", { name: "cafe", level: 1 }).waitFor();
  const { contents, files, rollouts } = await api.registry.read();
  const stored = await Promise.all([...contents!.values()].map((content) => api.registry.content(content)));
  assert.deepEqual(stored.sort(), [btoa("#!/bin/sh\n"), btoa("a=1\n")].sort());
  const { text } = files.get(rollouts!.get("cafe")!.steps[0]!.after!.hash)!;
  assert.match(text, /^File=\.conf\/deep\/app\.conf:app\.conf:0644:[0-9a-f]{64}:4$/m);
  assert.match(text, /^File=files\/cafe\.service\/hooks\/start:hooks\/start:0755:[0-9a-f]{64}:10$/m);
  // Over plain HTTP from another machine, a browser offers no hashes.
  await visit(stage, "#/submit", "Submit files");
  await page.evaluate(`Object.defineProperty(crypto, "subtle", { value: undefined })`);
  await drop(stage, { "own.service": `${sleeper}[X-Fleet]\nFile=a.conf\n`, "a.conf": "a=1" });
  await page.getByRole("button", { name: "Remove own.service" }).waitFor();
  await press(stage, "Show the plan");
  await page.getByRole("alert").getByText("only for a page by https, or by fleetctl ui").waitFor();
}

async function pasted(stage: Stage): Promise<void> {
  const { page, server } = stage;
  await page.context().grantPermissions(["clipboard-read", "clipboard-write"], {
    origin: new URL(server.address).origin,
  });
  const copy = (text: string) => page.evaluate(`navigator.clipboard.writeText(${JSON.stringify(text)})`);
  await visit(stage, "#/", "Cluster");
  await copy(template);
  await page.keyboard.press("Control+V");
  await page.getByRole("heading", { name: "Submit files", level: 1 }).waitFor();
  const [names, texts] = [page.getByLabel("Name", { exact: true }), page.getByLabel("Text")];
  assert.equal(await texts.inputValue(), template);
  await names.fill("shop@.service");
  // In a field, text stays what it is.
  await copy("[Unit]\nDescription=pasted");
  await texts.press("Control+V");
  await page.getByLabel("Application").focus();
  await page.keyboard.press("Control+V");
  assert.equal(await page.getByLabel("Application").inputValue(), "[Unit] Description=pasted");
  await page.getByLabel("Application").fill("");
  assert.equal(await texts.inputValue(), `${template}[Unit]\nDescription=pasted`);
  // Files of the clipboard, on any element but with text for a field.
  const pasteFiles = (selector: string, text: string) =>
    page.evaluate(`(() => {
      const clipboardData = new DataTransfer();
      clipboardData.items.add(new File([${JSON.stringify(sleeper)}], "own.service"));
      if (${JSON.stringify(text)}) clipboardData.setData("text/plain", ${JSON.stringify(text)});
      const event = new ClipboardEvent("paste", { clipboardData, bubbles: true, cancelable: true });
      document.querySelector(${JSON.stringify(selector)}).dispatchEvent(event);
      return event.defaultPrevented;
    })()`);
  assert.equal(await pasteFiles("textarea", "[Unit]"), false, "the browser pastes the text");
  assert.equal(await pasteFiles("textarea", ""), true);
  await page.getByRole("button", { name: "Remove own.service" }).waitFor();
  assert.equal(await names.count(), 2);
  await press(stage, "Show the plan");
  for (const name of ["shop@1.service", "own.service"]) await planOf(stage).getByText(name).waitFor();
  assert.equal(await pasteFiles("dialog", ""), true);
  await confirm(stage, "Start");
  await page.getByRole("heading", { name: "Units", level: 1 }).waitFor();
  assert.equal((await unitsOf(stage))["own.service"], "launched");
  // Text that is no unit file changes nothing.
  await copy("just words");
  await page.keyboard.press("Control+V");
  await page.getByRole("link", { name: "Submit", exact: true }).click();
  await page.getByRole("heading", { name: "Submit files", level: 1 }).waitFor();
  assert.equal(await texts.inputValue(), "");
}

async function readOnly(stage: Stage): Promise<void> {
  const { server: { api }, page } = stage;
  await api.put("a.service", "launched");
  await api.put("a.service", "launched", "[Unit]\nDescription=two");
  await api.schedule();
  const units = [
    { name: "site@.service", desiredState: "inactive", options: optionsOf(template) },
    { name: "site@1.service", desiredState: "launched", options: optionsOf(template) },
  ];
  const { code, text } = await api.send("POST", "/fleet/v1/apps/site", { body: { units } });
  assert.ok(code < 300, text);
  await api.advance("site", "running", { "site@.service": "healthy", "site@1.service": "changing" });
  stage.server.setRole("read");
  // Each view with a text that it shows when it is complete.
  const views = [
    ["#/", "Cluster", "1 of 2 units"],
    ["#/units", "Units", "a.service"],
    ["#/units/a.service", "a.service", "Version 2"],
    ["#/units/site@.service", "site@.service", "Version 1"],
    ["#/apps/site", "site", "No roll-out has ended with changes yet."],
    [`#/machines/${m2}`, "10.0.0.2 (2b2b2b2b…)", "Nothing is known to have happened here."],
    ["#/submit", "Submit files", "This client may only read."],
  ] as const;
  for (const [fragment, heading, complete] of views) {
    await visit(stage, fragment, heading);
    await page.getByText("read only").waitFor();
    await page.getByRole("main").getByText(complete).first().waitFor();
    const names = await page.locator("main button").allTextContents();
    assert.deepEqual(names.filter((name) => !["Changes", "Follow", "Stop following"].includes(name)), [], fragment);
    assert.equal(await page.locator("main input[type=checkbox], main textarea").count(), 0, fragment);
  }
  await drop(stage, { "a.service": sleeper });
  await page.keyboard.press("/");
  await page.getByRole("combobox", { name: "Name, view or action" }).fill("stop a");
  await page.getByText("Nothing has this name.").waitFor();
}

Deno.test("forms, dialogs and the search of the page", async (t) => {
  const folder = `${await buildFleet()}/lib/fleetd/ui`;
  await using browser = await TestBrowser.open();
  const problems: string[] = [];
  const step = (name: string, work: (stage: Stage) => Promise<void>) =>
    t.step(name, async () => {
      await using server = await ApiPage.open(folder);
      await server.api.join(m1, "10.0.0.1");
      await server.api.join(m2, "10.0.0.2");
      const page = await browser.tab(problems);
      try {
        await work({ server, page });
      } finally {
        // A handler that waits for the server would fail when the page closes.
        await page.unrouteAll({ behavior: "ignoreErrors" });
        await page.close();
      }
    });
  await step("dropped files are checked, planned and started", droppedFiles);
  await step("a template is scaled after its plan was shown", scale);
  await step("a draft survives another view and a new stream", keptDraft);
  await step("several units are stopped at once, and a failure names its unit", several);
  await step("changes leave out a version that is missing", missingVersion);
  await step("a request that cannot be sent is reported, and can be sent again", unreachable);
  await step("a failure after its dialog was closed is shown until it is dismissed", closedDialog);
  await step("the search chooses one of its results, and offers actions", palette);
  await step("metadata and drains show their plan, with their options", machines);
  await step("moves for balance are shown, requested and canceled", rebalanced);
  await step("a roll-out is paused, resumed and scaled, and a late request is refused", rollouts);
  await step("pasted text and files become unit files, unless a field has the focus", pasted);
  await step("a folder becomes an application, and files can be chosen", droppedFolder);
  await step("a folder gives the same units and notes as fleetctl apply", folderAsApplied);
  await step("a folder brings the files that its units attach", attachedFiles);
  await step("machines that were lost at once are given up", lost);
  await step("a client that may only read sees no action in any view", readOnly);
  assert.deepEqual(problems, [], "the page has reported no error");
});
