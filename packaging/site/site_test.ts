import assert from "node:assert/strict";
import { inReadingOrder } from "./order.ts";
import { addressOf, buildSite, type Site } from "./site.ts";

const known = {
  "docs/README.md": "# fleet\n\nThe start, with [guides](guides) and [more](../README.md#a-tour).\n",
  "README.md": "# fleet\n\n## A tour\n\nSee [the code](mod.ts), [tests](tests) and [the docs](docs).\n",
  "docs/guides/run-units.md": "# Run units\n\nA *first* unit.\n",
  "docs/guides/deploy.md": "# Deploy\n\nA cluster.\n",
};

const site = (pages: Record<string, string> = {}): Site =>
  buildSite({
    pages: new Map(Object.entries({ ...known, ...pages })),
    isFolder: (path) => path === "tests",
  }, "/fleet/");

const page = (address: string, pages: Record<string, string> = {}) => site(pages).texts.get(address) ?? "";

Deno.test("a new page needs no entry: it comes after the known pages of its folder", () => {
  const pages = { "docs/guides/aardvarks.md": "# Aardvarks\n", "docs/novel/page.md": "# A new folder\n" };
  const deploy = page("guides/deploy.html", pages);
  assert.match(deploy, /<a rel="prev" href="\.\.\/guides\/run-units\.html">/);
  assert.match(deploy, /<a rel="next" href="\.\.\/guides\/aardvarks\.html"><span>Next<\/span> Aardvarks<\/a>/);
  const all = inReadingOrder(new Map([...Object.keys(known), ...Object.keys(pages)].map((path) => [path, path])));
  assert.deepEqual(all.map(({ section, paths }) => [section.title, ...paths]).filter(({ length }) => length > 1), [
    ["Learn", "docs/README.md", "README.md", "docs/novel/page.md"],
    ["Guides", "docs/guides/run-units.md", "docs/guides/deploy.md", "docs/guides/aardvarks.md"],
  ]);
});

Deno.test("the start page of the docs is the index, and addresses have no capitals", () => {
  assert.deepEqual(
    ["docs/README.md", "README.md", "CHANGELOG.md", "docs/guides/deploy.md", "docs/x/README.md"].map(addressOf),
    ["index.html", "overview.html", "changelog.html", "guides/deploy.html", "x/index.html"],
  );
});

Deno.test("links lead to pages, to copies of files, and from folders to their first page", () => {
  const start = page("index.html");
  assert.match(start, /<a href="guides\/run-units\.html">guides<\/a>/);
  assert.match(start, /<a href="overview\.html#a-tour">more<\/a>/);
  const overview = page("overview.html");
  assert.match(overview, /<a href="source\/mod\.ts\.txt">the code<\/a>, tests and <a href="index\.html">the docs<\/a>/);
  const pictures = site({ "docs/guides/a.md": "# A\n\n![a picture](../pictures/a.svg)\n" });
  assert.deepEqual([...pictures.copies], [["mod.ts", "source/mod.ts.txt"], ["docs/pictures/a.svg", "pictures/a.svg"]]);
  assert.match(pictures.texts.get("guides/a.html")!, /<img src="\.\.\/pictures\/a\.svg" alt="a picture"/);
});

Deno.test("each page has a title, a description and the link to its source", () => {
  const text = page("guides/run-units.html");
  assert.match(text, /<title>Run units · fleet<\/title>\n<meta name="description" content="A first unit\.">/);
  assert.match(text, /<a href="\.\.\/source\/docs\/guides\/run-units\.md\.txt">Source of this page<\/a>/);
  assert.equal(page("source/docs/guides/run-units.md.txt"), known["docs/guides/run-units.md"]);
  assert.throws(() => site({ "docs/guides/a.md": "Text.\n" }), /docs\/guides\/a\.md has no title/);
});

Deno.test("a long first paragraph is shortened between words", () => {
  const text = page("guides/a.html", { "docs/guides/a.md": `# A\n\n${"twelve words ".repeat(40)}\n` });
  const description = /name="description" content="([^"]*)"/.exec(text)![1]!;
  assert.ok(description.length <= 201 && description.endsWith(" words…"), description);
});

Deno.test("two headings with the same words have different anchors", () => {
  const text = page("guides/a.html", { "docs/guides/a.md": "# A\n\n## `GET /b`: c\n\n## `GET /b`: c\n" });
  assert.match(text, /<h2 id="get-b-c">/);
  assert.match(text, /<h2 id="get-b-c-1">/);
});

Deno.test("markup in a page is shown, not obeyed", () => {
  const text = page("guides/a.html", {
    "docs/guides/a.md":
      "# A <b>\n\n<script>alert(1)</script>\n\n```sh\n<img>\n```\n\n`<i>` | <u>\n\n<!-- a comment -->\n",
  });
  const article = /<article>.*<\/article>/s.exec(text)![0];
  assert.doesNotMatch(article, /<script>|<b>|<img>|<i>|<u>|a comment/);
  assert.match(article, /&lt;script&gt;alert\(1\)&lt;\/script&gt;/);
});

Deno.test("code is highlighted by its language, and transcripts by their prompt", () => {
  const text = page("guides/a.html", {
    "docs/guides/a.md": "# A\n\n```ini\n[Unit]\n```\n\n```\n$ fleetctl start\n```\n\n```\nplain # text\n```\n",
  });
  assert.match(text, /<span class="hljs-section">\[Unit\]<\/span>/);
  assert.match(text, /<span class="hljs-meta prompt_">\$ <\/span>/);
  assert.match(text, /<code>plain # text<\/code>/);
});

Deno.test("a diagram is drawn in the colors of the page, and loads nothing", () => {
  const block = "```mermaid\nflowchart LR\n  a[daemon] --> b[etcd]\n```\n";
  const html = page("guides/deploy.html", { "docs/guides/deploy.md": `# Deploy\n\n${block}\n${block}` });
  assert.equal(html.match(/<svg role="img"/g)?.length, 2);
  assert.match(html, /<text[^>]*>daemon<\/text>/);
  assert.match(html, /--bg:var\(--ground\)/);
  assert.doesNotMatch(html, /@import|flowchart/);
  for (const id of ["diagram-1-arrowhead", "diagram-2-arrowhead"]) {
    assert.equal(html.split(`id="${id}"`).length, 2);
    assert.ok(html.includes(`url(#${id})`));
  }
});

Deno.test("the search has each heading with the text below it", () => {
  const entries = page("search.js", {
    "docs/guides/a.md": "# A\n\nOne.\n\n## B\n\n- two\n- three\n\n|x|y|\n|-|-|\n|`p`|q|\n",
  });
  assert.match(entries, /^globalThis\.fleetSearch = \[/);
  const own = JSON.parse(/= (.*);\n$/.exec(entries)![1]!).filter(({ page }: { page: string }) => page === "A");
  assert.deepEqual(own, [
    { address: "guides/a.html", page: "A", heading: "A", text: "One." },
    { address: "guides/a.html#b", page: "A", heading: "B", text: "two three x y p q" },
  ]);
});

Deno.test("decisions are listed on a page of their own", () => {
  const pages = { "docs/internals/adr/0002-b.md": "# ADR 2: b\n", "docs/internals/adr/0001-a.md": "# ADR 1: a\n" };
  const text = page("internals/adr/index.html", pages);
  assert.match(text, /<li><a href="[./]*internals\/adr\/0001-a\.html">ADR 1: a<\/a><\/li>\n<li><a [^>]*>ADR 2: b<\/a>/);
});

Deno.test("the page for unknown addresses works at any address", () => {
  const text = page("404.html");
  assert.match(text, /<link rel="stylesheet" href="\/fleet\/style\.css">/);
  assert.doesNotMatch(text, /href="(?!\/fleet\/|#)/);
});
