/**
 * The search of the site: an index in the browser, made of the site's texts when the reader first searches.
 *
 * @module
 */

import MiniSearch from "minisearch";

interface Entry {
  readonly address: string;
  readonly page: string;
  readonly heading: string;
  readonly text: string;
}

const mostResults = 12;
const excerptLength = 140;
const forDevelopers = /^(internals\/|changelog|contributing)/;

/** Loads the texts. A script, because a page from a file may not fetch other files. */
async function loadEntries(root: string): Promise<readonly Entry[]> {
  const script = document.createElement("script");
  script.src = `${root}search.js`;
  await new Promise((resolve, reject) => {
    script.addEventListener("load", resolve);
    script.addEventListener("error", () => reject(new Error("search.js cannot be loaded")));
    document.head.append(script);
  });
  return (globalThis as unknown as { fleetSearch: readonly Entry[] }).fleetSearch;
}

/** An index: returns the best entries for a query. */
type Search = (query: string) => readonly Entry[];

async function openIndex(root: string): Promise<Search> {
  const entries = await loadEntries(root);
  const index = new MiniSearch<Entry & { id: number }>({
    fields: ["page", "heading", "text"],
    searchOptions: {
      ...{ prefix: true, combineWith: "AND", boost: { page: 2, heading: 4 } },
      fuzzy: (term) => term.length > 4 ? 0.2 : false,
      // Operators search more often than developers.
      boostDocument: (id) => forDevelopers.test(entries[id]!.address) ? 0.3 : 1,
    },
  });
  index.addAll(entries.map((entry, id) => ({ ...entry, id })));
  return (query) => {
    const withAll = index.search(query);
    const found = withAll.length > 0 ? withAll : index.search(query, { combineWith: "OR" });
    return found.slice(0, mostResults).map(({ id }) => entries[id as number]!);
  };
}

/** Returns the part of a text around the first word of the query. */
function excerpt(text: string, query: string): string {
  const word = query.trim().split(/\s+/)[0]!.toLowerCase();
  const found = text.toLowerCase().indexOf(word);
  const start = found < 40 ? 0 : text.indexOf(" ", found - 40) + 1;
  const part = text.slice(start, start + excerptLength);
  return `${start > 0 ? "…" : ""}${part}${start + excerptLength < text.length ? "…" : ""}`;
}

function resultLink(root: string, { address, page, heading, text }: Entry, query: string): HTMLElement {
  const link = document.createElement("a");
  link.href = `${root}${address}`;
  const title = document.createElement("b");
  title.textContent = heading === page ? page : `${page}: ${heading}`;
  const body = document.createElement("span");
  body.textContent = excerpt(text, query);
  link.append(title, body);
  return link;
}

/** Starts the search of a page: `/` focuses it, arrows move between results, Escape closes them. */
export function startSearch(root: string): void {
  const input = document.getElementById("query") as HTMLInputElement;
  const results = document.getElementById("results")!;
  let index: Promise<Search> | undefined;
  const show = (...content: (Node | string)[]) => {
    results.replaceChildren(...content);
    results.hidden = content.length === 0;
  };
  const search = async () => {
    const query = input.value;
    if (query.trim() === "") return show();
    try {
      const found = (await (index ??= openIndex(root)))(query);
      // A later key press has its own search.
      if (query !== input.value) return;
      show(
        ...(found.length > 0 ? found.map((entry) => resultLink(root, entry, query)) : [`Nothing about "${query}".`]),
      );
    } catch (error) {
      index = undefined;
      show(`The search does not work: ${(error as Error).message}.`);
    }
  };
  input.addEventListener("input", () => void search());
  addEventListener("keydown", (event) => onKey(event, input, results));
  addEventListener("click", (event) => {
    const isOutside = event.target !== input && !results.contains(event.target as Node);
    // A result on this page changes the fragment only.
    if (isOutside || (event.target as Element).closest("#results a")) results.hidden = true;
  });
  input.addEventListener("focus", () => results.hidden = results.childNodes.length === 0);
}

function onKey(event: KeyboardEvent, input: HTMLInputElement, results: HTMLElement): void {
  const active = document.activeElement;
  if (event.key === "/" && active !== input && !event.ctrlKey && !event.metaKey && !event.altKey) {
    event.preventDefault();
    input.focus();
    return;
  }
  if (active !== input && !results.contains(active)) return;
  if (event.key === "Escape") {
    // Focus opens the results of the last query again.
    input.focus();
    results.hidden = true;
    return;
  }
  const links = [...results.querySelectorAll("a")];
  const at = links.indexOf(active as HTMLAnchorElement);
  const next = event.key === "ArrowDown" ? at + 1 : event.key === "ArrowUp" ? at - 1 : undefined;
  if (event.key === "Enter" && active === input) links[0]?.click();
  if (next === undefined || results.hidden) return;
  event.preventDefault();
  (links[next] ?? (next < 0 ? input : links.at(-1)))?.focus();
}
