import type { ExplanationEntity, MachineExplanationEntity } from "../../daemon/api/v1/types.ts";
import { mangleUnitName } from "../../systemd/unit_name.ts";
import { ApiError } from "../api/client.ts";
import { switchFlag } from "../cli/argv.ts";
import { type Command, type Context, exitFailure } from "../cli/command.ts";
import { inParallel } from "../../runtime/parallel.ts";
import { suggestion } from "../units/set_state.ts";
import { printError, printLine, reasonOf } from "../terminal/port.ts";
import { documentText, formatOf, listFormats, nothing, outputFlag } from "../output/list.ts";
import { machineIdLegend, machineLegend } from "../machines/format.ts";
import { alignedLines } from "../output/table.ts";

/** `fleetctl explain`: explains where a unit runs, or why it does not. */
export const explain: Command = {
  name: "explain",
  isNew: true,
  group: "observe",
  summary: "Explain where units run, or why they do not",
  usage: "explain [-l|--full] [--output=FORMAT] UNIT...",
  description: `Shows the desired state of a unit, its machine and the reason for it. For every machine it shows whether
the unit is assigned to it (assigned), may run there (eligible) or may not (rejected), with every reason,
and the reports of systemd and of the agent.

With several units, or a pattern, JSON is a list and YAML has a document for each unit.`,
  examples: [
    { title: "Find out why a unit does not start", line: "fleetctl explain hello.service" },
    {
      title: "Read the reasons with a program",
      line: "fleetctl explain --output=json hello.service | jq '.machines[].reasons'",
    },
  ],
  units: { scope: "runnable units" },
  flags: [
    switchFlag("full", "Print whole IDs and hashes", "l"),
    outputFlag("FORMAT", "Print a table, wide, json or yaml", "table", listFormats),
  ],
  async run(context) {
    const { io, args, flags, matched } = context;
    const format = formatOf(context, listFormats);
    const names = [...new Set(args.map(mangleUnitName))];
    const answers = await inParallel(names, (name) => explanationOf(context, name));
    const explanations = answers.filter((answer) => answer !== undefined);
    const isList = matched.size > 0 || names.length > 1;
    if (format === "json" && isList) io.out(await documentText(explanations, format));
    else {
      for (const [index, explanation] of explanations.entries()) {
        if (index > 0) io.out(format === "yaml" ? "---\n" : "\n");
        if (format === "json" || format === "yaml") io.out(await documentText(explanation, format));
        else {for (const line of page(explanation, flags.on("full") || format === "wide", io.wall_ms())) {
            printLine(io, line);
          }}
      }
    }
    return explanations.length === names.length ? 0 : exitFailure;
  },
};

/** Returns the explanation of a unit; undefined, after an error message, if the API does not return one. */
async function explanationOf(context: Context, name: string): Promise<ExplanationEntity | undefined> {
  const { client, io } = context;
  try {
    const explanation = await client.explain(name);
    if (explanation) return explanation;
    printError(io, `Error explaining unit ${name}: ${client.endpoint} runs a fleet that cannot explain units`);
  } catch (error) {
    const isMissing = error instanceof ApiError && error.code === 404;
    const text = isMissing
      ? `Unit ${name} does not exist.${await suggestion(context, name)}`
      : `Error explaining unit ${name}: ${reasonOf(error)}`;
    printError(io, text);
  }
  return undefined;
}

/** The lines of a page for people. */
function page(explanation: ExplanationEntity, full: boolean, now_ms: number): string[] {
  const { machines = [] } = explanation;
  const rows = machines.map((machine) => machineRow(machine, full, now_ms));
  const table = rows.length === 0
    ? []
    : ["", ...alignedLines([["MACHINE", "ELIGIBILITY", "ACTIVE", "SUB", "REASON"], ...rows])];
  return [...alignedLines(facts(explanation, full)), ...table];
}

function facts(explanation: ExplanationEntity, full: boolean): string[][] {
  const { name, summary, desiredState, currentState, launched, restart, hash, next, why } = explanation;
  const { machineID, since, leader, notes = [], warnings = [] } = explanation;
  const isUnknown = explanation.outcome === "unreadable";
  const at = explanation.machines?.find((machine) => machine.machineID === machineID);
  return [
    ["Unit:", name],
    ["Summary:", summary],
    ...isUnknown ? [] : [["Desired:", desiredState + (launched === undefined ? "" : `, since revision ${launched}`)]],
    ...currentState === undefined ? [] : [["Current:", currentState]],
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

/** The row of one machine. The last cell holds every reason. */
function machineRow(machine: MachineExplanationEntity, full: boolean, now_ms: number): string[] {
  const { eligibility, state, reasons = [], pending, error, result } = machine;
  const remarks = [
    ...reasons.map(({ reason }) => reason),
    ...pending === undefined ? [] : [pending],
    ...error === undefined ? [] : [`agent: ${error}`, ...nextTry(machine, now_ms)],
    ...result === undefined ? [] : [`systemd's result: ${result}`],
    ...state?.health === "failing" ? [`its health check fails: ${state.healthReason}`] : [],
  ];
  const fallback = eligibility === "eligible" ? "can run it" : nothing;
  const { systemdActiveState: active = nothing, systemdSubState: sub = nothing } = state ?? {};
  return [legend(machine, full), eligibility, active, sub, remarks.join("; ") || fallback];
}

function nextTry({ tries, retry }: MachineExplanationEntity, now_ms: number): string[] {
  if (tries === undefined || retry === undefined) return [];
  const left_s = Math.ceil((retry - now_ms) / 1000);
  return [`trying again ${left_s > 0 ? `in ${left_s} s` : "now"}, ${ordinal(tries + 1)} try`];
}

function ordinal(count: number): string {
  const isTeen = count % 100 > 10 && count % 100 < 14;
  return `${count}${isTeen ? "th" : ["th", "st", "nd", "rd"][count % 10] ?? "th"}`;
}

function legend({ machineID: id, primaryIP }: MachineExplanationEntity, full: boolean): string {
  return machineLegend({ id, ...(primaryIP !== undefined && { primaryIP }) }, full);
}

function timeOf(since_ms: number): string {
  return new Date(since_ms).toISOString();
}
