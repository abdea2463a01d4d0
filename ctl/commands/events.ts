import type {
  DecisionEvent,
  DrainEvent,
  LossEvent,
  MachineEvent,
  RolloutEvent,
  StateEvent,
  UnitEvent,
} from "../../daemon/api/v1/types.ts";
import { mangleUnitName } from "../../systemd/unit_name.ts";
import { switchFlag, textFlag, UsageError } from "../cli/argv.ts";
import { type Command, type Context, exitFailure } from "../cli/command.ts";
import { suggestion } from "../units/set_state.ts";
import { EventMemory, type StreamEvent } from "../api/event_memory.ts";
import { isPattern, unitMatcher } from "../units/select.ts";
import { printError, printLine, ReaderGoneError, reasonOf } from "../terminal/port.ts";
import { formatOf, outputFlag } from "../output/list.ts";
import { isMachine, machineIdLegend, machineLegend } from "../machines/format.ts";
import { noSuchMachine, wholeId } from "../machines/select.ts";
import { type ServerEvent, stopWhenSilent } from "../api/sse.ts";
import { calendarDate, clockTime } from "../output/time.ts";

/** `fleetctl events`: prints the events of the cluster, one a line. */
export const events: Command = {
  name: "events",
  isNew: true,
  group: "observe",
  summary: "Print events of the cluster as they happen",
  usage:
    "events [--since=TIME|REVISION] [--present] [--no-follow] [--kind=KIND,...] [--machine=MACHINE] [--output=json] [UNIT...]",
  description:
    `Prints changes of units, decisions of the engine with their reasons, unit states of systemd, machines that
come and go, losses of so many machines that the engine waits for them (loss), and roll-outs of applications. With
units or patterns, only events of these units.

Each line begins with the time of the event. --since also prints events of the past, as far back as the
server remembers.`,
  examples: [
    { title: "Print events from now on", line: "fleetctl events" },
    { title: "Begin ten minutes ago", line: "fleetctl events --since=10m" },
    {
      title: "Print the events since a revision of the store, then end",
      line: "fleetctl events --since=117 --no-follow",
    },
    {
      title: "Print everything that is there, then changes, for a program",
      line: "fleetctl events --present --output=json",
    },
  ],
  flags: [
    textFlag("since", "TIME|REVISION", "Begin this long ago (s, m, h, d), or after this revision of the store"),
    switchFlag("present", "Begin with everything that is there"),
    switchFlag("no-follow", "End where new events would begin"),
    textFlag(
      "kind",
      "KIND,...",
      "Print only events of these kinds: unit, decision, state, machine, loss, rollout, drain",
      {
        values: ["unit", "decision", "state", "machine", "loss", "rollout", "drain"],
      },
    ),
    textFlag("machine", "MACHINE", "Print only events of this machine", { letter: "m" }),
    outputFlag("FORMAT", "Print text, or json with one object a line", "text", ["text", "json"]),
  ],
  async run(context) {
    const since = context.flags.text("since");
    formatOf(context, ["text", "json"]);
    if (since !== "" && !/^\d+(-\w+|ms|s|m|h|d)?$/.test(since)) {
      const expected = "expected a time (10m), a revision (117) or the ID of an event";
      throw new UsageError(`invalid value ${JSON.stringify(since)} for --since: ${expected}`);
    }
    return await follow(context, await machineIds(context), since);
  },
};

/** Delay before a stream that has ended is opened again. */
const retry_ms = 500;

/** Returns the IDs of the machines that `--machine` selects; one that is not present may be named in full. */
async function machineIds({ io, client, flags }: Context): Promise<readonly string[]> {
  const prefix = flags.text("machine");
  if (prefix === "") return [];
  const machines = await client.machines();
  const ids = machines.filter((machine) => isMachine(machine, prefix)).map(({ id }) => id);
  if (ids.length > 0) return ids;
  if (!wholeId.test(prefix)) throw noSuchMachine(prefix, machines.map(({ id }) => id));
  printError(io, `Machine ${prefix} is not in the cluster now`);
  return [prefix];
}

/** Reports named units that are not in the cluster: they may be created later, or they are misspelled. */
async function reportMissingUnits(context: Context): Promise<void> {
  const { io, client, args } = context;
  const named = args.filter((word) => !isPattern(word)).map(mangleUnitName);
  if (named.length === 0) return;
  const known = new Set((await client.units()).map(({ name }) => name));
  for (const name of new Set(named)) {
    if (!known.has(name)) printError(io, `Unit ${name} is not in the cluster${await suggestion(context, name)}`);
  }
}

/** Prints streams of events, each continued where the last one has ended. */
async function follow(context: Context, machines: readonly string[], since: string): Promise<number> {
  const { io, client, flags } = context;
  await reportMissingUnits(context);
  const printer = new EventPrinter(context, flags.on("present") || since !== "");
  for (let from = since;;) {
    printer.begin(from === "");
    try {
      const end = new AbortController();
      const stream = await client.follow(queryOf(context, machines, from), end.signal);
      if (!stream) {
        printError(io, `${client.endpoint} does not support events`);
        return exitFailure;
      }
      for await (const event of stopWhenSilent(stream, (ms, signal) => io.sleep(ms, signal), () => end.abort())) {
        printer.print(event);
        if (event.id !== "") from = event.id;
        if (event.event === "synced" && flags.on("no-follow")) return 0;
      }
      io.log("WARN", `${client.endpoint} ended the stream; continuing`);
    } catch (error) {
      if (!printer.hasBegun || error instanceof ReaderGoneError) throw error;
      io.log("WARN", `${reasonOf(error)}; trying again`);
    }
    await io.sleepAtRandom(retry_ms);
  }
}

function queryOf({ args, flags }: Context, machines: readonly string[], since: string): string {
  // A pattern also selects units that are created later: all are requested, and the others are left out here.
  const names = args.some(isPattern) ? [] : args;
  const query = new URLSearchParams(names.map((name) => ["unit", mangleUnitName(name)]));
  for (const kind of flags.text("kind").split(",").filter((kind) => kind !== "")) query.append("kind", kind);
  for (const id of machines) query.append("machine", id);
  if (since !== "") query.set("since", since);
  return query.toString();
}

/** Returns the time of an event, milliseconds since the epoch; undefined if it has none. */
function timeOf(data: string): number | undefined {
  const { time, since, changed } = JSON.parse(data) as { time?: number; since?: number; changed?: { at: number } };
  // 0 stands for never.
  return time || changed?.at || since || undefined;
}

const oneDay_ms = 24 * 60 * 60 * 1000;

/** The steps of a roll-out that one line names. */
const stepsShown = 3;

function rolloutText({ app, rollout }: RolloutEvent): string {
  if (!rollout) return `rollout of ${app} is forgotten`;
  const { status, reason, steps = [] } = rollout;
  const shown = steps.slice(0, stepsShown).map(({ name, state }) => `${name} ${state}`);
  const more = steps.length > stepsShown ? ` and ${steps.length - stepsShown} more` : "";
  const parts = [...reason === undefined ? [] : [reason], ...shown.length === 0 ? [] : [shown.join(", ") + more]];
  return `rollout of ${app} is ${status}${parts.length === 0 ? "" : `: ${parts.join("; ")}`}`;
}

/** Prints events, one a line. */
class EventPrinter {
  /** True after the first event of the server. */
  hasBegun = false;
  readonly #memory = new EventMemory();
  readonly #legends = new Map<string, string>();
  /** False while the stream repeats present or past events that are not to be printed. */
  #isPrinting: boolean;

  readonly #selects: readonly ((name: string) => boolean)[];

  /** Throws {@link UsageError} for a malformed pattern among the arguments. */
  constructor(readonly context: Context, printsPresent: boolean) {
    this.#isPrinting = printsPresent;
    this.#selects = context.args.map((word) => {
      return isPattern(word) ? unitMatcher(word) : (name) => name === mangleUnitName(word);
    });
  }

  /** Begins a stream, which starts with the present state or with the events that were missed. */
  begin(withPresent: boolean): void {
    this.#memory.begin(withPresent);
  }

  print({ event, data, id }: ServerEvent): void {
    this.hasBegun = true;
    const { io, flags } = this.context;
    if (event === "" || this.#isOther(event, data)) return;
    if (flags.text("output") !== "json") {
      for (const next of this.#memory.take({ event, data })) this.#printLine(next);
    } else if (this.#isPrinting) {
      const revision = id === "" ? {} : { revision: parseInt(id) };
      const { time: _time, ...fields } = JSON.parse(data);
      const time = new Date(timeOf(data) ?? io.wall_ms()).toISOString();
      printLine(io, JSON.stringify({ time, event, ...revision, ...fields }));
    }
    if (event === "synced") this.#isPrinting = true;
  }

  #printLine({ event, data }: StreamEvent): void {
    const { io } = this.context;
    const line = this.#line(event, data);
    if (!this.#isPrinting || line === undefined) return;
    const now_ms = io.wall_ms();
    const time_ms = timeOf(data) ?? now_ms;
    const day = now_ms - time_ms < oneDay_ms ? "" : `${calendarDate(time_ms)} `;
    printLine(io, `${day}${clockTime(time_ms)} ${line}`);
  }

  /** True for an event of a unit that was not selected: with patterns, the server sends the events of all units. */
  #isOther(event: string, data: string): boolean {
    if (!["unit", "decision", "state"].includes(event) || !this.context.args.some(isPattern)) return false;
    const { name } = JSON.parse(data) as { name: string };
    return !this.#selects.some((selects) => selects(name));
  }

  #line(event: string, data: string): string | undefined {
    const fields = JSON.parse(data);
    switch (event) {
      case "unit":
        return this.#unit(fields);
      case "decision":
        return this.#decision(fields);
      case "state":
        return this.#state(fields);
      case "machine":
        return this.#machine(fields);
      case "loss":
        return this.#loss(fields);
      case "rollout":
        return rolloutText(fields);
      case "drain":
        return this.#drain(fields);
      case "partial":
        return `events before this are incomplete: ${fields.reason}`;
      case "reset":
        return `beginning again: ${fields.reason}`;
      default:
        return undefined;
    }
  }

  #unit({ name, unit, changed, time }: UnitEvent & { readonly time?: number }): string {
    // A consequence of the change, such as the launch of the unit, has a later time.
    const by = changed && (time === undefined || time === changed.at) ? `, by ${changed.by}` : "";
    if (!unit) return `unit ${name} is gone${by}`;
    const { desiredState = "inactive", currentState } = unit;
    const now = currentState === undefined || currentState === desiredState ? "" : `, is ${currentState}`;
    return `unit ${name} is to be ${desiredState}${now}${unit.machineID ? this.#on(unit.machineID) : ""}${by}`;
  }

  #drain({ machineID, status, by }: DrainEvent): string {
    const words = {
      moving: "is drained: its jobs move",
      stopping: "is drained: its jobs have moved",
      done: "is drained",
    };
    const what = words[status as keyof typeof words] ?? status ?? "is not drained any more";
    return `drain machine ${this.#legend(machineID)} ${what}${by && status === "moving" ? `, by ${by}` : ""}`;
  }

  #decision({ name, machineID, from, to, waiting, reasons = [], why }: DecisionEvent): string {
    if (waiting) {
      const given = reasons.map(({ machines, reason }) => machines === 1 ? reason : `${reason} (${machines} times)`);
      return `decision ${name} waits: ${[why, ...given].join("; ")}`;
    }
    if (!machineID) return `decision ${name} has no machine: ${why}`;
    const before = from ? `, before on ${this.#legend(from)}` : "";
    if (to) {
      return `decision ${name} starts${this.#on(to)} as well, where it is to move from ${this.#legend(machineID)}`;
    }
    return `decision ${name} belongs${this.#on(machineID)}${before}: ${why}`;
  }

  #state({ name, machineID, state, error }: StateEvent): string {
    if (!state) return `state ${name} is gone${this.#on(machineID)}`;
    const { systemdLoadState: load = "", systemdActiveState: active = "", systemdSubState: sub = "" } = state;
    const loaded = load === "loaded" ? "" : `${load}, `;
    const health = state.health === undefined
      ? ""
      : `, health check ${state.health}${state.healthReason ? `: ${state.healthReason}` : ""}`;
    return `state ${name} is ${loaded}${active} (${sub})${this.#on(machineID)}${health}${error ? ": " + error : ""}`;
  }

  #machine({ id, machine }: MachineEvent): string {
    if (!machine) return `machine ${this.#legend(id)} is gone`;
    this.#legends.set(id, machineLegend(machine, false));
    const metadata = Object.entries(machine.metadata ?? {}).map(([key, value]) => `${key}=${value}`).sort().join(",");
    const { cordon } = machine;
    const cordoned = cordon
      ? `, cordoned${cordon.by ? ` by ${cordon.by}` : ""}${cordon.why ? `: ${cordon.why}` : ""}`
      : "";
    return `machine ${this.#legend(id)} is present${metadata && `, ${metadata}`}${cordoned}`;
  }

  #loss({ missing, present, until }: LossEvent): string {
    if (!missing || until === undefined) return "loss is over: units of machines that are still missing move";
    return `loss of ${missing.length} of ${missing.length + present} machines at once: their units wait until ` +
      `${clockTime(until)} for ${missing.map((id) => this.#legend(id)).join(", ")}`;
  }

  #on(id: string): string {
    return ` on ${this.#legend(id)}`;
  }

  #legend(id: string): string {
    return this.#legends.get(id) ?? machineIdLegend(id, false);
  }
}
