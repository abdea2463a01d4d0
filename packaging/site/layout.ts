/**
 * The HTML around the text of a page of the site. Every address is relative, so that the site works below any path of a
 * server, and from files without a server. Pure.
 *
 * @module
 */

import { escapeHtml, type Heading } from "./markdown.ts";

/** A link of the navigation: a title, and an address from the root of the site. */
export interface NavigationLink {
  readonly title: string;
  readonly address: string;
}

/** A titled part of the navigation. */
export interface NavigationPart {
  readonly title: string;
  readonly links: readonly NavigationLink[];
}

/** The content of a page. */
export interface PageContent {
  /** From the root of the site, for example `guides/deploy.html`. */
  readonly address: string;
  readonly title: string;
  readonly description: string;
  readonly html: string;
  readonly headings: readonly Heading[];
  readonly previous?: NavigationLink | undefined;
  readonly next?: NavigationLink | undefined;
  /** The address of the Markdown text, from the root of the site. */
  readonly source?: string | undefined;
  /** The root of the site as a path of its server, for a page that a server sends at any address. */
  readonly base?: string | undefined;
}

/** Parts of the navigation with more links than this are closed, except on their own pages. */
const longPart = 15;

/** Returns a whole page. */
export function layout(page: PageContent, navigation: readonly NavigationPart[]): string {
  const root = page.base ?? "../".repeat(page.address.split("/").length - 1);
  const title = /\bfleet\b/.test(page.title) ? page.title : `${page.title} · fleet`;
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escapeHtml(title)}</title>
<meta name="description" content="${escapeHtml(page.description)}">
<link rel="icon" href="${root}icon.svg">
<link rel="stylesheet" href="${root}style.css">
<script src="${root}site.js" data-root="${root}"></script>
</head>
<body>
<a class="skip" href="#content">Skip to the text</a>
<header>
<button id="menu" type="button" aria-expanded="false" aria-controls="pages">Menu</button>
<a class="name" href="${root}index.html"><img src="${root}icon.svg" alt="" width="20" height="20"> fleet</a>
<search>
<input id="query" type="search" placeholder="Search (/)" aria-label="Search the docs" autocomplete="off" aria-controls="results">
<div id="results" role="region" aria-label="Search results" aria-live="polite" hidden></div>
</search>
<button id="scheme" type="button">Dark mode</button>
</header>
<div class="columns">
<nav id="pages" aria-label="Pages">
${navigation.map((part) => navigationPart(part, page, root)).join("\n")}
</nav>
<main id="content" tabindex="-1">
<article>
${page.html}</article>
${footer(page, root)}
</main>
${outline(page.headings)}
</div>
</body>
</html>
`;
}

function navigationPart({ title, links }: NavigationPart, page: PageContent, root: string): string {
  const isHere = links.some(({ address }) => address === page.address);
  const list = links.map((link) => {
    const current = link.address === page.address ? ` aria-current="page"` : "";
    return `<li><a href="${root}${link.address}"${current}>${escapeHtml(link.title)}</a></li>`;
  }).join("\n");
  const open = isHere || links.length <= longPart ? " open" : "";
  return `<details${open}><summary>${escapeHtml(title)}</summary>\n<ul>\n${list}\n</ul></details>`;
}

function footer({ previous, next, source }: PageContent, root: string): string {
  const link = (to: NavigationLink | undefined, rel: string, text: string) =>
    to === undefined
      ? ""
      : `<a rel="${rel}" href="${root}${to.address}"><span>${text}</span> ${escapeHtml(to.title)}</a>`;
  const neighbors = `${link(previous, "prev", "Previous")}${link(next, "next", "Next")}`;
  return `<footer>
${neighbors === "" ? "" : `<nav class="neighbors" aria-label="Neighboring pages">${neighbors}</nav>`}
${source === undefined ? "" : `<p><a href="${root}${source}">Source of this page</a></p>`}
</footer>`;
}

/** Returns the headings of the second and third level as links; nothing for a short page. */
function outline(headings: readonly Heading[]): string {
  const shown = headings.filter(({ depth }) => depth === 2 || depth === 3);
  if (shown.length < 2) return "";
  const links = shown.map(({ depth, id, text }) =>
    `<li class="depth-${depth}"><a href="#${id}">${escapeHtml(text)}</a></li>`
  );
  return `<nav class="outline" aria-label="On this page">\n<p>On this page</p>\n<ul>\n${
    links.join("\n")
  }\n</ul>\n</nav>`;
}
