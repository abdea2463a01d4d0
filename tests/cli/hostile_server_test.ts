/**
 * Every command of fleetctl on a terminal, against a server that sends control sequences in every text: none reaches the
 * terminal. What machines write (SSH, local programs): tests/e2e/ctl/ssh_test.ts.
 */

import assert from "node:assert/strict";
import { commands } from "../../ctl/commands/index.ts";
import { FakeApi, refusal } from "../../ctl/testing/fake_api.ts";

const main = new URL("../../ctl/main.ts", import.meta.url).pathname;

/** Renames the window, clears the screen, moves the cursor (also by C1), and reverses the direction of writing. */
const hostile = "\x1b]0;owned\x07\x1b[2J\x9b1A\b\x7f\u202e\u2066\u061c\u2028\rX";
/** The beginning of it as a terminal shows it, also in JSON and YAML. */
const shown = /\\(x1b|u001b|e)\]0;owned/;

/** Values by which a command that waits recognizes its unit and the end of its wait. */
const awaited = ["name", "desiredState", "currentState", "systemdActiveState", "hash"];

/** The same of a command that follows a roll-out. */
const followed = ["name", "desiredState", "app", "id", "status", "change", "state"];

/** Appends the hostile text to every string of a JSON value but those of the properties `kept`. */
function poisoned(value: unknown, kept: readonly string[]): unknown {
  if (typeof value === "string") return value + hostile;
  if (Array.isArray(value)) return value.map((each) => poisoned(each, kept));
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, each]) => [key, kept.includes(key) ? each : poisoned(each, kept)]),
  );
}

/** Appends the hostile text to every string of a response, also of events. */
async function poisonedResponse(response: Response, kept: readonly string[]): Promise<Response> {
  const type = response.headers.get("content-type") ?? "";
  const { status } = response;
  if (type === "application/json") {
    const text = await response.text();
    return new Response(text && JSON.stringify(poisoned(JSON.parse(text), kept)), {
      status,
      headers: { "content-type": type },
    });
  }
  if (type !== "text/event-stream" || !response.body) return response;
  const lines = new TransformStream<string, string>({
    transform: (text, controller) =>
      controller.enqueue(
        text.replace(/^data: (.*)$/gm, (_, data) => `data: ${JSON.stringify(poisoned(JSON.parse(data), kept))}`),
      ),
  });
  const body = response.body.pipeThrough(new TextDecoderStream()).pipeThrough(lines).pipeThrough(
    new TextEncoderStream(),
  );
  return new Response(body, { status, headers: { "content-type": type } });
}

/** A cluster with a failed, a loaded and a waiting unit, and a machine. */
function cluster(): FakeApi {
  const api = new FakeApi();
  api.machines = [{ ...api.machines[0]!, metadata: { rack: "a" } }];
  api.add("a.service", "launched", "Service.ExecStart=/bin/true");
  api.add("loaded.service", "loaded", "Service.ExecStart=/bin/true");
  api.add("waits.service", "inactive", "Service.ExecStart=/bin/true");
  api.units.get("waits.service")!.desiredState = "launched";
  api.reportState("a.service", "failed", "failed", "systemd refuses");
  const machines = [{ machineID: "454c34ef", eligibility: "refused", reasons: [{ code: "x", reason: "none" }] }];
  const explanation = {
    name: "a.service",
    summary: "it waits",
    desiredState: "launched",
    hash: "0123456789",
    machines,
  };
  api.explanations.set("a.service", explanation as never);
  api.journals.set("a.service", () => `one line ${hostile}\n`);
  const status = `Description ${hostile}\n   Active: active (running)\n`;
  const changed = { name: "a.service", change: "replace", revision: 1, desiredState: "launched", why: "for a test" };
  const effects = [{ effect: "start", machineID: api.machines[0]!.id }];
  const usage = [{ machineID: "454c34ef", os: "Debian", units: [] }, { machineID: "2b", error: "no route" }];
  api.intercept = (_request, path) => {
    if (path === "/usage") return Response.json({ machines: usage });
    if (path === "/plan") return Response.json({ revision: 1, units: [{ ...changed, effects }], left: ["b.service"] });
    return path.endsWith("/status") ? new Response(status) : undefined;
  };
  const rollout = { app: "shop", id: "r0", what: "apply", status: "failed", reason: "none" };
  const steps = [{ name: "a.service", change: "replace", state: "failed" }];
  api.rollouts.set("shop", { ...rollout, steps });
  const versions = [{ version: 1, what: "apply", changed: { at: 1, by: "ops" }, units: ["a.service"] }];
  api.apps.set("shop", { name: "shop", version: 1, size: 1, rollout, versions });
  return api;
}

/** Runs fleetctl on a terminal of its own. Returns everything that it writes there. */
async function onTerminal(endpoint: string, directory: string, args: readonly string[]): Promise<string> {
  const quoted = [Deno.execPath(), "run", "--quiet", "--allow-all", main, ...args].map((word) => `'${word}'`);
  const { stdout } = await new Deno.Command("script", {
    args: ["--quiet", "--flush", "--return", "--command", quoted.join(" "), "/dev/null"],
    env: { FLEETCTL_ENDPOINT: endpoint, TERM: "xterm" },
    cwd: directory,
    stdin: "null",
  }).output();
  return new TextDecoder().decode(stdout);
}

/** Returns the control characters in a terminal's output other than line ends, tabs, colors and fleetctl's progress line. */
function controlsIn(output: string): string[] {
  // deno-lint-ignore no-control-regex -- control characters are what is looked for
  const rest = output.replace(/\r+\n|\r\x1b\[K|\x1b\[[0-9;]*m|\t/g, "").replace(/\n/g, "");
  // deno-lint-ignore no-control-regex
  return rest.match(/[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069][^\\]{0,20}/g) ?? [];
}

interface Case {
  readonly args: readonly string[];
  /** False if nothing that the server sends is printed. */
  readonly shows?: false;
  /** True if the server's values for which the command waits are the usual ones. */
  readonly waits?: true;
  /** The same for a roll-out. */
  readonly follows?: true;
}

/** The arguments that each command is tried with; those of any other command are `a`. */
const cases: Readonly<Record<string, readonly Case[]>> = {
  apply: [
    { args: ["--app=shop", "--yes", "./a.service"], follows: true },
    { args: ["--app=shop", "--dry-run", "./a.service"] },
  ],
  apps: [{ args: [] }, { args: ["--fields=app,reason"] }],
  cat: [{ args: ["a"] }],
  complete: [{ args: ["--", "status", ""], shows: false }],
  destroy: [{ args: ["a"], shows: false }],
  doctor: [{ args: [] }],
  events: [{ args: ["--present", "--no-follow"] }],
  explain: [{ args: ["a"] }],
  history: [{ args: ["--app=shop"] }],
  journal: [{ args: ["a"] }],
  "list-machines": [{ args: [] }, { args: ["--full"] }],
  "list-unit-files": [{ args: [] }],
  "list-units": [{ args: [] }, { args: ["--output=json"] }, { args: ["--output=yaml"] }],
  load: [{ args: ["--timeout=9", "waits"], waits: true }],
  logs: [{ args: ["a"] }],
  machine: [{ args: ["label", "454c34ef", "a=b"] }],
  restart: [{ args: ["--timeout=9", "a"], waits: true }],
  rollout: [{ args: ["status", "shop"] }, { args: ["pause", "shop"] }],
  start: [{ args: ["--timeout=9", "loaded"], waits: true }],
  status: [{ args: [] }, { args: ["a"] }],
  stop: [{ args: ["--timeout=9", "a"], waits: true }],
  submit: [{ args: ["./a.service"], shows: false }],
  top: [{ args: ["--interval=1", "--output=custom-columns=OS:os", "machines"] }],
  unload: [{ args: ["--timeout=9", "a"], waits: true, shows: false }],
  wait: [{ args: ["--for=failed", "--timeout=9", "a"], waits: true }],
};

/** Commands that ask no server, ask the user, or pass bytes on unchanged by design. */
const others = ["accept-store", "completion", "fd-forward", "help", "options", "ssh", "ui", "verify", "version"];

/** Serves `answer` while `work` runs. */
async function serving(
  answer: (api: FakeApi, request: Request) => Promise<Response>,
  work: (run: (args: readonly string[]) => Promise<string>) => Promise<void>,
): Promise<void> {
  const directory = await Deno.makeTempDir();
  await Deno.writeTextFile(`${directory}/a.service`, "[Service]\nExecStart=/bin/true\n");
  let api = cluster();
  const server = Deno.serve({ path: `${directory}/s`, onListen: () => {} }, (request) => answer(api, request));
  try {
    await work((args) => {
      api = cluster();
      return onTerminal(`unix://${directory}/s`, directory, args);
    });
  } finally {
    await server.shutdown();
    await Deno.remove(directory, { recursive: true });
  }
}

Deno.test("no control character in a server's response reaches a terminal", async (t) => {
  const names = commands.map(({ name }) => name).filter((name) => !others.includes(name));
  let kept: readonly string[] = [];
  await serving(async (api, request) => await poisonedResponse(await api.handle(request), kept), async (run) => {
    for (const name of names) {
      for (const { args, shows, waits, follows } of cases[name] ?? [{ args: ["a"] }]) {
        await t.step([name, ...args].join(" "), async () => {
          kept = ["nextPageToken", ...waits ? awaited : [], ...follows ? followed : []];
          const output = await run([name, ...args]);
          assert.deepEqual(controlsIn(output), [], output);
          if (cases[name] && shows !== false) assert.ok(shown.test(output), output);
        });
      }
    }
  });
});

Deno.test("no control character in a server's refusal reaches a terminal", async (t) => {
  const refused = {
    entity: () => refusal(500, `no ${hostile}`),
    text: () => new Response(`no ${hostile}`, { status: 502 }),
  };
  for (const [kind, response] of Object.entries(refused)) {
    await serving(() => Promise.resolve(response()), async (run) => {
      for (const args of [["list-units"], ["start", "--no-block", "./a.service"]]) {
        await t.step(`${kind}: ${args.join(" ")}`, async () => {
          const output = await run(args);
          assert.deepEqual(controlsIn(output), [], output);
          assert.ok(shown.test(output), output);
        });
      }
    });
  }
});
