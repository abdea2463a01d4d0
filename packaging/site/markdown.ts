/**
 * Turns one Markdown page into HTML, and into the parts that the search of the site knows. Pure.
 *
 * @module
 */

import GithubSlugger from "github-slugger";
// @ts-types="./highlight.d.ts"
import highlight from "highlight.js/lib/common";
import { Marked, type RendererObject, type Token, type Tokens } from "marked";
import { drawDiagram } from "./diagram.ts";

/** A heading of a page. */
export interface Heading {
  readonly depth: number;
  /** The fragment of links to it, as GitHub forms it; also for a heading that is there twice. */
  readonly id: string;
  readonly text: string;
}

/** A link or an image of a page. */
export interface Link {
  readonly to: string;
  readonly isImage: boolean;
}

/** A heading and the text below it, up to the next heading. */
export interface Passage {
  readonly heading: Heading;
  readonly text: string;
}

/** A Markdown page whose structure is known. */
export interface Document {
  readonly title: string;
  /** The text of the first paragraph, shortened; the title if there is none. */
  readonly description: string;
  readonly headings: readonly Heading[];
  readonly links: readonly Link[];
  readonly passages: readonly Passage[];
  /** Returns the HTML. `address` returns the target of a link; undefined makes plain text of the link. */
  html(address: (link: Link) => string | undefined): string;
}

const longestDescription = 200;

/** Reads a page. Throws if it has no title: a heading of the first level. */
export function readMarkdown(path: string, markdown: string): Document {
  // An address in the text is an example, often of a host that does not exist: only what is written as a link is one.
  const marked = new Marked({ gfm: true, tokenizer: { url: () => undefined } });
  const tokens = marked.lexer(markdown);
  const headings = headingsOf(tokens);
  const title = [...headings.values()].find(({ depth }) => depth === 1)?.text;
  if (title === undefined) throw new Error(`${path} has no title: begin it with "# Title"`);
  const links: Link[] = [];
  marked.walkTokens(tokens, (token) => {
    if (token.type === "link" || token.type === "image") {
      links.push({ to: token.href, isImage: token.type === "image" });
    }
  });
  const first = tokens.find(({ type }) => type === "paragraph");
  return {
    title,
    description: shortened(first ? plain([first]) : title),
    headings: [...headings.values()],
    links,
    passages: passagesOf(tokens, headings),
    html: (address) =>
      new Marked<string, string>({ gfm: true, renderer: rendererOf(headings, address) }).parser(tokens),
  };
}

/** Returns the headings, each with its token. Headings of quotations and lists are not among them. */
function headingsOf(tokens: readonly Token[]): ReadonlyMap<Token, Heading> {
  const slugger = new GithubSlugger();
  return new Map(
    tokens.filter((token): token is Tokens.Heading => token.type === "heading").map((token) => {
      const text = plain(token.tokens).trim();
      return [token, { depth: token.depth, id: slugger.slug(text), text }];
    }),
  );
}

function passagesOf(tokens: readonly Token[], headings: ReadonlyMap<Token, Heading>): readonly Passage[] {
  const passages: { heading: Heading; text: string }[] = [];
  for (const token of tokens) {
    const heading = headings.get(token);
    if (heading) passages.push({ heading, text: "" });
    else if (passages.length > 0) passages.at(-1)!.text += `${plain([token])} `;
  }
  return passages.map(({ heading, text }) => ({ heading, text: text.replaceAll(/\s+/g, " ").trim() }));
}

/** Returns the text of tokens without markup; parts of lists and tables are separated by spaces. */
function plain(tokens: readonly Token[]): string {
  return tokens.map((token): string => {
    switch (token.type) {
      case "list":
        return (token as Tokens.List).items.map((item) => plain(item.tokens)).join(" ");
      case "table": {
        const { header, rows } = token as Tokens.Table;
        return [header, ...rows].flat().map((cell) => plain(cell.tokens)).join(" ");
      }
      case "br":
      case "space":
        return " ";
      case "html":
        return "";
      default:
        return "tokens" in token && token.tokens ? plain(token.tokens) : "text" in token ? token.text : "";
    }
  }).join("");
}

function shortened(text: string): string {
  const line = text.replaceAll(/\s+/g, " ").trim();
  if (line.length <= longestDescription) return line;
  return `${line.slice(0, longestDescription).replace(/[\s,;:.]+\S*$/, "")}…`;
}

/** Returns text that HTML shows as it is, also in an attribute. */
export function escapeHtml(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll('"', "&quot;");
}

/** Highlighters by the language that a block names; every other block is shown as it is. */
const languages: Readonly<Record<string, string>> = {
  sh: "bash",
  bash: "bash",
  console: "shell",
  ini: "ini",
  toml: "ini",
  yaml: "yaml",
  json: "json",
  ts: "typescript",
};

function code({ text, lang }: Tokens.Code): string {
  // A block without a language is a transcript if it begins with a prompt.
  const language = lang ? languages[lang] : text.startsWith("$ ") ? "shell" : undefined;
  const shown = language ? highlight.highlight(text, { language }).value : escapeHtml(text);
  // A block can be scrolled, so the keyboard must reach it.
  return `<pre tabindex="0"><code${language ? ` class="language-${language}"` : ""}>${shown}</code></pre>\n`;
}

function rendererOf(
  headings: ReadonlyMap<Token, Heading>,
  address: (link: Link) => string | undefined,
): RendererObject<string, string> {
  let diagrams = 0;
  return {
    heading(token) {
      const inner = this.parser.parseInline(token.tokens);
      const heading = headings.get(token);
      if (!heading) return `<h${token.depth}>${inner}</h${token.depth}>\n`;
      const { depth, id, text } = heading;
      const mark = depth === 1
        ? ""
        : ` <a class="mark" href="#${id}" aria-label="Link to ${
          escapeHtml(text)
        }"><span aria-hidden="true">#</span></a>`;
      return `<h${depth} id="${id}">${inner}${mark}</h${depth}>\n`;
    },
    link({ href, tokens }) {
      const inner = this.parser.parseInline(tokens);
      const to = address({ to: href, isImage: false });
      return to === undefined ? inner : `<a href="${escapeHtml(to)}">${inner}</a>`;
    },
    image({ href, text }) {
      const to = address({ to: href, isImage: true });
      return to === undefined
        ? escapeHtml(text)
        : `<img src="${escapeHtml(to)}" alt="${escapeHtml(text)}" loading="lazy">`;
    },
    code(token) {
      if (token.lang !== "mermaid") return code(token);
      // As for a block of code: it can be scrolled, so the keyboard must reach it.
      return `<div class="diagram" tabindex="0">${drawDiagram(token.text, `diagram-${++diagrams}`)}</div>\n`;
    },
    table(token) {
      const row = (cells: Tokens.TableCell[], tag: string) =>
        `<tr>${cells.map((cell) => `<${tag}>${this.parser.parseInline(cell.tokens)}</${tag}>`).join("")}</tr>\n`;
      const body = token.rows.map((cells) => row(cells, "td")).join("");
      const table = `<table>\n<thead>${row(token.header, "th")}</thead>\n<tbody>${body}</tbody>\n</table>`;
      return `<div class="table" tabindex="0">${table}</div>\n`;
    },
    html: ({ text }) => text.startsWith("<!--") ? "" : escapeHtml(text),
  };
}
