import type { ExplanationEntity, MachineExplanationEntity } from "../../daemon/api/v1.ts";
import { mangleUnitName } from "../../systemd/unit_name.ts";
import { ApiError } from "../api.ts";
import { type Command, exitFailure, exitUsage } from "../command.ts";
import { complain, reasonOf } from "../io.ts";
import { isFormat, nothing, refuseFormat } from "../listing.ts";
import { machineIdLegend, machineLegend } from "../machines.ts";
import { alignRows } from "../table.ts";

/** `fleetctl explain`: why a unit is where it is, or is not. */
export const explain: Command = {
  name: "explain",
  isNew: true,
  summary: "Show why a unit is where it is, or why it is nowhere",
  usage: "explain [-l|--full] [--output=FORMAT] UNIT",
  description: `Shows what is wanted of a unit, where it is and why; and of every machine whether the
unit is to be there (here), would be taken (able) or would not (refused), with every
reason, and what systemd and the machine's agent say of it.

Why does it not start?
fleetctl explain hello.service`,
  flags: [
    { name: "full", kind: "switch", fallback: false, letter: "l", help: "Do not shorten what is printed" },
    { name: "output", kind: "text", fallback: "table", help: 'Print a "table", "wide" (in full), "json" or "yaml"' },
  ],
  async run({ client, io, args, flags }) {
    const format = flags.text("output");
    if (!isFormat(format)) return refuseFormat(io, format);
    if (args.length !== 1) {
      complain(io, "One unit must be provided");
      return exitUsage;
    }
    const name = mangleUnitName(args[0] as string);
    let explanation: ExplanationEntity | undefined;
    try {
      explanation = await client.explain(name);
    } catch (error) {
      const isMissing = error instanceof ApiError && error.code === 404;
      complain(io, isMissing ? `Unit ${name} does not exist.` : `Error explaining unit ${name}: ${reasonOf(error)}`);
      return exitFailure;
    }
    if (!explanation) {
      complain(io, `Error explaining unit ${name}: ${client.endpoint} is served by a fleet that cannot explain`);
      return exitFailure;
    }
    if (format === "json") io.out(JSON.stringify(explanation, undefined, 2) + "\n");
    else if (format === "yaml") io.out((await import("../yaml.ts")).yamlObject(explanation));
    else io.out(page(explanation, flags.on("full") || format === "wide"));
    return 0;
  },
};

function page(explanation: ExplanationEntity, full: boolean): string {
  const { machines = [] } = explanation;
  const rows = machines.flatMap((machine) => machineRows(machine, full));
  const table = rows.length === 0
    ? ""
    : "\n" + alignRows([["MACHINE", "STANDPOINT", "ACTIVE", "SUB", "REASON"], ...rows]);
  return alignRows(facts(explanation, full)) + table;
}

function facts(explanation: ExplanationEntity, full: boolean): string[][] {
  const { name, summary, desiredState, currentState, launched, restart, hash, next, why } = explanation;
  const { machineID, since, leader, notes = [], warnings = [] } = explanation;
  const isUnknown = explanation.outcome === "unreadable";
  const at = explanation.machines?.find((machine) => machine.machineID === machineID);
  return [
    ["Unit:", name],
    ["Summary:", summary],
    ...isUnknown ? [] : [["Wanted:", desiredState + (launched === undefined ? "" : `, since revision ${launched}`)]],
    ...currentState === undefined ? [] : [["Is:", currentState]],
    ...restart === undefined ? [] : [["Restart:", `asked for at revision ${restart}`]],
    ...isUnknown ? [] : [["File:", full ? hash : hash.slice(0, 7)]],
    ...at === undefined
      ? []
      : [["Machine:", legend(at, full) + (since === undefined ? "" : `, since ${timeOf(since)}`)]],
    ...why === undefined ? [] : [["Why:", why]],
    ...next === undefined ? [] : [["Next:", `the engine will ${next}`]],
    ["Engine:", leader === undefined ? "led by no machine" : `led by machine ${machineIdLegend(leader, full)}`],
    ...notes.map((note) => ["Note:", note]),
    ...warnings.map((warning) => ["Warning:", warning]),
  ];
}

/** A row for each reason; one if there is none. */
function machineRows(machine: MachineExplanationEntity, full: boolean): string[][] {
  const { standpoint, state, reasons = [], pending, error, result } = machine;
  const said = [
    ...reasons.map(({ reason }) => reason),
    ...pending === undefined ? [] : [pending],
    ...error === undefined ? [] : [`its agent says: ${error}`],
    ...result === undefined ? [] : [`systemd's result: ${result}`],
  ];
  if (said.length === 0) said.push(standpoint === "able" ? "would take it" : nothing);
  const { systemdActiveState: active = nothing, systemdSubState: sub = nothing } = state ?? {};
  return said.map((reason) => [legend(machine, full), standpoint, active, sub, reason]);
}

function legend({ machineID: id, primaryIP }: MachineExplanationEntity, full: boolean): string {
  return machineLegend({ id, ...(primaryIP !== undefined && { primaryIP }) }, full);
}

function timeOf(since_ms: number): string {
  return new Date(since_ms).toISOString();
}
