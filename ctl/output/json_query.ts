/**
 * Queries of `--output=jsonpath=QUERY` (RFC 9535). Loaded only for them: the package would slow down every other command.
 *
 * @module
 */

import { jsonpath } from "json-p3";
import { reasonOf } from "../terminal/port.ts";
import { UsageError } from "../cli/argv.ts";

/**
 * Returns what a query finds, one result a line: a string as it is, anything else as JSON. The braces around a query and the
 * `$` at its beginning, which users of kubectl write and leave out, are optional. Throws {@link UsageError}.
 */
export function queryLines(query: string, value: readonly Record<string, unknown>[]): string[] {
  const bare = /^\{(.*)\}$/s.exec(query.trim())?.[1] ?? query.trim();
  const found = (() => {
    try {
      return jsonpath.query(bare.startsWith("$") ? bare : `$${bare}`, value as never).values();
    } catch (error) {
      throw new UsageError(`invalid query ${JSON.stringify(query)} for jsonpath: ${reasonOf(error)}`, { cause: error });
    }
  })();
  return found.map((each) => typeof each === "string" ? each : JSON.stringify(each));
}
