/**
 * The error message for a unit that neither the cluster nor a local file provides.
 *
 * @module
 */

import { mangleUnitName, templateOf } from "../../systemd/unit_name.ts";
import type { ApiClient } from "../api/client.ts";
import type { Io } from "../terminal/port.ts";
import { similarUnit } from "./similar_unit.ts";

/** Says where the unit and its template were searched, and which unit was probably meant. */
export async function whyNotFound(
  { name, file }: { readonly name: string; readonly file: string },
  { client, io }: { readonly client: ApiClient; readonly io: Io },
): Promise<string> {
  const directory = file.slice(0, file.lastIndexOf("/") + 1);
  const template = templateOf(name);
  const place = directory === "" ? "this directory" : directory;
  const also = template === undefined ? "" : `, nor for its template ${template}`;
  // A failure to list units or files only costs the suggestion.
  const [units, files = []] = await Promise.all([
    client.units().catch(() => []),
    io.filesIn(directory || ".").catch(() => undefined),
  ]);
  const local = files.filter((each) => each === mangleUnitName(each));
  const candidates = [...new Set([...local, ...units.map((unit) => unit.name)])];
  const similar = similarUnit(name, candidates) ?? (template && similarUnit(template, candidates));
  const question = similar === undefined ? "" : ` (did you mean ${similar}?)`;
  return `${name}: no file in ${place} and no unit in the cluster has this name${also}${question}`;
}
