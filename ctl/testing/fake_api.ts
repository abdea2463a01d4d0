/**
 * An in-memory API v1 for tests: a `Request → Response` handler over a cluster that carries out each request at once, or
 * reacts as a test says.
 *
 * @module
 */

import { serializeUnitFile } from "../../systemd/unit_file.ts";
import { hashUnitFile } from "../../systemd/unit_hash.ts";
import type {
  AppEntity,
  AppRequest,
  DecisionEvent,
  ExplanationEntity,
  MachineEntity,
  RolloutEntity,
  RolloutStepEntity,
  UnitEntity,
  UnitStateEntity,
} from "../../daemon/api/v1/types.ts";
import { ApiClient } from "../api/client.ts";

/** A unit of the fake cluster. */
export interface FakeUnit {
  readonly name: string;
  options: { section: string; name: string; value: string }[];
  desiredState: string;
  currentState: string;
  machineID?: string;
  unreadable?: string;
  app?: string;
}

/** The reaction of the cluster to a request for a unit. */
export type Reaction = (name: string, fake: FakeApi) => void;

/** The fake. A test may set every public field. */
export class FakeApi {
  readonly units = new Map<string, FakeUnit>();
  /** Reported states by unit name and machine ID. */
  readonly states = new Map<string, Map<string, { state: UnitStateEntity; error?: string; permanent?: true }>>();
  machines: MachineEntity[] = [{ id: "454c34ef00000000000000000000cafe", primaryIP: "10.77.0.11" }];
  /** The ID of the machine whose engine leads. */
  leader: string | undefined;
  /** The reasons why units have no machine, by name, as events say them. */
  readonly waiting = new Map<string, Pick<DecisionEvent, "why" | "reasons">>();
  /** Contents of attached files by hash, in base64. */
  readonly contents = new Map<string, string>();
  /** Dynamic metadata by machine ID, as backups have it. */
  metadata: Record<string, Record<string, string>> = {};
  /** Explanations by unit name; without any, the server does not support explain. */
  readonly explanations = new Map<string, ExplanationEntity>();
  /** Hashes of the files that machines have, by unit name; the default is the hash of the newest file. */
  readonly hashes = new Map<string, string>();
  /** Journals by unit name; the server cannot provide the journal of any other unit. */
  readonly journals = new Map<string, () => BodyInit>();
  /** False for a server that cannot select entries of a journal. */
  selectsJournals = true;
  /** The query of each journal request that was answered. */
  readonly journalQueries: string[] = [];
  /** Each request as `PUT /units/a.service {body}`, without prefix and query. */
  readonly requests: string[] = [];
  /** Reaction to a changed desired state; the default reconciles the unit at once. */
  onDesiredState: Reaction = (name) => this.reconcile(name);
  /** Reaction to a restart request. */
  onRestart: Reaction = (name) => this.reportState(name, "active", "running");
  /** Reaction to a start request for a launched unit that does not run. */
  onStart: Reaction = (name) => this.reportState(name, "active", "running");
  /** Reaction to a stop request. */
  onStop: Reaction = (name) => this.reportState(name, "inactive", "dead");
  /** Applications by name, and what a version left by `NAME@VERSION`. */
  readonly apps = new Map<string, AppEntity>();
  /** The latest roll-out of each application. */
  readonly rollouts = new Map<string, RolloutEntity>();
  /** Reaction to a roll-out that begins or goes on; the default carries it out at once. */
  onRollout: Reaction = (app) => this.progress(app, { status: "done" }, "healthy");
  /** Reaction to the removal of a unit. */
  onDelete: Reaction = (name) => this.removeStates(name);
  /** Intercepts requests: a response that it returns is sent. */
  intercept: (request: Request, path: string) => Response | undefined = () => undefined;
  pageSize = 100;
  #watchers = new Set<(event: string, data: unknown) => void>();
  #revision = 1;

  /** Returns an {@link ApiClient} of this fake, without a network. */
  client(): ApiClient {
    return new ApiClient("unix:///fake.sock", async (path, { method, body, signal }) => {
      const init = body === undefined ? {} : { body, headers: { "content-type": "application/json" } };
      const answer = await this.handle(new Request("http://localhost" + path, { method, ...init }));
      if (!signal || !answer.body) return answer;
      return new Response(answer.body.pipeThrough(new TransformStream(), { signal }), answer);
    }, () => {});
  }

  /** Answers a request. */
  async handle(request: Request): Promise<Response> {
    const url = new URL(request.url);
    const path = url.pathname.replace(/^\/fleet\/v1/, "");
    const hasBody = request.method === "PUT" || path === "/plan" ||
      request.method === "POST" && path.startsWith("/apps");
    const body = hasBody ? await request.text() : "";
    this.requests.push(`${request.method} ${decodeURIComponent(path)}${body ? " " + body : ""}`);
    const instead = this.intercept(request, path);
    if (instead) return instead;
    if (path === "/events") return this.#follow(url.searchParams.getAll("unit"));
    if (path === "/backup") {
      const units = [...this.units.values()].map(({ name, options, desiredState, unreadable }) => ({
        ...{ name, options, desiredState },
        ...(unreadable === undefined ? {} : { unreadable }),
      }));
      return json({ revision: this.#revision, units, metadata: this.metadata });
    }
    const [, hash] = /^\/contents\/(\w+)$/.exec(path) ?? [];
    if (hash !== undefined) {
      if (request.method === "PUT") this.contents.set(hash, JSON.parse(body).content);
      const content = this.contents.get(hash);
      return content === undefined ? refusal(404, "content does not exist") : json({ hash, size: 0, content });
    }
    if (path === "/machines" && request.method === "PATCH") return this.#label(await request.json());
    if (path === "/units") return this.#page("units", [...this.units.values()].map((unit) => entity(unit)), url);
    if (path === "/machines") return this.#page("machines", this.machines, url);
    if (path === "/apps") {
      return this.#page(
        "apps",
        [...this.apps].filter(([key, app]) => key === app.name).map(([, app]) => app),
        url,
      );
    }
    const [, app, below] = /^\/apps\/([^/]+)(\/rollout)?$/.exec(path) ?? [];
    if (app !== undefined) return this.#app(request.method, decodeURIComponent(app), below, url, body);
    if (path === "/state") return this.#page("states", this.#listStates(url.searchParams.get("unitName")), url);
    const [, logged = ""] = /^\/units\/([^/]+)\/journal$/.exec(path) ?? [];
    const journal = this.journals.get(decodeURIComponent(logged));
    if (journal) {
      this.journalQueries.push(url.search);
      const selected = this.selectsJournals ? { "fleet-selected": "true" } : undefined;
      return new Response(journal(), { headers: { "content-type": "text/plain", ...selected } });
    }
    const [, explained] = /^\/units\/([^/]+)\/explain$/.exec(path) ?? [];
    if (explained !== undefined && this.explanations.size > 0) {
      const explanation = this.explanations.get(decodeURIComponent(explained));
      return explanation ? json(explanation) : refusal(404, "unit does not exist");
    }
    const [, name, , verb] = /^\/units\/([^/]+?)(\/(restart|start|stop))?$/.exec(path) ?? [];
    if (name === undefined) return refusal(404, "");
    return this.#unit(request.method, decodeURIComponent(name), verb, body);
  }

  /** Brings a unit into its desired state: places, starts, stops or removes it. */
  reconcile(name: string): void {
    const unit = this.units.get(name);
    if (!unit) return;
    unit.currentState = unit.desiredState;
    if (unit.desiredState === "inactive") {
      delete unit.machineID;
      this.removeStates(name);
    } else {
      unit.machineID = this.machines[0]?.id ?? "";
      if (unit.desiredState === "launched") this.reportState(name, "active", "running");
      else this.reportState(name, "inactive", "dead");
    }
    this.publishUnit(name);
  }

  /** Reports systemd's state of a unit on its machine. */
  reportState(name: string, active: string, sub: string, error?: string, load = "loaded"): void {
    this.#report(name, { active, sub, load }, error === undefined ? {} : { error });
  }

  /** Reports that systemd permanently refuses the latest command. */
  reportRefusal(name: string, error: string, load = "loaded", active = "inactive"): void {
    this.#report(name, { active, sub: active === "active" ? "running" : "dead", load }, { error, permanent: true });
  }

  #report(
    name: string,
    { active, sub, load }: { readonly active: string; readonly sub: string; readonly load: string },
    failure: { error?: string; permanent?: true },
  ): void {
    const machineID = this.units.get(name)?.machineID ?? this.machines[0]?.id ?? "";
    const options = this.units.get(name)?.options ?? [];
    const state: UnitStateEntity = {
      name,
      hash: this.hashes.get(name) ?? hashUnitFile(serializeUnitFile(options)),
      machineID,
      systemdLoadState: load,
      systemdActiveState: active,
      systemdSubState: sub,
    };
    const states = this.states.get(name) ?? new Map();
    states.set(machineID, { state, ...failure });
    this.states.set(name, states);
    this.#publish("state", { name, machineID, state, ...failure });
  }

  /** Every machine that has the unit reports the result of its health check. */
  reportHealth(name: string, health: string, healthReason?: string): void {
    for (const [machineID, reported] of this.states.get(name) ?? []) {
      const { healthReason: _before, ...rest } = reported.state;
      const state = { ...rest, health, ...healthReason !== undefined && { healthReason }, healthSince: 1767225600000 };
      this.states.get(name)!.set(machineID, { ...reported, state });
      this.#publish("state", { name, machineID, state });
    }
  }

  /** Removes the states of a unit from every machine. */
  removeStates(name: string): void {
    for (const machineID of this.states.get(name)?.keys() ?? []) this.#publish("state", { name, machineID });
    this.states.delete(name);
  }

  /** Publishes a unit to the event streams. */
  publishUnit(name: string): void {
    const unit = this.units.get(name);
    this.#publish("unit", unit ? { name, unit: entity(unit) } : { name });
  }

  /** Adds a reconciled unit with options such as `Service.ExecStart=/bin/true`. */
  add(name: string, desiredState: string, ...lines: string[]): FakeUnit {
    const options = lines.map((line) => {
      const [, section = "", key = "", value = ""] = /^([^.]+)\.([^=]+)=(.*)$/.exec(line) ?? [];
      return { section, name: key, value };
    });
    const unit: FakeUnit = { name, options, desiredState, currentState: "inactive" };
    this.units.set(name, unit);
    this.reconcile(name);
    return unit;
  }

  /** The requests that change something. */
  get writes(): string[] {
    return this.requests.filter((request) => !request.startsWith("GET"));
  }

  #unit(method: string, name: string, verb: string | undefined, body: string): Response {
    const unit = this.units.get(name);
    if (method === "PUT") return this.#put(name, JSON.parse(body), unit);
    if (!unit) return refusal(404, "unit does not exist");
    if (verb === "restart") this.onRestart(name, this);
    else if (verb === "start") this.onStart(name, this);
    else if (verb === "stop") this.onStop(name, this);
    else if (method === "GET") return json(entity(unit));
    else {
      this.units.delete(name);
      this.publishUnit(name);
      this.onDelete(name, this);
    }
    return new Response(null, { status: 204 });
  }

  #put(name: string, asked: UnitEntity, unit: FakeUnit | undefined): Response {
    const options = (asked.options ?? []).map(({ section = "", name = "", value = "" }) => ({ section, name, value }));
    if (!unit && options.length === 0) return refusal(409, "unit does not exist and options field empty");
    if (/@\.\w+$/.test(name) && (asked.desiredState ?? "inactive") !== "inactive") {
      return refusal(400, `cannot activate template ${JSON.stringify(name)}`);
    }
    const stored = unit ?? { name, options, desiredState: "inactive", currentState: "inactive" };
    if (options.length > 0) stored.options = options;
    stored.desiredState = asked.desiredState ?? "inactive";
    this.units.set(name, stored);
    this.publishUnit(name);
    this.onDesiredState(name, this);
    return new Response(null, { status: unit ? 204 : 201 });
  }

  #app(method: string, app: string, below: string | undefined, url: URL, body: string): Response {
    if (method === "POST" && below === undefined) return this.#startRollout(app, JSON.parse(body));
    if (below !== undefined) {
      const rollout = this.rollouts.get(app);
      if (!rollout) return refusal(404, "application has no roll-out");
      return method === "POST" ? this.#control(app, JSON.parse(body).action) : json(rollout);
    }
    const version = url.searchParams.get("version");
    const found = this.apps.get(version === null ? app : `${app}@${version}`);
    if (found) return json(found);
    return refusal(
      404,
      this.apps.has(app) ? `application has no version ${version}: it has 1 to 2` : "application does not exist",
    );
  }

  #startRollout(app: string, { units = [], destroy = [], what = "apply", ...options }: AppRequest): Response {
    const spec = (desiredState: string) => ({ hash: "0".repeat(40), desiredState });
    const steps = [
      ...units.map(({ name, desiredState = "inactive", revision = 0 }): RolloutStepEntity => {
        const change = revision === 0 ? "create" : "replace";
        return { name, change, state: "pending", to: spec(desiredState), machineID: this.machines[0]?.id ?? "" };
      }),
      ...destroy.map(({ name }): RolloutStepEntity => ({ name, change: "destroy", state: "pending" })),
    ];
    const { maxParallel, rollback } = options;
    const limit = maxParallel === undefined ? {} : { maxParallel };
    const rollout = {
      app,
      id: `r${this.#revision++}`,
      what,
      status: "running",
      ...limit,
      ...rollback && { rollback },
      steps,
    };
    this.rollouts.set(app, rollout);
    this.#publish("rollout", { app, rollout });
    this.onRollout(app, this);
    return json(rollout);
  }

  #control(app: string, action: string): Response {
    const statuses: Readonly<Record<string, string>> = { pause: "paused", resume: "running", abort: "aborted" };
    const { reason: _reason, ...rollout } = this.rollouts.get(app)!;
    const changed = { ...rollout, status: statuses[action] ?? "rolling-back" };
    this.rollouts.set(app, changed);
    this.#publish("rollout", { app, rollout: { ...changed, steps: [] } });
    if (action === "resume" || action === "undo") this.onRollout(app, this);
    return json(changed);
  }

  /**
   * Changes a roll-out, and the state of one of its units, or of all. `machines`: how far a global unit is, which waits for
   * the first machine.
   */
  progress(
    app: string,
    change: Partial<RolloutEntity>,
    state?: string,
    unit?: string,
    machines?: NonNullable<RolloutEntity["steps"]>[number]["machines"],
  ): void {
    const { steps = [], ...rollout } = this.rollouts.get(app)!;
    const next = steps.map((step) => {
      if (state === undefined || unit !== undefined && step.name !== unit) return step;
      const { machines: _machines, ...rest } = step;
      return { ...rest, state, ...machines && { machines, machineID: this.machines[0]!.id } };
    });
    const changed = next.filter((step, index) => step !== steps[index]);
    this.rollouts.set(app, { ...rollout, ...change, steps: next });
    this.#publish("rollout", { app, rollout: { ...rollout, ...change, steps: changed } });
  }

  #label(operations: readonly { op: string; path: string; value?: { value: string } }[]): Response {
    for (const { op, path, value } of operations) {
      const [, machine = "", , key = ""] = path.split("/");
      this.metadata[machine] = { ...this.metadata[machine], [key]: op === "remove" ? "" : value?.value ?? "" };
    }
    return new Response(null, { status: 204 });
  }

  #listStates(name: string | null): UnitStateEntity[] {
    return [...this.states].filter(([unit]) => name === null || unit === name)
      .flatMap(([, states]) => [...states.values()].map(({ state }) => state));
  }

  #page(key: string, items: readonly unknown[], url: URL): Response {
    const start = Number(url.searchParams.get("nextPageToken") ?? "0");
    const end = start + this.pageSize;
    return json({ [key]: items.slice(start, end), ...(end < items.length ? { nextPageToken: String(end) } : {}) });
  }

  #follow(names: readonly string[]): Response {
    const wants = (name: string) => names.length === 0 || names.includes(name);
    const encoder = new TextEncoder();
    let leave = () => false;
    const body = new ReadableStream<Uint8Array<ArrayBuffer>>({
      start: (controller) => {
        const send = (event: string, data: unknown) => {
          if (!["machine", "synced", "rollout", "loss"].includes(event) && !wants((data as { name: string }).name)) {
            return;
          }
          const text = `id: ${this.#revision++}\nevent: ${event}\ndata: ${JSON.stringify(data)}\n\n`;
          controller.enqueue(encoder.encode(text));
        };
        for (const machine of this.machines) send("machine", { id: machine.id, machine });
        for (const [name, unit] of this.units) send("unit", { name, unit: entity(unit) });
        for (const [name, states] of this.states) {
          for (const [machineID, reported] of states) send("state", { name, machineID, ...reported });
        }
        for (const [app, rollout] of this.rollouts) send("rollout", { app, rollout });
        for (const [name, why] of this.waiting) send("decision", { name, waiting: true, ...why });
        send("synced", { revision: this.#revision, ...(this.leader ? { leader: this.leader } : {}) });
        this.#watchers.add(send);
        leave = () => this.#watchers.delete(send);
        this.#cut.push(() => leave() && controller.close());
      },
      cancel: () => void leave(),
    });
    return new Response(body, { headers: { "content-type": "text/event-stream" } });
  }

  readonly #cut: (() => void)[] = [];

  /** Ends every open event stream, like a daemon that restarts. */
  cutStreams(): void {
    for (const cut of this.#cut.splice(0)) cut();
  }

  #publish(event: string, data: unknown): void {
    for (const send of this.#watchers) send(event, data);
  }
}

function entity(unit: FakeUnit): UnitEntity {
  const { name, options, desiredState, currentState, machineID, unreadable, app } = unit;
  const isGlobal = options.some((option) => option.section === "X-Fleet" && option.name === "Global");
  if (isGlobal) return { name, options, desiredState };
  const known = {
    name,
    options,
    desiredState,
    currentState,
    ...(machineID ? { machineID } : {}),
    ...(app ? { app } : {}),
  };
  return unreadable === undefined ? known : { ...known, unreadable };
}

function json(value: unknown): Response {
  return new Response(JSON.stringify(value), { headers: { "content-type": "application/json" } });
}

/** Returns a response with the API's error entity. */
export function refusal(code: number, message: string): Response {
  return new Response(JSON.stringify({ error: { code, message } }), {
    status: code,
    headers: { "content-type": "application/json" },
  });
}
