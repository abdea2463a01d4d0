/**
 * Checks unit files by the systemd of this machine: `systemd-analyze verify`, see systemd-analyze(1).
 *
 * @module
 */

import { isTemplate, templateOf } from "../../systemd/unit_name.ts";
import type { Hosts } from "../ssh/remote.ts";
import type { NamedUnit } from "./local_file.ts";

/** A finding of systemd about a unit file. */
export interface SystemdFinding {
  readonly file: string;
  readonly line?: number;
  /** A note concerns this machine only and is no fault of the file. */
  readonly severity: "error" | "warning" | "note";
  readonly message: string;
}

/** Returns the findings of systemd-analyze about a unit file; undefined if this machine does not have the program. */
export async function systemdFindings(hosts: Hosts, unit: NamedUnit): Promise<SystemdFinding[] | undefined> {
  const path = unit.file.includes("/") ? unit.file : `./${unit.file}`;
  const output = await hosts.captureLocally(["systemd-analyze", "verify", "--man=no", path]);
  if (output === undefined) return undefined;
  const lines = output.stderr.split("\n").map((line) => line.trim()).filter((line) => line !== "");
  const found = lines.flatMap((line) => readFinding(line, unit) ?? []);
  if (output.status !== 0 && lines.length === 0) {
    found.push({ file: unit.file, severity: "error", message: `systemd-analyze verify ended with ${output.status}` });
  }
  return found;
}

/** Parses a line of systemd-analyze; undefined if it concerns another unit of this machine. */
function readFinding(text: string, { name, file }: NamedUnit): SystemdFinding | undefined {
  const names = [name, templateOf(name) ?? name];
  const [, path, line, syntax] = /^(.+?):(\d+): (.*)$/.exec(text) ?? [];
  if (path !== undefined) {
    if (!names.includes(path.slice(path.lastIndexOf("/") + 1))) return undefined;
    const own = file.slice(0, file.lastIndexOf("/") + 1) + path.slice(path.lastIndexOf("/") + 1);
    return { file: own, line: Number(line), severity: "warning", message: syntax! };
  }
  // systemd checks a template as an instance with a name of its own choice.
  const prefix = isTemplate(name) ? name.slice(0, name.indexOf("@") + 1) : name;
  if (!text.includes(prefix)) return undefined;
  const message = text.startsWith(`${name}: `) ? text.slice(name.length + 2) : text;
  const isOfThisMachine = /is not executable|Unit \S+ (not found|is masked)|not loaded properly/.test(message);
  return { file, severity: isOfThisMachine ? "note" : "error", message };
}
