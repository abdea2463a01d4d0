/**
 * The scene of a transcript: the fake cluster, the fake machines and the files that its directives describe, on a clock
 * that moves only while a command waits. The directives are explained in docs/internals/development.md.
 *
 * @module
 */

import type { AppRequest, PlanRequest } from "../../daemon/api/v1/types.ts";
import type { ApiClient } from "../../ctl/api/client.ts";
import { runFleetctl } from "../../ctl/cli/run.ts";
import type { Flags } from "../../ctl/cli/argv.ts";
import { globalFlags } from "../../ctl/cli/global_flags.ts";
import { FakeContextFile } from "../../ctl/testing/fake_contexts.ts";
import { FakeApi, refusal } from "../../ctl/testing/fake_api.ts";
import { FakeHosts } from "../../ctl/testing/fake_remote.ts";
import { FakeIo } from "../../ctl/testing/fake_terminal.ts";
import { version } from "../../runtime/version.ts";
import { shellWords, type Step } from "./transcript.ts";

/** A terminal that keeps both streams in the order in which they were written. */
class RecordedIo extends FakeIo {
  readonly written: { readonly stream: 1 | 2; text: string }[] = [];

  override out(text: string): void {
    this.#write(1, text);
  }

  override err(text: string): void {
    this.#write(2, text);
  }

  override log(level: string, text: string): void {
    if (level !== "DEBUG") this.#write(2, `${level} ${text}\n`);
  }

  override confirm(question: string): Promise<boolean | undefined> {
    if (this.answer !== undefined) this.#write(2, question + "\n");
    return Promise.resolve(this.answer);
  }

  override redraw(lines: readonly string[]): void {
    this.#write(1, ["-- screen --", ...lines].map((line) => line + "\n").join(""));
  }

  override wall_ms(): number {
    return Date.UTC(2026, 0, 1) + this.clock.now_ms();
  }

  #write(stream: 1 | 2, text: string): void {
    const last = this.written.at(-1);
    if (last?.stream === stream) last.text += text;
    else this.written.push({ stream, text });
  }
}

type VerbName = "set" | "start" | "restart" | "stop" | "destroy" | "rollout";

/** A directive of `after`, waiting for the next command. */
interface Later {
  readonly delay_ms: number;
  readonly words: readonly string[];
  readonly body: readonly string[];
}

const durations: Readonly<Record<string, number>> = { ms: 1, s: 1000, min: 60_000 };

function duration_ms(text: string): number {
  const [, count, unit = ""] = /^(\d+)(ms|s|min)$/.exec(text) ?? [];
  if (count === undefined) throw new Error(`${JSON.stringify(text)} is no duration such as 5ms, 2s or 1min`);
  return Number(count) * (durations[unit] as number);
}

/** The fakes that one transcript runs against. */
export class Scene {
  #api = new FakeApi();
  #hosts = new FakeHosts();
  #io = new RecordedIo();
  #contexts = new FakeContextFile();
  /** The flags of the client of a context, as `endpoint=http://…`. */
  #clientFlags: string[] = [];
  #env: Record<string, string> = {};
  #later: Later[] = [];
  #rules: { readonly verb: string; readonly name: string; readonly states: readonly string[][] }[] = [];
  #responses: { matches(method: string, path: string): boolean; left: number; answer(): Response }[] = [];

  /** `hasEvents` is false for a server that cannot be followed, as that of fleet 1.0. */
  constructor(readonly hasEvents: boolean) {
    this.#connect();
  }

  /** Carries out a directive. Throws if there is none of that name. */
  set(step: Step): void {
    this.#set(shellWords(step.line), step.body);
  }

  /** Runs a command line and returns the lines that a transcript shows below it. */
  async run(line: string): Promise<string[]> {
    const words = shellWords(line);
    const env = { ...this.#env };
    while (/^[A-Z_]+=/.test(words[0] ?? "")) {
      const [, name = "", value = ""] = /^([^=]+)=(.*)$/s.exec(words.shift()!) ?? [];
      env[name] = value;
    }
    if (words.shift() !== "fleetctl") throw new Error(`${JSON.stringify(line)} does not run fleetctl`);
    this.#io.written.length = 0;
    this.#api.requests.length = 0;
    this.#hosts.ran.length = 0;
    this.#clientFlags = [];
    for (const { delay_ms, words, body } of this.#later.splice(0)) {
      void this.#io.clock.sleep(delay_ms).then(() => this.#set(words, body));
    }
    const running = runFleetctl(words, env, {
      io: () => this.#io,
      hosts: () => this.#hosts,
      contexts: this.#contexts,
      client: (flags) => {
        this.#clientFlags = clientFlags(flags);
        return Promise.resolve(this.#client());
      },
    });
    const status = await this.#io.clock.runToEnd(running);
    const api = this.#api.writes.flatMap(describeRequest);
    return [
      ...this.#io.written.flatMap(streamLines),
      ...api.map((write) => `api ${write}`),
      ...this.#hosts.ran.map((command) => `ran ${command}`),
      ...(this.#contexts.text === undefined ? [] : this.#clientFlags.map((flag) => `with ${flag}`)),
      `exit ${status}`,
    ];
  }

  #client(): ApiClient {
    const client = this.#api.client();
    return this.#hangsExplaining ? Object.assign(client, { explain: () => new Promise<never>(() => {}) }) : client;
  }

  /** Makes the fake cluster follow the rules of `on`, and the answers of `respond` and `refuse`. */
  #connect(): void {
    const api = this.#api;
    const asIs = { start: api.onStart, restart: api.onRestart, stop: api.onStop, destroy: api.onDelete };
    const follow = (verb: VerbName, otherwise: (name: string, fake: FakeApi) => void) => (name: string) => {
      const rule = this.#rules.findLast((rule) => rule.verb === verb && ["*", name].includes(rule.name));
      if (rule) void this.#play(name, rule.states);
      else otherwise(name, api);
    };
    api.onDesiredState = follow("set", (name) => api.reconcile(name));
    api.onStart = follow("start", asIs.start);
    api.onRestart = follow("restart", asIs.restart);
    api.onStop = follow("stop", asIs.stop);
    api.onDelete = follow("destroy", asIs.destroy);
    api.onRollout = (app) => {
      const rule = this.#rules.findLast((rule) => rule.verb === "rollout" && rule.name === app);
      if (rule) void this.#playRollout(app, rule.states);
      else api.progress(app, { status: "done" }, "healthy");
    };
    api.intercept = ({ method }, path) => {
      const response = this.#responses.findLast(({ left, matches }) => left > 0 && matches(method, path));
      if (response) {
        response.left--;
        return response.answer();
      }
      return path === "/events" && !this.hasEvents ? refusal(404, "") : undefined;
    };
  }

  /** Plays the states of a unit, one after the other. */
  async #play(name: string, states: readonly string[][]): Promise<void> {
    const api = this.#api;
    for (const words of states) {
      const isLater = words[0] === "after";
      if (isLater) await this.#io.clock.sleep(duration_ms(words[1] ?? ""));
      const [first = "", second = "", error, load] = isLater ? words.slice(2) : words;
      if (first === "nothing") continue;
      if (first === "reconcile") api.reconcile(name);
      else if (first === "remove") api.removeStates(name);
      else if (first === "place") {
        const unit = api.units.get(name)!;
        unit.currentState = unit.desiredState;
        unit.machineID = api.machines[0]!.id;
        api.publishUnit(name);
      } else if (first === "refuse") {
        const unit = api.units.get(name);
        if (unit) unit.machineID = api.machines[0]!.id;
        api.publishUnit(name);
        api.reportRefusal(name, second, error, load);
      } else api.reportState(name, first, second, error || undefined, load);
    }
  }

  /** Plays the progress of a roll-out: `UNIT STATE [HEALTHY/TOTAL]`, with numbers of machines, or `status STATUS [REASON]`, each after a time if it says so. */
  async #playRollout(app: string, states: readonly string[][]): Promise<void> {
    for (const words of states) {
      const isLater = words[0] === "after";
      // A roll-out never goes on before the response to its start.
      await this.#io.clock.sleep(isLater ? duration_ms(words[1] ?? "") : 1);
      const [first = "", second = "", reason] = isLater ? words.slice(2) : words;
      if (first === "status") this.#api.progress(app, { status: second, ...reason !== undefined && { reason } });
      else {
        const [healthy, total] = (reason ?? "").split("/").map(Number);
        const machines = total === undefined ? undefined : { healthy: healthy!, total };
        this.#api.progress(app, {}, second, first, machines);
      }
    }
  }

  #set(words: readonly string[], body: readonly string[]): void {
    const [directive = "", ...rest] = words;
    const action = this.#directives[directive];
    if (!action) throw new Error(`unknown directive ${JSON.stringify(directive)}`);
    action(rest, body);
  }

  readonly #directives: Readonly<Record<string, (words: string[], body: readonly string[]) => void>> = {
    after: ([delay = "", ...words], body) => void this.#later.push({ delay_ms: duration_ms(delay), words, body }),
    app: ([name = ""], body) => void this.#api.apps.set(name, JSON.parse(body.join("\n"))),
    answer: ([answer]) => void (this.#io.answer = answer === "none" ? undefined : answer === "yes"),
    contexts: ([readable], body) => {
      this.#contexts.text = body.join("\n") + "\n";
      this.#contexts.isPrivate = readable !== "readable";
    },
    cut: () => this.#api.cutStreams(),
    desired: ([name = "", state = ""]) => {
      this.#api.units.get(name)!.desiredState = state;
      this.#api.publishUnit(name);
    },
    env: ([name = "", value = ""]) => void (this.#env[name] = value),
    explanation: ([name = ""], body) => void this.#api.explanations.set(name, JSON.parse(body.join("\n"))),
    file: ([path = ""], body) => void this.#io.files.set(path, body.join("\n") + "\n"),
    gone: ([name = ""]) => {
      this.#api.units.delete(name);
      this.#api.publishUnit(name);
    },
    hang: ([request]) => {
      if (request !== "explain") throw new Error("hang explain");
      this.#hangsExplaining = true;
    },
    hash: ([name = "", hash]) =>
      void (hash === undefined ? this.#api.hashes.delete(name) : this.#api.hashes.set(name, hash)),
    here: ([id = ""]) => void (this.#hosts.machineId = id),
    journal: ([name = ""], body) => void this.#api.journals.set(name, () => body.map((line) => line + "\n").join("")),
    label: ([id = "", ...labels]) =>
      void (this.#api.metadata[id] = Object.fromEntries(labels.map((word) => word.split("=", 2)))),
    leader: ([id = ""]) => void (this.#api.leader = id.padEnd(32, "0")),
    waits: ([name = "", why = "", ...reasons]) =>
      void this.#api.waiting.set(name, { why, reasons: reasons.map((reason) => ({ machines: 2, reason })) }),
    machine: ([id = "", ...rest]) => {
      if (!this.#hasMachines) this.#api.machines = [];
      this.#hasMachines = true;
      const primaryIP = rest.find((word) => !word.includes("="));
      const labels = Object.fromEntries(rest.filter((word) => word.includes("=")).map((word) => word.split("=", 2)));
      const metadata = Object.keys(labels).length > 0 ? { metadata: labels } : {};
      this.#api.machines.push({ id: id.padEnd(32, "0"), ...(primaryIP ? { primaryIP } : {}), ...metadata });
    },
    machines: ([none]) => {
      if (none !== "none") throw new Error("machines none");
      this.#api.machines = [];
    },
    nowhere: ([name = ""]) => void delete this.#api.units.get(name)!.machineID,
    reconcile: ([name = ""]) => this.#api.reconcile(name),
    owner: ([name = "", app = ""]) => void (this.#api.units.get(name)!.app = app),
    on: ([verb = "", name = "", ...words]) => {
      const states = words.join("\0").split(/\0?,\0/).map((state) => state.split("\0"));
      this.#rules.push({ verb, name: name.replace(/:$/, ""), states });
    },
    refuse: ([methods = "", path = "", code = "", message = "", times]) =>
      this.#respond(methods, path, times, () => refusal(Number(code), message)),
    respond: ([methods = "", path = "", code = "", ...headers], body) => {
      const fields = headers.map((header) => header.replace("VERSION", version).split("=", 2) as [string, string]);
      // A line with a period alone is an empty line.
      const text = body.map((line) => (line === "." ? "" : line) + "\n").join("");
      const isEmpty = ["204", "304"].includes(code);
      this.#respond(methods, path, undefined, () => {
        return new Response(isEmpty ? null : text, { status: Number(code), headers: fields });
      });
    },
    health: ([name = "", health = "", ...reason]) =>
      this.#api.reportHealth(name, health, reason.length > 0 ? reason.join(" ") : undefined),
    report: ([name = "", machineID = "", active = "", sub = ""]) => {
      const states = this.#api.states.get(name) ?? new Map();
      const systemd = { systemdLoadState: "loaded", systemdActiveState: active, systemdSubState: sub };
      this.#api.states.set(
        name,
        states.set(machineID.padEnd(32, "0"), {
          state: { name, machineID: machineID.padEnd(32, "0"), ...systemd },
        }),
      );
    },
    rollout: ([app = ""], body) => void this.#api.rollouts.set(app, JSON.parse(body.join("\n"))),
    ssh: ([what, ...words]) => {
      if (what === "refuses") this.#hosts.refusal = words.join(" ");
      else if (what === "exits") this.#hosts.statuses = words.map(Number);
      else if (what === "prints") this.#hosts.captured = () => words.join(" ") + "\n";
      else throw new Error("ssh refuses WHY, ssh exits STATUS... or ssh prints TEXT");
    },
    state: ([name = "", ...states]) => void this.#play(name, [states]),
    stdin: (_words, body) => void (this.#io.stdin = body.join("\n") + "\n"),
    "systemd-analyze": (_words, body) => {
      const text = body.map((line) => line + "\n").join("");
      this.#hosts.capturedLocally = () => text;
    },
    terminal: ([colors]) => {
      this.#io.screen = { columns: 80, rows: 24 };
      this.#io.color = colors === "colors";
    },
    unreadable: ([name = "", why = ""]) => void (this.#api.units.get(name)!.unreadable = why),
    unit: ([name = "", state = "", ...options]) => {
      this.#api.add(name, state, ...(options.length > 0 ? options : ["Service.ExecStart=/bin/a"]));
    },
  };
  #hasMachines = false;
  #hangsExplaining = false;

  #respond(methods: string, path: string, times: string | undefined, answer: () => Response): void {
    const pattern = new RegExp(`^${RegExp.escape(path).replaceAll("\\*", ".*")}$`);
    const isMethod = (method: string) =>
      methods === "*" || (methods === "WRITE" ? method !== "GET" : methods.split(",").includes(method));
    this.#responses.push({
      matches: (method, path) => isMethod(method) && pattern.test(decodeURIComponent(path)),
      left: times === undefined ? Infinity : Number(times),
      answer,
    });
  }
}

/** Returns the flags that a client is made with, other than their defaults. */
function clientFlags(flags: Flags): string[] {
  return [...flags.values].filter(([name]) => globalFlags.some((spec) => spec.name === name && name !== "context"))
    .map(([name, value]) => `${name}=${value}`).sort();
}

/** A request that changes the cluster, or the changes of a request for a plan, each in short: `PLAN PUT a.service launched`. */
function describeRequest(request: string): string[] {
  const [, plan] = /^POST \/plan (.*)$/s.exec(request) ?? [];
  const [, app, begun] = /^POST (\/apps\/[^/]+) (.*)$/s.exec(request) ?? [];
  if (app !== undefined && begun !== undefined) return describeRollout(app, JSON.parse(begun));
  const [, controlled, action = "{}"] = /^POST (\/apps\/.*\/rollout) (.*)$/s.exec(request) ?? [];
  if (controlled !== undefined) return [`POST ${controlled} ${JSON.parse(action).action}`];
  if (plan === undefined) return [describeWrite(request)];
  const { units = [], destroy = [], leave = [], drain = [], app: owner, prune } = JSON.parse(plan) as PlanRequest;
  return [
    ...owner === undefined ? [] : [`PLAN FOR ${owner}${prune ? " prune" : ""}`],
    ...units.map((unit) => `PLAN ${describeWrite(`PUT /units/${unit.name} ${JSON.stringify(unit)}`)}`),
    ...destroy.map((name) => `PLAN DELETE ${name}`),
    ...leave.map((machine) => `PLAN LEAVE ${machine}`),
    ...drain.map((machine) => `PLAN DRAIN ${machine}`),
  ];
}

/** The start of a roll-out in short, with the revision of each unit. */
function describeRollout(path: string, { units = [], destroy = [], what, ...options }: AppRequest): string[] {
  return [
    ["POST", path, what, ...Object.entries(options).map(([name, value]) => `${name}=${value}`)].join(" "),
    ...units.map(({ revision, ...unit }) => {
      return `ROLL OUT ${describeWrite(`PUT /units/${unit.name} ${JSON.stringify(unit)}`)} @${revision}`;
    }),
    ...destroy.map(({ name, revision }) => `ROLL OUT DELETE ${name} @${revision}`),
  ];
}

/** A request that changes the cluster, in short: `PUT a.service launched Service.ExecStart=/bin/a`. */
function describeWrite(request: string): string {
  const [, method, path = "", body] = /^(\w+) (\S+)(?: (.*))?$/s.exec(request) ?? [];
  const unit = path.replace(/^\/units\//, "");
  if (method !== "PUT") return `${method} ${unit}`;
  const { desiredState, options = [] } = JSON.parse(body ?? "{}") as {
    readonly desiredState?: string;
    readonly options?: readonly { readonly section: string; readonly name: string; readonly value: string }[];
  };
  return [
    ...["PUT", unit],
    ...(desiredState === undefined ? [] : [desiredState]),
    ...options.map(({ section, name, value }) => quoted(`${section}.${name}=${value}`)),
  ].join(" ");
}

function quoted(word: string): string {
  return /[\s"']/.test(word) ? JSON.stringify(word) : word;
}

function streamLines({ stream, text }: { readonly stream: 1 | 2; readonly text: string }): string[] {
  const lines = text.replaceAll(version, "VERSION").replaceAll("\x1b", "\\e").replace(/\n$/, "").split("\n");
  if (!text.endsWith("\n")) throw new Error(`output that does not end with a line feed: ${JSON.stringify(text)}`);
  return lines.map((line) => `${stream}> ${line}`.replace(/ $/, line === "" ? "" : " "));
}
