/** The cluster page with thousands of units, of a made-up cluster, in a real browser. */

import assert from "node:assert/strict";
import { buildFleet } from "../../lab/fleet_cluster.ts";
import { processorTime, scrollToEnd, TestBrowser, usedMemory } from "../../support/browser.ts";
import { eventsOfAnHour, PageFixture } from "../../support/page_fixture.ts";

Deno.test("the page shows 5,000 units on 300 machines, and draws only what is visible", async () => {
  const dist = await buildFleet();
  await using fixture = new PageFixture(`${dist}/lib/fleetd/ui`, { machines: 300, units: 5_000 });
  await using browser = await TestBrowser.open();
  const reported: string[] = [];
  const page = await browser.tab(reported);
  await page.goto(fixture.address);
  await page.getByText("5000 running").waitFor();
  assert.equal(await page.locator(".machine").count(), 300);
  await page.getByRole("link", { name: "Units", exact: true }).click();
  await page.getByRole("heading", { name: "Units", level: 1 }).waitFor();
  const rows = page.getByRole("listitem");
  await rows.first().waitFor();
  assert.ok(await rows.count() < 100, "rows outside the window are not in the document");
  let frames = 0;
  const cpu_ms = await processorTime(page, async () => frames = (await scrollToEnd(page)).frames);
  assert.ok(frames > 100, `scrolled in ${frames} frames`);
  assert.ok(cpu_ms / frames < 50, `a frame takes ${cpu_ms / frames} ms of the processor`);
  await page.getByRole("link", { name: "unit-04999.service" }).waitFor();
  // The events of an hour in a busy cluster: far more than the page remembers.
  const before_bytes = await usedMemory(page);
  for (let sent = 0; sent < eventsOfAnHour; sent += 1_000) {
    fixture.change(1_000, sent);
    await page.evaluate("new Promise(requestAnimationFrame)");
  }
  await page.getByText("2500 failed").waitFor();
  await page.getByRole("link", { name: "Overview", exact: true }).click();
  const problems = page.getByRole("region", { name: "Needs attention" }).getByRole("listitem");
  await problems.first().waitFor();
  assert.equal(await problems.count(), 10);
  await page.getByRole("button", { name: "Show 40 more" }).click();
  await page.getByRole("link", { name: "All 2500 units with a problem" }).waitFor();
  assert.equal(await problems.count(), 50);
  await page.getByRole("link", { name: "Events", exact: true }).click();
  await page.getByText("2010 of 2010").waitFor();
  assert.ok(await rows.count() < 100, "events outside the window are not in the document");
  const after_bytes = await usedMemory(page);
  // Without a bound, the events alone would take several times as much.
  assert.ok(after_bytes < 2 * before_bytes, `the memory of the tab grew from ${before_bytes} to ${after_bytes} bytes`);
  assert.deepEqual(reported, []);
});
