/**
 * Why a unit named on the command line cannot be created: neither the cluster nor a directory has it.
 *
 * @module
 */

import { mangleUnitName, templateOf } from "../../systemd/unit_name.ts";
import type { ApiClient } from "../api/client.ts";
import type { Io } from "../terminal/port.ts";
import { similarUnit } from "./similar_unit.ts";

/** The sentence that says where the unit, and its template if it has one, was looked for, and which was probably meant. */
export async function whyNotFound(
  { name, file }: { readonly name: string; readonly file: string },
  { client, io }: { readonly client: ApiClient; readonly io: Io },
): Promise<string> {
  const directory = file.slice(0, file.lastIndexOf("/") + 1);
  const template = templateOf(name);
  const place = directory === "" ? "this directory" : directory;
  const also = template === undefined ? "" : `, and neither has its template ${template}`;
  // Both lists serve the suggestion only: why one is not to be had is not what failed.
  const [units, files] = await Promise.all([client.units().catch(() => []), io.filesIn(directory || ".")]);
  const local = files.filter((each) => each === mangleUnitName(each));
  const candidates = [...new Set([...local, ...units.map((unit) => unit.name)])];
  const similar = similarUnit(name, candidates) ?? (template && similarUnit(template, candidates));
  const question = similar === undefined ? "" : ` (did you mean ${similar}?)`;
  return `${name}: no such file in ${place} and no such unit in the cluster${also}${question}`;
}
