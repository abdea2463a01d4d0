/**
 * The order in which the site of the docs presents its pages. A page that is not named here comes after the named ones of
 * its folder, so a new page needs no entry. Pure.
 *
 * @module
 */

/** A part of the navigation. */
export interface Section {
  readonly title: string;
  /** The pages of this folder and of the folders below it without a section of their own; "" is the top folder. */
  readonly folder: string;
  /** The names of the first pages, without `.md`, in reading order. */
  readonly first: readonly string[];
}

/** The sections in reading order. */
export const sections: readonly Section[] = [
  {
    title: "Learn",
    folder: "docs",
    first: ["README", "../README", "start/install", "start/tutorial", "start/faq", "start/comparison"],
  },
  {
    title: "Guides",
    folder: "docs/guides",
    first: [
      ...["run-units", "applications", "containers", "deploy", "automate", "secure", "page", "operate", "monitor"],
      ...["maintain", "recover", "upgrade", "reliability", "migrate", "troubleshoot"],
    ],
  },
  {
    title: "Reference",
    folder: "docs/reference",
    first: ["unit-options", "fleetctl", "configuration", "api", "metrics", "files", "glossary"],
  },
  {
    title: "Internals",
    folder: "docs/internals",
    first: ["design", "scheduling", "etcd", "simulation", "development"],
  },
  { title: "Decisions", folder: "docs/internals/adr", first: ["README"] },
  { title: "Project", folder: "", first: ["CHANGELOG", "CONTRIBUTING", "SECURITY"] },
];

/** Names in the navigation that differ from the title of the page. */
export const shortTitles: Readonly<Record<string, string>> = {
  "README.md": "Overview and tour",
  "docs/README.md": "Start",
};

/** A section and the paths of its pages, in reading order. */
export interface Part {
  readonly section: Section;
  readonly paths: readonly string[];
}

/** Sorts pages, given by path and title, into the sections. Pages that no section names are sorted by title. */
export function inReadingOrder(titles: ReadonlyMap<string, string>): readonly Part[] {
  const named = new Map(
    sections.map((section) => [section, section.first.map((name) => fromFolder(section.folder, name))]),
  );
  const all = new Set([...named.values()].flat());
  const rest = [...titles.keys()].filter((path) => !all.has(path))
    .sort((a, b) => titles.get(a)!.localeCompare(titles.get(b)!, "en", { numeric: true }));
  return sections.map((section) => ({
    section,
    paths: [
      ...named.get(section)!.filter((path) => titles.has(path)),
      ...rest.filter((path) => sectionOf(path) === section),
    ],
  }));
}

function fromFolder(folder: string, name: string): string {
  return name.startsWith("../") ? `${name.slice(3)}.md` : folder === "" ? `${name}.md` : `${folder}/${name}.md`;
}

/** Returns the section with the longest folder that has the page. */
function sectionOf(path: string): Section {
  const candidates = sections.filter(({ folder }) => folder === "" || path.startsWith(`${folder}/`));
  return candidates.reduce((best, next) => next.folder.length > best.folder.length ? next : best);
}
