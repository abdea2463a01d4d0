/**
 * The site of the docs: which page is at which address, and what each links to. Pure.
 *
 * @module
 */

import { join } from "node:path/posix";
import { layout, type NavigationLink, type NavigationPart } from "./layout.ts";
import { type Document, escapeHtml, type Link, readMarkdown } from "./markdown.ts";
import { inReadingOrder, shortTitles } from "./order.ts";

/** An entry of the search: a heading and the text below it. */
export interface SearchEntry {
  /** From the root of the site, with a fragment. */
  readonly address: string;
  /** The title of the page in the navigation. */
  readonly page: string;
  readonly heading: string;
  readonly text: string;
}

/** The files of the site, without those of the browser's program. */
export interface Site {
  /** Texts by address. */
  readonly texts: ReadonlyMap<string, string>;
  /** Files of the repository that are copied as they are: the address of each by its path. */
  readonly copies: ReadonlyMap<string, string>;
}

/** The contents of the repository that the site is made of. */
export interface Repository {
  /** The Markdown pages by their paths: those of `docs/` and of the top folder. */
  readonly pages: ReadonlyMap<string, string>;
  /** Returns true if a path is that of a folder. */
  isFolder(path: string): boolean;
}

/**
 * Builds the site. `base` is the path that a server has it at, with `/` at both ends: only the page for unknown addresses
 * needs it, because a server sends that page at any address.
 */
export function buildSite(repository: Repository, base: string): Site {
  const sources = new Map([...repository.pages, ...decisionsPage(repository.pages)]);
  const documents = new Map([...sources].map(([path, text]) => [path, readMarkdown(path, text)]));
  const parts = inReadingOrder(new Map([...documents].map(([path, { title }]) => [path, title])));
  const linkTo = (path: string): NavigationLink => ({
    title: shortTitles[path] ?? documents.get(path)!.title,
    address: addressOf(path),
  });
  const navigation: NavigationPart[] = parts.filter(({ paths }) => paths.length > 0).map(({ section, paths }) => ({
    title: section.title,
    links: paths.map(linkTo),
  }));
  const order = parts.flatMap(({ paths }) => paths);
  const texts = new Map<string, string>();
  const copies = new Map<string, string>();
  for (const [index, path] of order.entries()) {
    const document = documents.get(path)!;
    const address = addressOf(path);
    const [previous, next] = [order[index - 1], order[index + 1]];
    const page = {
      ...{ address, title: document.title, description: document.description, headings: document.headings },
      html: document.html((link) => target(path, link, { repository, documents, order, copies })),
      previous: previous === undefined ? undefined : linkTo(previous),
      next: next === undefined ? undefined : linkTo(next),
      source: `source/${path}.txt`,
    };
    texts.set(address, layout(page, navigation));
    texts.set(page.source, sources.get(path)!);
  }
  texts.set("404.html", layout(notFound(base), navigation));
  texts.set("search.js", `globalThis.fleetSearch = ${JSON.stringify(searchEntries(order, documents))};\n`);
  return { texts, copies };
}

/** Returns the address of a page, from the root of the site. */
export function addressOf(path: string): string {
  if (path === "docs/README.md") return "index.html";
  if (path === "README.md") return "overview.html";
  const name = path.replace(/^docs\//, "").replace(/\.md$/, ".html");
  return name.replace(/README\.html$/, "index.html").toLowerCase();
}

/** Returns a list of the decisions, as the start page of their folder. */
function decisionsPage(pages: ReadonlyMap<string, string>): ReadonlyMap<string, string> {
  const folder = "docs/internals/adr/";
  const items = [...pages].filter(([path]) => path.startsWith(folder)).sort().map(([path, text]) =>
    `- [${/^# (.*)$/m.exec(text)?.[1] ?? path}](${path.slice(folder.length)})`
  );
  const text = `# Decisions\n\nEach record has the reasons for one decision, and what was not chosen.\n\n${
    items.join("\n")
  }\n`;
  return new Map(items.length === 0 ? [] : [[`${folder}README.md`, text]]);
}

interface Targets {
  readonly repository: Repository;
  readonly documents: ReadonlyMap<string, Document>;
  /** The paths of all pages in reading order. */
  readonly order: readonly string[];
  readonly copies: Map<string, string>;
}

/** Returns the address that a link of a page leads to. Notes a file that is not a page as one to copy. */
function target(from: string, link: Link, { repository, documents, order, copies }: Targets): string | undefined {
  if (/^[a-z]+:/.test(link.to) || link.to.startsWith("#")) return link.to;
  const [file = "", fragment] = link.to.split("#");
  const path = join(from, "..", file).replace(/\/$/, "");
  const back = "../".repeat(addressOf(from).split("/").length - 1);
  const page = documents.has(path) ? path : firstPage(path, order);
  if (page !== undefined) return `${back}${addressOf(page)}${fragment === undefined ? "" : `#${fragment}`}`;
  if (repository.isFolder(path)) return undefined;
  const address = link.isImage ? path.replace(/^docs\//, "") : `source/${path}.txt`;
  copies.set(path, address);
  return `${back}${address}`;
}

/** Returns the first page below a folder, to which a link to the folder leads. */
const firstPage = (folder: string, order: readonly string[]) => order.find((path) => path.startsWith(`${folder}/`));

function notFound(base: string) {
  const description = "There is no page at this address.";
  return {
    ...{ address: "404.html", title: "Page not found", description, headings: [], base },
    html: `<h1>Page not found</h1>\n<p>${description} Search for its title, or go to the ` +
      `<a href="${escapeHtml(base)}index.html">start page</a>.</p>\n`,
  };
}

function searchEntries(order: readonly string[], documents: ReadonlyMap<string, Document>): readonly SearchEntry[] {
  return order.flatMap((path) => {
    const { title, passages } = documents.get(path)!;
    const page = shortTitles[path] ?? title;
    return passages.map(({ heading, text }) => ({
      address: heading.depth === 1 ? addressOf(path) : `${addressOf(path)}#${heading.id}`,
      ...{ page, heading: heading.depth === 1 ? page : heading.text, text },
    }));
  });
}
