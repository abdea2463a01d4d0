/**
 * Prints the configuration in force for an operator. Pure.
 *
 * @module
 */

import { hidden } from "../../runtime/redact.ts";
import type { Parsed } from "./options.ts";

/**
 * Returns one line for each option with the source of its value, in the order of the names. The lines are in the grammar of
 * fleet.conf. Passwords, also those in addresses, are hidden.
 */
export function effectiveConfig({ texts, sources }: Pick<Parsed, "texts" | "sources">): string {
  const lines = [...texts].sort(([a], [b]) => a < b ? -1 : 1).map(([name, value]) => [
    `${name}=${quoteIfNeeded(withoutSecrets(name, value))}`,
    `# ${sources.get(name)}`,
  ]);
  const width = Math.max(...lines.map(([setting]) => setting!.length).filter((length) => length <= 60));
  return lines.map(([setting, source]) => `${setting!.padEnd(width)}  ${source}\n`).join("");
}

function withoutSecrets(name: string, value: string): string {
  if (/password|token$|secret/.test(name)) return value === "" ? "" : hidden;
  // The user part of a URL may hold a password (RFC 3986, section 3.2.1).
  return value.replace(/\/\/[^/\s,]*@/g, `//${hidden}@`);
}

/** Puts a value in quotes if fleet.conf would cut it at a remark or strip blanks or quotes from it. */
function quoteIfNeeded(value: string): string {
  if (!/[#;]|^\s|\s$|^["'].*["']$/.test(value)) return value;
  return value.includes('"') ? `'${value}'` : `"${value}"`;
}
