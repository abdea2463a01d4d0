/**
 * Checks unit files by the systemd of this machine: `systemd-analyze verify`, see systemd-analyze(1).
 *
 * @module
 */

import { isTemplate, templateOf } from "../../systemd/unit_name.ts";
import { type VerifyFinding, verifyFindings } from "../../systemd/unit_verify.ts";
import type { Hosts } from "../ssh/remote.ts";
import type { NamedUnit } from "./local_file.ts";

/** A finding of systemd about a unit file. */
export type SystemdFinding = Omit<VerifyFinding, "unit"> & { readonly file: string };

/** Returns the findings of systemd-analyze about a unit file; undefined if this machine does not have the program. */
export async function systemdFindings(hosts: Hosts, unit: NamedUnit): Promise<SystemdFinding[] | undefined> {
  const path = unit.file.includes("/") ? unit.file : `./${unit.file}`;
  const output = await hosts.captureLocally(["systemd-analyze", "verify", "--man=no", path]);
  if (output === undefined) return undefined;
  const found = verifyFindings(output.stderr).flatMap((finding) => ofUnit(finding, unit) ?? []);
  if (output.status !== 0 && output.stderr.trim() === "") {
    found.push({ file: unit.file, severity: "error", message: `systemd-analyze verify ended with ${output.status}` });
  }
  return found;
}

/** Returns a finding with the path of the file; undefined if it concerns another unit of this machine. */
function ofUnit({ unit, ...finding }: VerifyFinding, { name, file }: NamedUnit): SystemdFinding | undefined {
  const template = templateOf(name);
  // systemd checks a template as an instance with a name of its own choice.
  const isInstance = isTemplate(name) && templateOf(unit) === name;
  if (unit !== name && unit !== template && !isInstance) return undefined;
  // The line is one of the file that systemd has read, which for an instance is that of its template.
  const own = finding.line === undefined ? file : file.slice(0, file.lastIndexOf("/") + 1) + unit;
  return { file: own, ...finding };
}
