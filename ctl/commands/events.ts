import type { DecisionEvent, MachineEvent, StateEvent, UnitEvent } from "../../daemon/api/v1/types.ts";
import { mangleUnitName } from "../../systemd/unit_name.ts";
import { UsageError } from "../cli/argv.ts";
import { type Command, type Context, exitFailure } from "../cli/command.ts";
import { suggestion } from "../units/set_state.ts";
import { EventMemory, type ToldEvent } from "../api/event_memory.ts";
import { isPattern, patternMatches } from "../units/select.ts";
import { complain, ReaderGoneError, reasonOf, say } from "../terminal/port.ts";
import { machineIdLegend, machineLegend } from "../machines/format.ts";
import { type ServerEvent, stopWhenSilent } from "../api/sse.ts";
import { calendarDate, clockTime } from "../output/time.ts";

/** `fleetctl events`: what happens in the cluster, line by line. */
export const events: Command = {
  name: "events",
  isNew: true,
  summary: "Tell what happens in the cluster, as it happens",
  usage:
    "events [--since=TIME|REVISION] [--present] [--no-follow] [--kind=...] [--machine=ID] [--output=json] [UNIT...]",
  description: `Tells what changes from now on: units, where the engine puts them and why, what systemd
makes of them, machines that come and go. With units or patterns, only what
concerns them.

Each line begins with the time at which it happened. What has happened in a time, or since
a revision of the store, as long as the server remembers:
fleetctl events --since=10m
fleetctl events --since=117 --no-follow

Everything there is, and then what changes, for programs:
fleetctl events --present --output=json`,
  flags: [
    {
      name: "since",
      kind: "text",
      fallback: "",
      help: "Begin with what has happened in this time (s, m, h, d), or since this revision of the store",
    },
    { name: "present", kind: "switch", fallback: false, help: "Begin with everything as it is" },
    { name: "no-follow", kind: "switch", fallback: false, help: "End where the news begins" },
    { name: "kind", kind: "text", fallback: "", help: "Only these, out of unit,decision,state,machine" },
    { name: "machine", kind: "text", fallback: "", letter: "m", help: "Only what concerns the machine of this ID" },
    { name: "output", kind: "text", fallback: "text", help: 'Print "text", or "json" with one object a line' },
  ],
  async run(context) {
    const { flags } = context;
    const since = flags.text("since");
    const problem = !["text", "json"].includes(flags.text("output"))
      ? `Invalid output ${JSON.stringify(flags.text("output"))}: expected "text" or "json"`
      : since !== "" && !/^\d+(-\w+|ms|s|m|h|d)?$/.test(since)
      ? `Invalid --since ${
        JSON.stringify(since)
      }: expected a time (10m), a revision of the store (117) or an event's id`
      : undefined;
    if (problem !== undefined) throw new UsageError(problem, true);
    return await follow(context, await machineIds(context), since);
  },
};

/** How long to wait before a stream that ended is opened again. */
const retry_ms = 500;

/** IDs of the machines that `--machine` means; one that is away may be named in full. */
async function machineIds({ io, client, flags }: Context): Promise<readonly string[]> {
  const prefix = flags.text("machine");
  if (prefix === "") return [];
  const ids = (await client.machines()).map(({ id }) => id).filter((id) => id.startsWith(prefix));
  if (ids.length > 0) return ids;
  // machine-id(5)
  if (!/^[0-9a-f]{32}$/.test(prefix)) {
    throw new Error(`machine does not exist: no ID begins with ${JSON.stringify(prefix)}`);
  }
  complain(io, `Machine ${prefix} is not in the cluster now`);
  return [prefix];
}

/** Says which of the units that are named are not in the cluster: they may come, or they are misspelled. */
async function tellAbsent(context: Context): Promise<void> {
  const { io, client, args } = context;
  const named = args.filter((word) => !isPattern(word)).map(mangleUnitName);
  if (named.length === 0) return;
  const known = new Set((await client.units()).map(({ name }) => name));
  for (const name of new Set(named)) {
    if (!known.has(name)) complain(io, `Unit ${name} is not in the cluster${await suggestion(context, name)}`);
  }
}

/** Follows streams, each going on where the last one ended. */
async function follow(context: Context, machines: readonly string[], since: string): Promise<number> {
  const { io, client, flags } = context;
  await tellAbsent(context);
  const telling = new Telling(context, flags.on("present") || since !== "");
  for (let from = since;;) {
    telling.begin(from === "");
    try {
      const end = new AbortController();
      const stream = await client.follow(queryOf(context, machines, from), end.signal);
      if (!stream) {
        complain(io, `${client.endpoint} cannot tell events`);
        return exitFailure;
      }
      for await (const event of stopWhenSilent(stream, (ms, signal) => io.sleep(ms, signal), () => end.abort())) {
        telling.tell(event);
        if (event.id !== "") from = event.id;
        if (event.event === "synced" && flags.on("no-follow")) return 0;
      }
      io.log("WARN", `${client.endpoint} ended the stream; going on`);
    } catch (error) {
      if (!telling.began || error instanceof ReaderGoneError) throw error;
      io.log("WARN", `${reasonOf(error)}; trying again`);
    }
    await io.sleep(retry_ms);
  }
}

function queryOf({ args, flags }: Context, machines: readonly string[], since: string): string {
  // A pattern means units that come later, too: all are asked for, and those that it does not match are left out here.
  const names = args.some(isPattern) ? [] : args;
  const query = new URLSearchParams(names.map((name) => ["unit", mangleUnitName(name)]));
  for (const kind of flags.text("kind").split(",").filter((kind) => kind !== "")) query.append("kind", kind);
  for (const id of machines) query.append("machine", id);
  if (since !== "") query.set("since", since);
  return query.toString();
}

/** When an event happened, as far as it tells, milliseconds since the epoch. */
function timeOf(data: string): number | undefined {
  const { time, since, changed } = JSON.parse(data) as { time?: number; since?: number; changed?: { at: number } };
  // 0 stands for never.
  return time || changed?.at || since || undefined;
}

const oneDay_ms = 24 * 60 * 60 * 1000;

/** Tells events as lines. */
class Telling {
  /** True once something has come from the server. */
  began = false;
  readonly #memory = new EventMemory();
  readonly #legends = new Map<string, string>();
  #tells: boolean;

  constructor(readonly context: Context, tellsPresent: boolean) {
    this.#tells = tellsPresent;
  }

  /** Says that a stream begins, with the present or with what was missed. */
  begin(withPresent: boolean): void {
    this.#memory.begin(withPresent);
  }

  tell({ event, data, id }: ServerEvent): void {
    this.began = true;
    const { io, flags } = this.context;
    if (event === "" || this.#isOther(event, data)) return;
    if (flags.text("output") !== "json") {
      for (const told of this.#memory.take({ event, data })) this.#tellLine(told);
    } else if (this.#tells) {
      const revision = id === "" ? {} : { revision: parseInt(id) };
      const { time: _time, ...fields } = JSON.parse(data);
      const time = new Date(timeOf(data) ?? io.wall_ms()).toISOString();
      say(io, JSON.stringify({ time, event, ...revision, ...fields }));
    }
    if (event === "synced") this.#tells = true;
  }

  #tellLine({ event, data }: ToldEvent): void {
    const { io } = this.context;
    const line = this.#line(event, data);
    if (!this.#tells || line === undefined) return;
    const now_ms = io.wall_ms();
    const time_ms = timeOf(data) ?? now_ms;
    const day = now_ms - time_ms < oneDay_ms ? "" : `${calendarDate(time_ms)} `;
    say(io, `${day}${clockTime(time_ms)} ${line}`);
  }

  /** True if an event is of a unit that was not asked for: where there are patterns, the server tells of all. */
  #isOther(event: string, data: string): boolean {
    const { args } = this.context;
    if (!["unit", "decision", "state"].includes(event) || !args.some(isPattern)) return false;
    const { name } = JSON.parse(data) as { name: string };
    return !args.some((word) => isPattern(word) ? patternMatches(word, name) : mangleUnitName(word) === name);
  }

  #line(event: string, data: string): string | undefined {
    switch (event) {
      case "unit":
        return this.#unit(JSON.parse(data));
      case "decision":
        return this.#decision(JSON.parse(data));
      case "state":
        return this.#state(JSON.parse(data));
      case "machine":
        return this.#machine(JSON.parse(data));
      case "partial": {
        return `everything from here on is known; ${(JSON.parse(data) as { reason: string }).reason}`;
      }
      case "reset":
        return `everything anew: ${(JSON.parse(data) as { reason: string }).reason}`;
      default:
        return undefined;
    }
  }

  #unit({ name, unit, changed, time }: UnitEvent & { readonly time?: number }): string {
    // What follows from a change, as that the unit is launched, has another time.
    const by = changed && (time === undefined || time === changed.at) ? `, by ${changed.by}` : "";
    if (!unit) return `unit ${name} is gone${by}`;
    const { desiredState = "inactive", currentState } = unit;
    const now = currentState === undefined || currentState === desiredState ? "" : `, is ${currentState}`;
    return `unit ${name} is wanted ${desiredState}${now}${unit.machineID ? this.#on(unit.machineID) : ""}${by}`;
  }

  #decision({ name, machineID, from, waiting, reasons = [], why }: DecisionEvent): string {
    if (waiting) {
      const given = reasons.map(({ machines, reason }) => machines === 1 ? reason : `${reason} (${machines} times)`);
      return `decision ${name} waits: ${[why, ...given].join("; ")}`;
    }
    if (!machineID) return `decision ${name} has no machine: ${why}`;
    const before = from ? `, before on ${this.#legend(from)}` : "";
    return `decision ${name} belongs${this.#on(machineID)}${before}: ${why}`;
  }

  #state({ name, machineID, state, error }: StateEvent): string {
    if (!state) return `state ${name} is no more${this.#on(machineID)}`;
    const { systemdLoadState: load = "", systemdActiveState: active = "", systemdSubState: sub = "" } = state;
    const loaded = load === "loaded" ? "" : `${load}, `;
    return `state ${name} is ${loaded}${active} (${sub})${this.#on(machineID)}${error ? ": " + error : ""}`;
  }

  #machine({ id, machine }: MachineEvent): string {
    if (!machine) return `machine ${this.#legend(id)} is gone`;
    this.#legends.set(id, machineLegend(machine, false));
    const metadata = Object.entries(machine.metadata ?? {}).map(([key, value]) => `${key}=${value}`).sort().join(",");
    return `machine ${this.#legend(id)} is present${metadata && `, ${metadata}`}`;
  }

  #on(id: string): string {
    return ` on ${this.#legend(id)}`;
  }

  #legend(id: string): string {
    return this.#legends.get(id) ?? machineIdLegend(id, false);
  }
}
