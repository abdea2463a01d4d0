/**
 * `deno run -A bench/page.ts`: the cluster page with 5,000 units on 300 machines in a real browser: time to the first
 * complete view, the longest frame while a list is scrolled, and the memory of the tab after many events.
 *
 * @module
 */

import { processorTime, scrollToEnd, TestBrowser, usedMemory } from "../tests/support/browser.ts";
import { eventsOfAnHour as events, PageFixture } from "../tests/support/page_fixture.ts";
import { table } from "./statistics.ts";

/** The result of {@link measurePage}. */
interface PageTimes {
  /** From the beginning of the navigation until the overview has every machine: medians, milliseconds. */
  readonly small_ms: number;
  readonly large_ms: number;
  /** The longest frame while the list of all units is scrolled from its beginning to its end, milliseconds. */
  readonly longestFrame_ms: number;
  /** The processor time of the main thread for each of these frames, on average, milliseconds. */
  readonly frameCpu_ms: number;
  /** Memory of the script's objects before and after `events` events, after garbage collection. */
  readonly before_bytes: number;
  readonly after_bytes: number;
  readonly events: number;
}

const large = { machines: 300, units: 5_000 };
const small = { machines: 3, units: 10 };

async function firstView(browser: TestBrowser, folder: string, size: typeof large): Promise<number> {
  await using fixture = new PageFixture(folder, size);
  const page = await browser.tab([]);
  await page.goto(fixture.address);
  await page.locator(".machine").nth(size.machines - 1).waitFor();
  const time_ms = await page.evaluate<number>("performance.now()");
  await page.close();
  return time_ms;
}

/** Measures the page in `dist`. `samples`: how often each first view is measured. */
async function measurePage(dist: string, samples: number): Promise<PageTimes> {
  const folder = `${dist}/lib/fleetd/ui`;
  await using browser = await TestBrowser.open();
  const times: { small: number[]; large: number[] } = { small: [], large: [] };
  for (let sample = 0; sample < samples; sample++) {
    times.small.push(await firstView(browser, folder, small));
    times.large.push(await firstView(browser, folder, large));
  }
  const median = (values: readonly number[]) => values.toSorted((a, b) => a - b)[values.length >> 1]!;
  await using fixture = new PageFixture(folder, large);
  const page = await browser.tab([]);
  await page.goto(`${fixture.address}#/units`);
  await page.getByRole("heading", { name: "Units", level: 1 }).waitFor();
  let scrolled = { frames: 0, longest_ms: 0 };
  const cpu_ms = await processorTime(page, async () => scrolled = await scrollToEnd(page));
  const [longestFrame_ms, frameCpu_ms] = [scrolled.longest_ms, cpu_ms / scrolled.frames];
  const before_bytes = await usedMemory(page);
  for (let sent = 0; sent < events; sent += 1_000) {
    fixture.change(1_000, sent);
    await page.evaluate("new Promise(requestAnimationFrame)");
  }
  const after_bytes = await usedMemory(page);
  return {
    small_ms: median(times.small),
    large_ms: median(times.large),
    longestFrame_ms,
    frameCpu_ms,
    before_bytes,
    after_bytes,
    events,
  };
}

function report(times: PageTimes): string {
  const { small_ms, large_ms, longestFrame_ms, frameCpu_ms, before_bytes, after_bytes, events } = times;
  const megabytes = (bytes: number) => `${(bytes / 1e6).toFixed(1)} MB`;
  return table([
    ["cluster page", "", "ratio"],
    ["first view, 3 machines with 10 units", `${small_ms.toFixed(0)} ms`, "1"],
    ["first view, 300 machines with 5,000 units", `${large_ms.toFixed(0)} ms`, (large_ms / small_ms).toFixed(1)],
    ["longest frame while 5,000 units are scrolled", `${longestFrame_ms.toFixed(0)} ms`, ""],
    ["… processor time of one frame, on average", `${frameCpu_ms.toFixed(1)} ms`, ""],
    ["memory of the tab", megabytes(before_bytes), "1"],
    [`… after ${events} events`, megabytes(after_bytes), (after_bytes / before_bytes).toFixed(2)],
  ]);
}

if (import.meta.main) console.log(report(await measurePage(`${import.meta.dirname}/../dist`, 7)));
