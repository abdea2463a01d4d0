/**
 * What the systemd of this machine, and its podman, find wrong in unit files of a plan. A plan does not fail because of it.
 *
 * @module
 */

import { messageOf } from "../../../runtime/log.ts";
import type { NewFile } from "../../../registry/mod.ts";
import type { UnitName } from "../../../registry/model.ts";
import type { Finding } from "../../../registry/unit_check.ts";
import { quadletProblemsIn } from "../../../systemd/quadlet/generator.ts";
import { optionsOf, readUnitFile } from "../../../systemd/unit_file.ts";
import { isQuadlet, templateOf } from "../../../systemd/unit_name.ts";
import { referencedQuadlets } from "../../../systemd/unit_quadlet.ts";
import { type VerifyFinding, verifyFindings } from "../../../systemd/unit_verify.ts";
import type { Api, Call } from "../context.ts";
import { inTime } from "../machine/forwarding.ts";

/** A unit file that a plan would store, with what fleet has found in it. */
export interface CheckedFile {
  readonly name: UnitName;
  readonly file: NewFile;
  readonly findings: readonly Finding[];
}

/** Most files that systemd checks for a plan. A plan with more has no findings of systemd. */
export const maxVerifiedFiles = 500;

/** Time limit for systemd, including the wait for the checks of other plans. */
const verify_ms = 5_000;

/** Most findings that are named of a file, and the longest line that one quotes. */
const maxFindings = 20;
const maxQuote = 80;

/**
 * Returns the warnings of systemd and podman about files, by unit; none without an answer in time. `textOf`: the file that a
 * unit of the cluster has.
 */
export async function systemdWarnings(
  { localMachine, sharedState, clock, log }: Api,
  { request }: Call,
  files: readonly CheckedFile[],
  textOf: (unit: UnitName) => string | undefined,
): Promise<ReadonlyMap<UnitName, readonly string[]>> {
  const verified = distinct(files);
  if (!localMachine || verified.size === 0 || verified.size > maxVerifiedFiles) return new Map();
  const release = sharedState.machineRequests.take();
  if (!release) return new Map();
  try {
    const texts = new Map([...verified].map(([name, { file }]) => [name, file.text]));
    // podman refuses a file that refers to another one that is not there.
    for (const other of [...verified.values()].flatMap(referencesOf)) {
      const text = texts.has(other) ? undefined : textOf(other);
      if (text !== undefined) texts.set(other, text);
    }
    const verify = (signal: AbortSignal) => sharedState.verification(() => localMachine.verify(texts, signal));
    const found = await inTime(clock, request, verify, verify_ms) ?? "";
    const findings = verifyFindings(found).filter(({ unit }) => !isQuadlet(unit));
    return new Map([...warningsIn(verified, findings), ...quadletWarnings(verified, found)]);
  } catch (error) {
    log("info", "systemd has not checked the unit files of a plan", { error: messageOf(error) });
    return new Map();
  } finally {
    release();
  }
}

/** Returns the names of the Quadlet files that a Quadlet file refers to. */
function referencesOf({ name, file }: CheckedFile): readonly UnitName[] {
  return referencedQuadlets(name, optionsOf(file.text));
}

/** Returns the problems of Quadlet files, but for files that they refer to: the scheduler has the reasons of these. */
function quadletWarnings(
  files: ReadonlyMap<UnitName, CheckedFile>,
  output: string,
): ReadonlyMap<UnitName, readonly string[]> {
  return new Map([...quadletProblemsIn(output)].flatMap(([name, problem]) => {
    const file = files.get(name);
    if (file === undefined || referencesOf(file).some((other) => problem.includes(other))) return [];
    return [[name, [`podman makes no service of it: ${problem}`]]];
  }));
}

/** Returns the files to be checked; of a file that a template and its instances share, the first. */
function distinct(files: readonly CheckedFile[]): Map<UnitName, CheckedFile> {
  const found = new Map<string, CheckedFile>();
  for (const each of files) {
    const key = `${templateOf(each.name) ?? each.name} ${each.file.hash}`;
    if (!found.has(key)) found.set(key, each);
  }
  return new Map([...found.values()].map((each) => [each.name, each]));
}

function warningsIn(
  files: ReadonlyMap<UnitName, CheckedFile>,
  findings: readonly VerifyFinding[],
): ReadonlyMap<UnitName, readonly string[]> {
  const byUnit = Map.groupBy(
    findings.filter(({ severity }) => severity !== "note"),
    ({ unit }) => files.has(unit) ? unit : templateOf(unit) ?? unit,
  );
  return new Map([...byUnit].flatMap(([name, found]) => {
    const file = files.get(name);
    return file ? [[name, warningsOf(file, found)]] : [];
  }));
}

/** Returns the findings that fleet has not made as well. The client may not know the lines by number: each is quoted. */
function warningsOf({ file: { text }, findings }: CheckedFile, found: readonly VerifyFinding[]): string[] {
  const { lines, headerLines } = readUnitFile(text);
  const own = new Set(
    findings.flatMap(({ option, inHeader }) => option === undefined ? [] : (inHeader ? headerLines : lines)[option]!),
  );
  const rows = text.split("\n");
  const warnings = found.filter(({ line }) => line === undefined || !own.has(line)).map(({ line, message }) =>
    line === undefined ? `systemd: ${message}` : `systemd: ${quoted(rows[line - 1] ?? "")}: ${message}`
  );
  return [...new Set(warnings)].slice(0, maxFindings);
}

function quoted(line: string): string {
  return line.length > maxQuote ? `${line.slice(0, maxQuote)}…` : line;
}
