/**
 * The output of `systemd-analyze verify`, see systemd-analyze(1). Pure.
 *
 * @module
 */

import { recognizedTypes } from "./unit_name.ts";

/** A finding of systemd about a unit file. */
export interface VerifyFinding {
  /** The unit that it is about. Of a template it may be an instance, whose name systemd has chosen. */
  readonly unit: string;
  /** 1 for the first line; undefined if it concerns the file as a whole. */
  readonly line?: number;
  /** A note concerns the machine of systemd-analyze only and is no fault of the file. */
  readonly severity: "error" | "warning" | "note";
  readonly message: string;
}

/** The first name of a unit in a text. */
const firstUnit = new RegExp(String.raw`[\w:.\\@-]+\.(?:${recognizedTypes.join("|")})(?!\w)`);

/** Parses the standard error of systemd-analyze. Lines that name no unit are left out. */
export function verifyFindings(output: string): VerifyFinding[] {
  return output.split("\n").flatMap((text) => readFinding(text.trim()) ?? []);
}

function readFinding(text: string): VerifyFinding | undefined {
  const [, path, line, syntax] = /^(.+?):(\d+): (.*)$/.exec(text) ?? [];
  if (path !== undefined) {
    const unit = path.slice(path.lastIndexOf("/") + 1);
    return { unit, line: Number(line), severity: "warning", message: syntax! };
  }
  const unit = firstUnit.exec(text)?.[0];
  if (unit === undefined) return undefined;
  const message = text.startsWith(`${unit}: `) ? text.slice(unit.length + 2) : text;
  const isOfThatMachine = /is not executable|Unit \S+ (not found|is masked)|not loaded( properly|,)/.test(message);
  return { unit, severity: isOfThatMachine ? "note" : "error", message };
}
