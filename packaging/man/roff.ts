/**
 * Converts Markdown to the source of a manual page: man(7), in the part that man-db and mandoc both know. Pure.
 *
 * @module
 */

import { lexer, type Token, type Tokens } from "marked";

/** A manual page. */
export interface ManPage {
  /** Its name, for example `fleet.conf`. */
  readonly name: string;
  /** The section of the manual: 1 commands, 5 files, 8 system daemons. */
  readonly section: 1 | 5 | 8;
  /** One line behind the name. */
  readonly summary: string;
  /** The text behind the synopsis, with headings of the second and third level. */
  readonly markdown: string;
  /** Lines of the synopsis; none for the page of a file. */
  readonly synopsis?: readonly string[];
  /** Other pages, for example `fleetd(8)`. */
  readonly seeAlso: readonly string[];
}

/** Returns the source of a page. `date`: `YYYY-MM-DD`, for the footer. */
export function manSource(page: ManPage, version: string, date: string): string {
  const { name, section, summary, synopsis = [], markdown, seeAlso } = page;
  return [
    `.TH ${[name.toUpperCase(), `${section}`, date, `fleet ${version}`, "fleet"].map(quoted).join(" ")}`,
    ".SH NAME",
    `${escaped(name)} \\- ${escaped(summary)}`,
    ...synopsis.length > 0 ? [".SH SYNOPSIS", ".nf", ...synopsis.map((line) => atStart(bold(line))), ".fi"] : [],
    ...blocks(lexer(markdown)),
    ".SH SEE ALSO",
    seeAlso.map((other) => other.replace(/^(.*)(\(\d\))$/, (_, page, number) => `${bold(page)}${number}`)).join(",\n"),
    "",
  ].join("\n");
}

/** Returns the lines of block elements. */
function blocks(tokens: readonly Token[]): string[] {
  return tokens.flatMap((token, index) => {
    const before = tokens.slice(0, index).findLast(({ type }) => type !== "space")?.type;
    return block(token as Tokens.Generic, before === undefined || before === "heading");
  });
}

/** `isFirst`: behind a heading, where a paragraph has begun already. */
function block(token: Tokens.Generic, isFirst: boolean): string[] {
  switch (token.type) {
    case "heading":
      if (token.depth === 1) return [];
      return [
        token.depth === 2
          ? `.SH ${quoted(inline(token.tokens!).toUpperCase())}`
          : `.SS ${quoted(inline(token.tokens!))}`,
      ];
    case "paragraph":
      return [...isFirst ? [] : [".PP"], atStart(inline(token.tokens!))];
    case "text":
      return [atStart(token.tokens ? inline(token.tokens) : escaped(token.text))];
    case "code":
      return [...isFirst ? [] : [".PP"], ".RS 4", ".nf", ...code(token.text), ".fi", ".RE"];
    case "list":
      return (token as Tokens.List).items.flatMap((item, index) => [
        token.ordered ? `.IP ${index + 1}. 4` : ".IP \\(bu 2",
        ...blocks(item.tokens),
      ]);
    case "table":
      return table(token as Tokens.Table);
    case "blockquote":
      return [".RS 4", ...blocks(token.tokens!), ".RE"];
    default:
      return [];
  }
}

/** A table becomes a list: its first column are the terms, and the others follow with their heads. */
function table({ header, rows }: Tokens.Table): string[] {
  return rows.flatMap(([term, ...cells]) => {
    const texts = cells.map(({ tokens }, index) => {
      const text = inline(tokens);
      const head = cells.length > 1 && text !== "" ? `${inline(header[index + 1]!.tokens)}: ` : "";
      return head + text;
    });
    return [
      ".TP",
      atStart(inline(term!.tokens) || "\\&"),
      atStart(texts.filter((text) => text !== "").join("; ") || "\\&"),
    ];
  });
}

function code(text: string): string[] {
  return text.split("\n").map((line) => line === "" ? "\\&" : atStart(escaped(line)));
}

/** Returns the text of inline elements, on one line. */
function inline(tokens: readonly Token[]): string {
  return tokens.map((token) => {
    const { type, text = "", tokens, href } = token as Tokens.Generic;
    switch (type) {
      case "codespan":
        return bold(text);
      case "strong":
        return `\\fB${inline(tokens!)}\\fP`;
      case "em":
        return `\\fI${inline(tokens!)}\\fP`;
      case "link":
        return /^https?:/.test(href) && href !== text ? `${inline(tokens!)} <${escaped(href)}>` : inline(tokens!);
      case "br":
        return " ";
      case "html":
        return "";
      default:
        return tokens ? inline(tokens) : escaped(text.replaceAll("\n", " "));
    }
  }).join("");
}

const bold = (text: string) => `\\fB${escaped(text)}\\fP`;

/** Returns text in which no character has a meaning for roff. Characters beyond ASCII are named by their code point. */
function escaped(text: string): string {
  return text.replaceAll("\\", "\\e").replaceAll("-", "\\-").replaceAll("`", "\\`").replaceAll("'", "\\(aq")
    .replace(/[^ -~\t\n]/gu, (one) => `\\[u${one.codePointAt(0)!.toString(16).toUpperCase().padStart(4, "0")}]`);
}

/** Returns a line that roff takes for text, also if it begins with a control character. */
const atStart = (line: string) => /^[.']/.test(line) ? `\\&${line}` : line;

const quoted = (text: string) => `"${text.replaceAll('"', "\\(dq")}"`;
