/** The site of the docs: complete, without broken links, and readable in a real browser. */

import assert from "node:assert/strict";
import { dirname, join } from "node:path/posix";
import { fileURLToPath } from "node:url";
import type { Page } from "playwright-core";
import { filesOf } from "../architecture/source.ts";
import { must } from "../lab/process.ts";
import { accessibilityProblems, TestBrowser } from "../support/browser.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));
/** The path that the server of this test has the site at. */
const base = "/fleet/";
const phone = { width: 360, height: 740 };
const desktop = { width: 1280, height: 800 };

const attributes = (html: string, names: string) =>
  [...html.matchAll(new RegExp(` (?:${names})="([^"]*)"`, "g"))].map(([, value]) => value!);

/** Returns what is wrong with the links of a built page. `ids` has the anchors of every page by its address. */
async function brokenReferences(
  directory: string,
  address: string,
  html: string,
  ids: ReadonlyMap<string, readonly string[]>,
): Promise<string[]> {
  const broken: string[] = [];
  for (const to of new Set(attributes(html, "href|src"))) {
    if (/^[a-z]+:/.test(to)) continue;
    const [file = "", anchor] = to.split("#");
    const target = file === "" ? address : file.startsWith(base) ? file.slice(base.length) : join(address, "..", file);
    const isThere = await Deno.stat(join(directory, target)).then(({ isFile }) => isFile, () => false);
    if (!isThere || anchor !== undefined && !ids.get(target)?.includes(anchor)) broken.push(`${address}: ${to}`);
  }
  return broken;
}

async function checkFiles(directory: string, addresses: readonly string[]): Promise<void> {
  const texts = new Map(
    await Promise.all(addresses.map(async (each) => [each, await Deno.readTextFile(join(directory, each))] as const)),
  );
  const ids = new Map([...texts].map(([address, html]) => [address, attributes(html, "id")]));
  const titles = new Map<string, string>();
  for (const [address, html] of texts) {
    assert.deepEqual(await brokenReferences(directory, address, html, ids), []);
    assert.equal(new Set(ids.get(address)).size, ids.get(address)!.length, `${address} has an id twice`);
    assert.equal(html.match(/<h1/g)?.length, 1, `${address} needs one heading of the first level`);
    const title = /<title>([^<]+)<\/title>/.exec(html)?.[1];
    assert.match(html, /<meta name="description" content="[^"]{10,}">/, address);
    assert.equal(titles.get(title!), undefined, `${address} has the title of another page: ${title}`);
    titles.set(title!, address);
    // Only links, which the reader may follow, lead to other hosts.
    assert.deepEqual(attributes(html, "src").filter((to) => /^([a-z]+:|\/\/)/.test(to)), [], address);
  }
  // The check finds what is broken.
  const bad = `<a href="gone.html"><a href="#gone"><a href="index.html#content"><img src="../style.css">`;
  assert.deepEqual(await brokenReferences(directory, "index.html", bad, ids), [
    "index.html: gone.html",
    "index.html: #gone",
    "index.html: ../style.css",
  ]);
}

const types: Readonly<Record<string, string>> = {
  ...{ html: "text/html", css: "text/css", js: "text/javascript", svg: "image/svg+xml", png: "image/png" },
  txt: "text/plain",
};

/** Serves the site below {@link base}, with its own page for unknown addresses. */
function serveSite(directory: string): Deno.HttpServer<Deno.NetAddr> {
  const send = async (path: string, status: number) =>
    new Response(await Deno.readFile(join(directory, path)), {
      status,
      headers: { "content-type": types[path.replace(/^.*\./, "")] ?? "application/octet-stream" },
    });
  return Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, async (request) => {
    const { pathname } = new URL(request.url);
    try {
      return await send(pathname.startsWith(base) ? pathname.slice(base.length) || "index.html" : "404.html", 200);
    } catch {
      return await send("404.html", 404);
    }
  });
}

/** Adds each request to another origin, and each that fails, to `problems`. */
function watchRequests(page: Page, origin: string, problems: string[]): void {
  page.on("request", (request) => {
    if (!request.url().startsWith(origin)) problems.push(`request to another host: ${request.url()}`);
  });
  page.on("response", (response) => {
    if (response.status() >= 400) problems.push(`${response.status()}: ${response.url()}`);
  });
}

/** Opens every page, wide and narrow. No page is wider than the screen. */
async function walk(page: Page, origin: string, addresses: readonly string[], problems: string[]): Promise<void> {
  for (const address of addresses) {
    await page.goto(origin + base + address);
    for (const size of [desktop, phone]) {
      await page.setViewportSize(size);
      const width = await page.evaluate<number>("document.documentElement.scrollWidth");
      if (width > size.width) problems.push(`${address} is ${width} pixels wide on a screen of ${size.width}`);
    }
  }
}

/** Checks pages of every kind in both color schemes. */
async function checkAccessibility(page: Page, address: (path: string) => string): Promise<void> {
  await page.setViewportSize(desktop);
  const pages = [
    "index.html",
    "guides/run-units.html",
    "reference/unit-options.html",
    "internals/adr/index.html",
    "internals/design.html",
  ];
  for (const scheme of ["light", "dark"] as const) {
    await page.emulateMedia({ colorScheme: scheme });
    for (const path of [...pages, "404.html"]) {
      await page.goto(address(path));
      assert.deepEqual(await accessibilityProblems(page), [], `${path}, ${scheme}`);
    }
  }
}

/** Searches by keyboard alone, and opens a result. */
async function searchByKeyboard(page: Page): Promise<void> {
  await page.keyboard.press("/");
  await page.keyboard.insertText("MachineMetad");
  const results = page.getByRole("region", { name: "Search results" });
  await results.getByRole("link", { name: /^Unit options.*: MachineMetadata/ }).first().waitFor();
  await page.keyboard.press("Enter");
  await page.waitForURL(/reference\/unit-options\.html#machinemetadata$/);
  const query = page.getByRole("searchbox", { name: "Search the docs" });
  // No page has both words. Pages for operators come first.
  await query.fill("certificate zzyzx");
  const first = await results.getByRole("link").first().getAttribute("href");
  assert.doesNotMatch(first!, /internals/);
  await query.fill("zzyzx");
  await results.getByText(`Nothing about "zzyzx".`).waitFor();
  await page.keyboard.press("Escape");
  await results.waitFor({ state: "hidden" });
}

const groundOf = (page: Page) => page.evaluate<string>("getComputedStyle(document.body).backgroundColor");

async function switchScheme(page: Page, address: (path: string) => string): Promise<void> {
  await page.emulateMedia({ colorScheme: "light" });
  await page.goto(address("index.html"));
  const light = await groundOf(page);
  await page.getByRole("button", { name: "Dark mode" }).click();
  await page.getByRole("button", { name: "Light mode" }).waitFor();
  const dark = await groundOf(page);
  assert.notEqual(dark, light);
  await page.goto(address("guides/deploy.html"));
  assert.equal(await groundOf(page), dark, "the choice holds for the next page");
}

/** Follows the menu of a narrow screen, then the links to the next and the previous page. */
async function navigateOnPhone(page: Page, address: (path: string) => string): Promise<void> {
  await page.setViewportSize(phone);
  await page.goto(address("index.html"));
  const pages = page.getByRole("navigation", { name: "Pages", exact: true });
  await pages.waitFor({ state: "hidden" });
  await page.getByRole("button", { name: "Menu" }).click();
  await pages.getByRole("link", { name: "Deploy a cluster" }).click();
  await page.getByRole("heading", { level: 1, name: "Deploy a cluster" }).waitFor();
  const next = page.getByRole("link", { name: /^Next / });
  const title = (await next.textContent())!.replace(/^Next /, "");
  await next.click();
  await page.getByRole("heading", { level: 1, name: title }).waitFor();
  await page.getByRole("link", { name: /^Previous / }).click();
  await page.getByRole("heading", { level: 1, name: "Deploy a cluster" }).waitFor();
}

Deno.test("the site of the docs", async (t) => {
  const directory = await Deno.makeTempDir({ prefix: "fleet-site-" });
  try {
    await must([
      Deno.execPath(),
      "run",
      "-A",
      "--frozen",
      `${root}packaging/site/main.ts`,
      directory,
      `--base=${base}`,
    ]);
    const addresses = await filesOf(directory, ".html");

    await t.step("every page has a title of its own, a description, and links that lead somewhere", async () => {
      const pages = (await filesOf(root, ".md")).filter((path) => dirname(path) === "." || path.startsWith("docs/"));
      // The page for unknown addresses and the list of decisions have no file of their own.
      assert.equal(addresses.length, pages.length + 2);
      await checkFiles(directory, addresses);
    });

    const problems: string[] = [];
    await using browser = await TestBrowser.open();
    await using server = serveSite(directory);
    const origin = `http://127.0.0.1:${server.addr.port}`;
    const address = (path: string) => origin + base + path;
    const page = await browser.tab(problems, desktop);
    watchRequests(page, origin, problems);

    await t.step("every page opens, fits every screen, and asks no other host", async () => {
      await walk(page, origin, addresses, problems);
      assert.deepEqual(problems, []);
    });
    await t.step("pages of every kind are accessible in both color schemes", () => checkAccessibility(page, address));
    await t.step("the search works by keyboard", () => searchByKeyboard(page));
    await t.step("the color scheme can be chosen", () => switchScheme(page, address));
    await t.step("a phone has the pages behind a button", () => navigateOnPhone(page, address));
    await t.step("an unknown address has a page that leads back", async () => {
      await page.setViewportSize(desktop);
      assert.deepEqual(problems, []);
      await page.goto(address("guides/no/such/page.html"));
      await page.getByRole("heading", { level: 1, name: "Page not found" }).waitFor();
      await page.getByRole("article").getByRole("link", { name: "start page" }).click();
      await page.getByRole("heading", { level: 1, name: "fleet" }).waitFor();
      assert.deepEqual(problems.splice(0), [`404: ${address("guides/no/such/page.html")}`]);
    });
    await t.step("the site works from files, without a server", async () => {
      const fromFiles = await browser.tab(problems, desktop);
      await fromFiles.goto(`file://${directory}/guides/deploy.html`);
      await searchByKeyboard(fromFiles);
    });
    assert.deepEqual(problems, []);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});
