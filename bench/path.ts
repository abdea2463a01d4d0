/**
 * Breaks down the time of one unit: the steps between the request and the event that a client waits for, as observed in the
 * store and on the machine's bus.
 *
 * @module
 */

import { openBusConnector } from "../systemd/dbus/dbus_next.ts";
import { Manager, systemdName } from "../systemd/dbus/manager.ts";
import { matchRules } from "../systemd/dbus/signals.ts";
import { unitObjectPath } from "../systemd/dbus/object_path.ts";
import type { Bus, Signal, Variant } from "../systemd/dbus/transport.ts";
import type { Machine } from "../tests/lab/machine.ts";
import { isActive, isGone } from "./api_client.ts";
import type { Floor } from "./floor.ts";
import { pause, type Setting, unitOptions, unitText } from "./setting.ts";
import { summarize, type Summary } from "./statistics.ts";

/** One step between request and result. */
export interface PathStep {
  readonly name: string;
  /** Since the request was sent. */
  readonly after: Summary;
  /** Of the medians: since the step before. */
  readonly step_ms: number;
}

/** The steps, in order of time. */
export interface Path {
  readonly start: readonly PathStep[];
  readonly destroy: readonly PathStep[];
  /** The steps of systemd alone, from the call on. */
  readonly floor_start: readonly PathStep[];
  readonly floor_stop: readonly PathStep[];
}

const prefix = "/_coreos.com/fleet/";
const warmups = 3;

/** Records the time of a step of a unit, by performance.now(). Only the first time of each step is kept. */
type Mark = (unit: string, step: string) => void;

/** Starts and destroys units on the second machine, one at a time, by fleet and by systemd alone, and records the steps. */
export async function measurePath(
  setting: Setting,
  { samples, pause_ms }: { readonly samples: number; readonly pause_ms: number },
): Promise<Path> {
  const { lab, client, floors } = setting;
  const machine = lab.machines[1] as Machine;
  let marks = new Map<string, Map<string, number>>();
  const mark: Mark = (unit, step) => {
    const at_ms = performance.now();
    let times = marks.get(unit);
    if (!times) marks.set(unit, times = new Map());
    if (!times.has(step)) times.set(step, at_ms);
  };
  using _store = await watchStore(setting, mark);
  let current = "";
  using _bus = await watchBus(machine, mark, () => current);
  const run = async (name: string, answered: string, work: () => Promise<void>, seen?: Promise<number>) => {
    await pause(pause_ms);
    current = name;
    const start_ms = performance.now();
    await work();
    mark(name, answered);
    const seen_ms = await seen;
    await pause(pause_ms); // etcdctl reports its events with a delay.
    const times = marks.get(name) ?? new Map<string, number>();
    if (seen_ms !== undefined) times.set("seen by the client", seen_ms);
    marks = new Map();
    return new Map([...times].map(([step, at_ms]) => [step, at_ms - start_ms]));
  };
  const floor = floors.get(machine) as Floor;
  const [starts, destroys, floor_starts, floor_stops] = [[], [], [], []] as [
    StepTimes[],
    StepTimes[],
    StepTimes[],
    StepTimes[],
  ];
  for (let at = 0; at < samples + warmups; at++) {
    const [ours, theirs] = [`path-${2 * at}.service`, `path-${2 * at + 1}.service`];
    const launch = () => client.launch(ours, unitOptions(machine));
    await floor.install([theirs], unitText);
    starts.push(await run(ours, "request answered", launch, client.when(ours, isActive)));
    floor_starts.push(await run(theirs, "call and job done", () => floor.start([theirs])));
    destroys.push(await run(ours, "request answered", () => client.destroy(ours), client.when(ours, isGone)));
    floor_stops.push(await run(theirs, "call and job done", () => floor.stop([theirs])));
    await floor.remove([theirs]);
  }
  const steps = (paths: readonly StepTimes[]) => stepsOf(paths.slice(warmups));
  return {
    ...{ start: steps(starts), destroy: steps(destroys) },
    ...{ floor_start: steps(floor_starts), floor_stop: steps(floor_stops) },
  };
}

/** Milliseconds after the request, by step. */
type StepTimes = ReadonlyMap<string, number>;

function stepsOf(paths: readonly StepTimes[]): PathStep[] {
  const series = new Map<string, number[]>();
  for (const path of paths) {
    for (const [name, after_ms] of path) series.set(name, [...series.get(name) ?? [], after_ms]);
  }
  const steps = [...series].map(([name, after_ms]) => ({ name, after: summarize(after_ms) }));
  steps.sort((a, b) => a.after.median_ms - b.after.median_ms);
  return steps.map(({ name, after }, at) => ({
    name,
    after,
    step_ms: after.median_ms - (steps[at - 1]?.after.median_ms ?? 0),
  }));
}

/** Watches the store by etcdctl in the lab's network, with a delay of one or two milliseconds. */
async function watchStore({ lab }: Setting, mark: Mark): Promise<Disposable> {
  const [program, ...args] = lab.network.inside(["etcdctl", "watch", "--prefix", prefix, "--write-out=json"]);
  const child = new Deno.Command(program as string, {
    args: [...args, `--endpoints=${lab.etcd.endpoints}`],
    env: { ETCDCTL_API: "3" },
    stdin: "null",
    stdout: "piped",
  }).spawn();
  const begun = Promise.withResolvers<void>();
  const follow = async () => {
    let rest = "";
    for await (const chunk of child.stdout.pipeThrough(new TextDecoderStream())) {
      begun.resolve();
      const lines = (rest + chunk).split("\n");
      rest = lines.pop() as string;
      for (const line of lines) {
        if (line === "") continue;
        for (const event of (JSON.parse(line) as { Events?: StoreEvent[] }).Events ?? []) markStored(event, mark);
      }
    }
  };
  follow().catch(begun.reject);
  // etcdctl does not report that its watch stands: puts are made until the first event comes.
  const probe = setInterval(() => lab.etcd.must("put", `${prefix}${probeKey}`, "").catch(begun.reject), 100);
  await begun.promise;
  clearInterval(probe);
  return { [Symbol.dispose]: () => child.kill("SIGTERM") };
}

/** A key that has no effect on fleet: metadata of a machine that does not exist. */
const probeKey = `metadata/${"0".repeat(32)}/probe`;

interface StoreEvent {
  readonly type?: number;
  readonly kv: { readonly key: string; readonly value?: string };
}

const bytes = (base64: string) => Uint8Array.from(atob(base64), (char) => char.charCodeAt(0));
const decode = (base64: string) => new TextDecoder().decode(bytes(base64));

function markStored({ type, kv }: StoreEvent, mark: Mark): void {
  const [kind, ...rest] = decode(kv.key).slice(prefix.length).split("/");
  const unit = rest.at(-1) ?? "";
  if (type === 1) return mark(unit, `store: ${kind} deleted`);
  if (kind !== "state") return mark(unit, `store: ${kind}`);
  const { active, commanded } = JSON.parse(decode(kv.value ?? "")) as Record<string, string>;
  mark(unit, `store: state, ${commanded}, ${active}`);
}

/** Watches systemd's jobs, units and links. */
async function watchBus(machine: Machine, mark: Mark, current: () => string): Promise<Disposable> {
  const connector = openBusConnector({ bus: machine.busAddress, timeout_ms: 60_000 });
  const signal = ({ path, member, args }: Signal) => {
    if (member === "JobNew" || member === "JobRemoved") mark(String(args[2]), `systemd: ${member}`);
    if (member === "UnitNew" || member === "UnitRemoved") mark(String(args[0]), `systemd: ${member}`);
    // This signal names no unit.
    if (member === "UnitFilesChanged") mark(current(), `systemd: ${member} (linked or unlinked)`);
    if (member !== "PropertiesChanged") return;
    const { ActiveState } = args[1] as Record<string, Variant>;
    const unit = unitOf(path);
    if (ActiveState && unit) mark(unit, `systemd: ${ActiveState.value}`);
  };
  const bus: Bus = await connector.connect({ signal, closed: () => {} });
  const daemon = "org.freedesktop.DBus";
  const members = ["JobNew", "UnitNew", "UnitRemoved", "UnitFilesChanged"];
  for (
    const rule of [
      ...members.map((member) => `type='signal',sender='${systemdName}',member='${member}'`),
      ...matchRules,
    ]
  ) {
    await bus.call({
      ...{ destination: daemon, path: "/org/freedesktop/DBus", interface: daemon },
      ...{ member: "AddMatch", signature: "s", args: [rule] },
    }, () => {});
  }
  await new Manager(bus).subscribe();
  return { [Symbol.dispose]: () => bus.close() };
}

/** Returns the name of a measured unit, `path-N.service`, by its object path; undefined for any other unit. */
function unitOf(path: string): string | undefined {
  const nth = /\/path_2d(\d+)_2eservice$/.exec(path)?.[1];
  const name = nth === undefined ? undefined : `path-${nth}.service`;
  return name !== undefined && unitObjectPath(name) === path ? name : undefined;
}
