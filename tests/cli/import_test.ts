/** `fleetctl import` against recorded answers of fleet 1.0's own daemon, and against this fleet's own API. */

import assert from "node:assert/strict";
import { ApiClient } from "../../ctl/api/client.ts";
import { connect } from "../../ctl/api/http.ts";
import type { Flags } from "../../ctl/cli/argv.ts";
import { runFleetctl } from "../../ctl/cli/run.ts";
import { FakeContextFile } from "../../ctl/testing/fake_contexts.ts";
import { FakeHosts } from "../../ctl/testing/fake_remote.ts";
import { FakeIo } from "../../ctl/testing/fake_terminal.ts";
import { ReaderGoneError } from "../../ctl/terminal/port.ts";
import { sleep } from "../../runtime/sleep.ts";
import type { UnitEntity } from "../../daemon/api/v1/types.ts";
import { ApiFixture } from "../support/api_fixture.ts";
import { OldFleet, recorded } from "../support/fleet1/old_fleet.ts";

const web = "0a".repeat(16);
const db = "0b".repeat(16);

/** A terminal on the real clock, which also the API runs on. */
class RealTimeIo extends FakeIo {
  /** Longest time of one sleep. */
  longest_ms = 50;
  /** The number of seconds that pass in one second. */
  speed = 1;

  override now_ms(): number {
    return performance.now() * this.speed;
  }

  override sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return sleep(Math.min(ms, this.longest_ms), signal);
  }
}

/** An old cluster behind a real socket, and a new cluster of two machines, which start at once what they are to run. */
class Clusters implements AsyncDisposable {
  readonly io = new RealTimeIo();
  /** Each change of the new cluster as `PUT a.service launched`, after those of the old cluster at that time. */
  readonly changes: string[] = [];
  /** The authorization header of each request to the old cluster. */
  readonly authorizations: (string | null)[] = [];
  /** The `--tunnel` behind which the old cluster is, too, and the flags of each connection through it. */
  ssh = "";
  readonly sshFlags: Flags[] = [];

  private constructor(
    readonly old: OldFleet,
    readonly api: ApiFixture,
    private readonly server: Deno.HttpServer<Deno.NetAddr>,
    authorizations: (string | null)[],
  ) {
    this.authorizations = authorizations;
  }

  static async open(): Promise<Clusters> {
    const old = new OldFleet();
    const authorizations: (string | null)[] = [];
    const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: () => {} }, (request) => {
      authorizations.push(request.headers.get("authorization"));
      return old.handle(request);
    });
    const api = await ApiFixture.open();
    await api.join(web, "10.0.0.1", { role: "web", region: "eu" });
    await api.join(db, "10.0.0.2", { role: "db", region: "eu" });
    return new Clusters(old, api, server, authorizations);
  }

  get from(): string {
    return `http://127.0.0.1:${this.server.addr.port}`;
  }

  /** A client of the new cluster. */
  client(): ApiClient {
    return new ApiClient("unix:///new.sock", async (path, { method, body, signal }) => {
      const content = body === undefined ? {} : { body, headers: { "content-type": "application/json" } };
      const answer = await this.api.handler(new Request("http://localhost/", { method, ...content }), { target: path });
      if (method === "PUT" && answer.ok) {
        const { name, desiredState } = JSON.parse(body!) as UnitEntity;
        this.changes.push(...this.old.changes.splice(0).map((change) => `OLD ${change}`), `${name} ${desiredState}`);
        await this.#carryOut();
      }
      if (!signal || !answer.body) return answer;
      return new Response(answer.body.pipeThrough(new TransformStream(), { signal }), answer);
    }, () => {});
  }

  /** Places units, and reports them as their machines would. */
  async #carryOut(): Promise<void> {
    await this.api.schedule();
    const { units, targets, states } = await this.api.registry.read();
    for (const [name, { hash, desiredState }] of units) {
      const machine = targets.get(name)?.machine;
      for (const id of states.get(name)?.keys() ?? []) if (id !== machine) await this.api.report(id, name, undefined);
      if (machine === undefined) continue;
      const [active, sub] = desiredState === "launched" ? ["active", "running"] : ["inactive", "dead"];
      await this.api.report(machine, name, { hash, commanded: desiredState, active, sub });
    }
  }

  /** Runs `fleetctl import --from=OLD` with further words. */
  run(...words: string[]): Promise<{ status: number; out: string; err: string }> {
    return this.fleetctl("import", `--from=${this.from}`, ...words);
  }

  /** Runs `fleetctl` with a token in its environment. */
  async fleetctl(...words: string[]): Promise<{ status: number; out: string; err: string }> {
    this.io.stdout = this.io.stderr = "";
    const status = await runFleetctl(words, { FLEETCTL_TOKEN: "secret" }, {
      io: () => this.io,
      hosts: () => new FakeHosts(),
      contexts: new FakeContextFile(),
      client: async (flags, io) => {
        const isSsh = this.ssh !== "" && flags.text("tunnel") === this.ssh;
        if (isSsh) this.sshFlags.push(flags);
        if (flags.text("endpoint") !== this.from && !isSsh) return this.client();
        const files = { caFile: "", certFile: "", keyFile: "" };
        return await connect({ endpoint: this.from, timeout_ms: 10_000, token: flags.text("token"), ...files }, io);
      },
    });
    return {
      status,
      out: this.io.stdout.replaceAll(this.from, "OLD"),
      err: this.io.stderr.replaceAll(this.from, "OLD"),
    };
  }

  /** Waits until fleetctl has asked the old cluster for its states so many times more. */
  async oldLooks(count: number): Promise<void> {
    let looks = 0;
    this.old.intercept = (_method, path) => {
      if (path === "/fleet/v1/state") looks++;
      return undefined;
    };
    await until(() => looks >= count);
  }

  async units(): Promise<Map<string, UnitEntity>> {
    return new Map((await this.client().units()).map((unit) => [unit.name, unit]));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.server.shutdown();
    await this.api[Symbol.asyncDispose]();
  }
}

/** Waits until a test is true. */
async function until(test: () => boolean | Promise<boolean>): Promise<void> {
  for (const limit_ms = performance.now() + 20_000; !await test(); await sleep(10)) {
    assert.ok(performance.now() < limit_ms, `not in time: ${test}`);
  }
}

Deno.test("the imitation of fleet 1.0 answers as the original was recorded", async () => {
  const old = new OldFleet();
  for (const [path, page] of Object.entries(recorded)) {
    const answer = await old.handle(new Request(`http://old${path}`));
    assert.deepEqual(await answer.json(), page, path);
  }
});

/** The plan for the recorded cluster. */
const planned = `\
+ create db.service, inactive (launched on 02020202... in the old cluster)
+ create logger.service, inactive (launched, global in the old cluster)
+ create long.service, inactive (inactive in the old cluster)
! refused lost.service: malformed MachineMetadata "a=b c=d": expect key=value, or several as "key1=value1" "key2=value2"
+ create nowhere.service, inactive (launched in the old cluster)
    cannot be launched here: none of 2 machines will take it
      0a0a0a0a.../10.0.0.1: local Machine metadata insufficient: needs role=gpu, has role=web
      0b0b0b0b.../10.0.0.2: local Machine metadata insufficient: needs role=gpu, has role=db
+ create odd.service, inactive (launched in the old cluster)
    warning: unrecognized requirement in [X-Fleet] section: "Color"
! refused old.scope: a unit of type "scope" cannot be run: systemd creates scopes for running processes, not from files
+ create proxy.service, inactive (launched on 02020202... in the old cluster)
+ create proxy.socket, inactive (launched on 02020202... in the old cluster)
  keep slow.service: its file differs here, and --replace would replace it
    @@ -1,2 +1,6 @@
     [Service]
    -ExecStart=/bin/true
    +ExecStart=/bin/sh -c 'trap "sleep 6; exit 0" TERM; while :; do sleep 0.2; done'
    +KillMode=mixed
    +
    +[X-Fleet]
    +MachineMetadata=role=web
+ create systemd-extra.service, inactive (loaded on 01010101... in the old cluster)
    cannot be loaded here: a unit of the name "systemd-extra.service" cannot be run: fleet depends on the machine's unit of that name
+ create web@.service, inactive (inactive in the old cluster)
+ create web@1.service, inactive (launched on 02020202... in the old cluster)
+ create web@2.service, inactive (launched in the old cluster)
    cannot be launched here: none of 2 machines will take it
      0a0a0a0a.../10.0.0.1: found conflict with locally-scheduled Unit(web@3.service)
      0b0b0b0b.../10.0.0.2: found conflict with locally-scheduled Unit(web@1.service)
+ create web@3.service, inactive (launched on 01010101... in the old cluster)
No machine here has role=gpu, which nowhere.service requires; no machine of the old cluster has it either. See fleetctl machine label.
OLD has units: 12 to create, 1 different and kept, 1 already the same, 2 refused; 3 of them cannot run on any machine here. Nothing was changed.
`;

Deno.test("import --plan names what this fleet refuses, what cannot run here, and the missing metadata", async () => {
  await using clusters = await Clusters.open();
  await clusters.api.put("once.service", "inactive", "[Service]\nType=oneshot\nExecStart=/bin/true");
  await clusters.api.put("slow.service", "loaded");
  const { status, out, err } = await clusters.run("--plan");
  assert.equal(err, "");
  assert.equal(out, planned);
  assert.equal(status, 1, "a unit is refused");
  assert.deepEqual([...(await clusters.units()).keys()], ["once.service", "slow.service"], "nothing was changed");
  assert.deepEqual(clusters.old.changes, []);
});

Deno.test("import stores units as inactive, keeps those that differ, and can be repeated", async () => {
  await using clusters = await Clusters.open();
  await clusters.api.put("slow.service", "loaded");
  const without = await clusters.run();
  assert.equal(without.status, 1);
  assert.match(without.err, /--yes is required. Nothing was changed/);
  const first = await clusters.run("--yes");
  assert.equal(first.status, 1, "units are refused, and one is kept");
  assert.match(first.out, /\nUnit db\.service inactive\n/);
  assert.match(first.out, /\nImported 13 units from OLD\n$/);
  const units = await clusters.units();
  assert.deepEqual(
    [...units.values()].filter(({ desiredState }) => desiredState !== "inactive").map(({ name }) => name),
    ["slow.service"],
  );
  const again = await clusters.run("--yes");
  assert.match(
    again.out,
    /\nOLD has units: 1 different and kept, 13 already the same, 2 refused; .*\nImported 0 units from OLD\n$/,
  );
  assert.deepEqual(await clusters.units(), units);
  assert.deepEqual(clusters.old.changes, []);
  assert.deepEqual([...new Set(clusters.authorizations)], [null], "the old cluster gets no token");
});

Deno.test("import with patterns takes only the units that match, and refuses a pattern without a match", async () => {
  await using clusters = await Clusters.open();
  const { status, out } = await clusters.run("--yes", "web@*", "db");
  assert.equal(status, 0);
  assert.match(out, /\nImported 5 units from OLD\n$/);
  assert.deepEqual([...(await clusters.units()).keys()], [
    ...["db.service", "web@.service", "web@1.service", "web@2.service", "web@3.service"],
  ]);
  const unmatched = await clusters.run("--yes", "nothing*");
  assert.deepEqual([unmatched.status, unmatched.err], [1, 'No unit in the old cluster matches "nothing*"\n']);
});

Deno.test("import --replace replaces the file of a unit and keeps its desired state", async () => {
  await using clusters = await Clusters.open();
  await clusters.api.put("db.service", "launched");
  const plan = await clusters.run("--plan", "--replace", "db.service");
  assert.equal(plan.status, 2);
  assert.match(plan.out, /^~ replace db\.service\n/);
  const { status, out } = await clusters.run("--yes", "--replace", "db.service");
  assert.equal(status, 0);
  assert.match(out, /\nUnit db\.service replaced\n/);
  const unit = (await clusters.units()).get("db.service")!;
  assert.equal(unit.desiredState, "launched");
  assert.deepEqual(unit.options, clusters.old.units.get("db.service")!.options);
});

Deno.test("import --output=json is one document with both clusters", async () => {
  await using clusters = await Clusters.open();
  const { status, out } = await clusters.run("--plan", "--output=json", "nowhere.service");
  assert.equal(status, 2);
  assert.deepEqual(JSON.parse(out), {
    from: "OLD",
    units: [{
      name: "nowhere.service",
      change: "create",
      old: { desiredState: "launched", currentState: "inactive", machineID: null, global: false },
      here: null,
      warnings: [],
      unplaceable: "none of 2 machines will take it",
    }],
    missingMetadata: [{ key: "role", values: ["gpu"], units: ["nowhere.service"], oldMachines: [] }],
    machineMetadata: [],
  });
});

Deno.test("an error of the old cluster names its endpoint", async () => {
  await using clusters = await Clusters.open();
  clusters.old.intercept = () => Response.json({ error: { code: 500, message: "" } }, { status: 500 });
  const { status, err } = await clusters.run("--plan");
  assert.equal(status, 1);
  assert.match(err, /^Error retrieving the machines of the old cluster at OLD: .*HTTP 500/);
  const missing = await clusters.run("--from=", "--plan");
  assert.equal(missing.status, 1);
  assert.match(missing.err, /name the API of the old cluster by --from/);
});

const onMachine2 = ["db.service", "proxy.socket", "proxy.service", "web@1.service"];

Deno.test("import --start starts a unit here when it and those that it is tied to have stopped there", async () => {
  await using clusters = await Clusters.open();
  await clusters.run("--yes");
  // The socket has no processes in the recorded cluster.
  clusters.old.states.get(`proxy.socket ${"02".repeat(16)}`)!.systemdActiveState = "active";
  const stops = new Map(onMachine2.map((name) => [name, Promise.withResolvers<void>()]));
  const stopping = new Set<string>();
  clusters.old.stop = (name) => {
    stopping.add(name);
    return stops.get(name)!.promise;
  };
  clusters.changes.length = 0;
  const running = clusters.run("--start", "--machine=0202", "--settle=0", "--yes");
  await until(() => stopping.size === onMachine2.length);
  assert.deepEqual([...clusters.io.interruptMessages].map((text) => text.replaceAll(clusters.from, "OLD")), [
    "Interrupted. Units that have stopped in the old cluster may not be started here yet.\n" +
    "To go on: fleetctl import --from=OLD --start --machine=0202\n" +
    "To start them in the old cluster again: fleetctl import --from=OLD --back --machine=0202",
  ]);
  stops.get("db.service")!.resolve();
  stops.get("proxy.socket")!.resolve();
  await until(() => clusters.changes.includes("db.service launched"));
  // A look takes several pages of states.
  await clusters.oldLooks(15);
  assert.deepEqual(clusters.changes.filter((change) => !change.startsWith("OLD")), ["db.service launched"]);
  stops.get("proxy.service")!.resolve();
  stops.get("web@1.service")!.resolve();
  const { status, out, err } = await running;
  assert.equal(err, "");
  assert.equal(status, 1, "a unit stays");
  assert.equal(out, moved);
  for (const name of onMachine2) {
    const [stop, leave, start] = [`OLD PUT ${name} loaded`, `OLD PUT ${name} inactive`, `${name} launched`]
      .map((change) => clusters.changes.indexOf(change));
    assert.ok(0 <= stop! && stop! < leave! && leave! < start!, name);
  }
  const again = await clusters.run("--start", "--machine=0202", "--settle=0", "--yes");
  assert.match(again.out, /\nMoved already: db\.service, proxy\.service, proxy\.socket, web@1\.service\n/);
  assert.match(again.out, /\nNo unit moves\.\n$/);
});

const moved = `\
> db.service stops on 02020202..., and is launched here
> proxy.socket stops on 02020202..., and is launched here
> proxy.service stops on 02020202..., and is launched here
> web@1.service stops on 02020202..., and is launched here
! lost.service stays: malformed MachineMetadata "a=b c=d": expect key=value, or several as "key1=value1" "key2=value2"
Global units run on every machine of both clusters: logger.service. fleetctl start starts them here; each machine of the old cluster stops its copies with its old fleetd.
Stopping db.service on 02020202... in the old cluster
Stopping proxy.socket on 02020202... in the old cluster
Stopping proxy.service on 02020202... in the old cluster
Stopping web@1.service on 02020202... in the old cluster
Unit db.service started on 0b0b0b0b.../10.0.0.2 here
Unit proxy.socket started on 0a0a0a0a.../10.0.0.1 here
Unit proxy.service started on 0a0a0a0a.../10.0.0.1 here
Unit web@1.service started on 0b0b0b0b.../10.0.0.2 here
`;

Deno.test("import --start that was interrupted while units stop goes on from its record", async () => {
  await using clusters = await Clusters.open();
  await clusters.run("--yes");
  // The old cluster fails after it has stopped the unit.
  clusters.old.intercept = (method, path) => {
    if (method !== "GET" || clusters.old.changes.length === 0 || path !== "/fleet/v1/units") return undefined;
    return Response.json({ error: { code: 500, message: "" } }, { status: 500 });
  };
  const broken = await clusters.run("--start", "--timeout=1", "--settle=0", "--yes", "db.service");
  assert.equal(broken.status, 1);
  assert.match(broken.err, /Error retrieving the units of the old cluster at OLD: .*\. Trying again\n/);
  clusters.old.intercept = () => undefined;
  assert.equal(clusters.old.units.get("db.service")!.desiredState, "loaded");
  const plan = await clusters.run("--start", "--plan", "--machine=0202", "db.service");
  assert.equal(plan.status, 2);
  assert.match(plan.out, /^> db\.service does not run on 02020202\.\.\., and is launched here\n/);
  const { status, err } = await clusters.run("--start", "--settle=0", "--yes", "--machine=0202", "db.service");
  assert.deepEqual([status, err], [0, ""]);
  assert.equal((await clusters.units()).get("db.service")!.desiredState, "launched");
  assert.equal(clusters.old.units.get("db.service")!.desiredState, "inactive");
});

Deno.test("import --start goes on after the old cluster has failed to answer for a moment", async () => {
  await using clusters = await Clusters.open();
  await clusters.run("--yes");
  let failures = 0;
  clusters.old.intercept = (method) => {
    if (method !== "GET" || clusters.old.changes.length === 0 || failures === 3) return undefined;
    failures++;
    return Response.json({ error: { code: 503, message: "no etcd" } }, { status: 503 });
  };
  const { status, err } = await clusters.run("--start", "--settle=0", "--yes", "db.service");
  assert.equal(status, 0);
  assert.match(err, /^Error retrieving the units of the old cluster at OLD: no etcd \(HTTP 503\)\. Trying again\n$/);
  assert.equal(failures, 3);
});

/** Returns the text after a label in the output, without the address of the old cluster. */
function after(label: string, text: string): string {
  const line = text.split("\n").find((line) => line.startsWith(label));
  assert.ok(line !== undefined, `${label} in ${text}`);
  return line.slice(label.length);
}

Deno.test("import --start that loses the old cluster says what may run nowhere, and by which commands it starts", async () => {
  await using clusters = await Clusters.open();
  await clusters.run("--yes");
  const never = Promise.withResolvers<void>();
  clusters.old.stop = (name) => name === "slow.service" ? never.promise : Promise.resolve();
  // The old cluster does not answer any more once a unit has moved.
  const lost = () => Response.json({ error: { code: 503, message: "no etcd" } }, { status: 503 });
  clusters.old.intercept = () => clusters.changes.includes("db.service launched") ? lost() : undefined;
  clusters.io.speed = 100;
  const { status, out, err } = await clusters.run("--start", "--settle=0", "--yes", "slow", "db");
  assert.equal(status, 1);
  assert.match(out, /^Unit db\.service started on 0b0b0b0b.* here$/m, "a unit that has moved is waited for");
  // Notices that the unit has not stopped yet may come before.
  assert.match(
    err,
    /^Unit slow\.service may run nowhere: .* and has reported deactivating\/stop-sigterm on 01010101\.\.\. last$/m,
  );
  const goOn = after("To go on when the old cluster answers again: ", err);
  assert.equal(goOn, "fleetctl import --from=OLD --start slow db");
  assert.equal(
    after("To start them in the old cluster again: ", err),
    "fleetctl import --from=OLD --back slow.service",
  );
  assert.match(err, /^If it does not come back, stop them on their machines, and start them here:$/m);
  const [stop, start] = after("  ssh ", err).split(" && ");
  assert.equal(stop, "core@10.77.0.11 sudo systemctl stop slow.service");
  assert.equal(start, "fleetctl start slow.service");
  assert.equal((await clusters.units()).get("slow.service")!.desiredState, "inactive");
  // The old cluster is back: the printed command ends the move.
  never.resolve();
  await clusters.old.idle();
  clusters.old.intercept = () => undefined;
  const again = await clusters.fleetctl(
    ...goOn.replace("OLD", clusters.from).split(" ").slice(1),
    ...["--settle=0", "--yes"],
  );
  assert.deepEqual([again.status, again.err], [0, ""]);
  assert.equal((await clusters.units()).get("slow.service")!.desiredState, "launched");
  assert.equal(clusters.old.units.get("slow.service")!.desiredState, "inactive");
});

Deno.test("import --start that loses the old cluster while it requests stops leaves the other units running", async () => {
  await using clusters = await Clusters.open();
  await clusters.run("--yes");
  const asked = new Set<string>();
  clusters.old.intercept = (method, path) => {
    if (method === "GET") return undefined;
    asked.add(path);
    return Response.json({ error: { code: 503, message: "no etcd" } }, { status: 503 });
  };
  clusters.io.speed = 100;
  const { status, err } = await clusters.run("--start", "--settle=0", "--yes", "db", "slow");
  assert.equal(status, 1);
  assert.deepEqual([...asked], ["/fleet/v1/units/db.service"]);
  assert.match(err, /^Error stopping db\.service in the old cluster at OLD: no etcd \(HTTP 503\)$/m);
  assert.match(err, /^Unit db\.service may run nowhere: .* has reported active\/running on 02020202\.\.\. last$/m);
  assert.match(err, /^Unit slow\.service is as it was in the old cluster: active\/running on 01010101\.\.\.$/m);
  assert.equal(after("To start them in the old cluster again: ", err), "fleetctl import --from=OLD --back db.service");
});

Deno.test("import --start names the units that have stopped before the old cluster refused to stop one with them", async () => {
  await using clusters = await Clusters.open();
  await clusters.run("--yes");
  clusters.old.states.get(`proxy.socket ${"02".repeat(16)}`)!.systemdActiveState = "active";
  clusters.old.intercept = (method, path) => {
    if (method === "GET" || !path.endsWith("/proxy.service")) return undefined;
    return Response.json({ error: { code: 409, message: "no" } }, { status: 409 });
  };
  const { status, err } = await clusters.run("--start", "--settle=0", "--yes", "proxy.*");
  assert.equal(status, 1);
  assert.match(err, /^Unit proxy\.socket runs nowhere: it has stopped in the old cluster, and is not started here$/m);
  assert.match(err, /^Unit proxy\.service is as it was in the old cluster: active\/running on 02020202\.\.\.$/m);
  assert.match(err, /^To start them in the old cluster again: fleetctl import --from=OLD --back proxy\.socket$/m);
  clusters.old.intercept = () => undefined;
  const again = await clusters.run("--start", "--settle=0", "--yes", "proxy.*");
  assert.deepEqual([again.status, again.err], [0, ""]);
});

Deno.test("import --start goes on after a unit was started here by hand without the old cluster", async () => {
  await using clusters = await Clusters.open();
  await clusters.run("--yes");
  const lost = () => Response.json({ error: { code: 503, message: "no etcd" } }, { status: 503 });
  clusters.old.intercept = () => clusters.old.changes.length > 0 ? lost() : undefined;
  const { status, err } = await clusters.fleetctl(
    ...["--endpoint=unix:///new.sock", "--token=secret", "--ssh-username=root", "import", `--from=${clusters.from}`],
    ...["--start", "--timeout=1", "--record=a file", "--yes", "db"],
  );
  assert.equal(status, 1);
  const fleetctl = "fleetctl --endpoint=unix:///new.sock --ssh-username=root";
  const goOn = after("To go on when the old cluster answers again: ", err);
  assert.equal(goOn, `${fleetctl} import --from=OLD --start '--record=a file' db`);
  const [stop, start] = after("  ssh ", err).split(" && ");
  assert.equal(stop, "root@10.77.0.12 sudo systemctl stop db.service");
  assert.equal(start, `${fleetctl} start db.service`);
  const started = await clusters.fleetctl(...start!.split(" ").slice(1));
  assert.equal(started.status, 0, started.err);
  clusters.old.intercept = () => undefined;
  const again = await clusters.run("--start", "--settle=0", "--record=a file", "--yes", "db");
  assert.deepEqual([again.status, again.err], [0, ""]);
  assert.equal(clusters.old.units.get("db.service")!.desiredState, "inactive");
  assert.equal((await clusters.units()).get("db.service")!.desiredState, "launched");
});

Deno.test("import --start repeats a request that the old cluster does not answer, and not one that it refuses", async () => {
  await using clusters = await Clusters.open();
  await clusters.run("--yes");
  let failures = 0;
  clusters.old.intercept = (method, path) => {
    if (method === "GET" || failures === 2) return undefined;
    assert.equal(path, "/fleet/v1/units/db.service");
    failures++;
    return Response.json({ error: { code: 503, message: "no etcd" } }, { status: 503 });
  };
  const { status } = await clusters.run("--start", "--settle=0", "--yes", "db");
  assert.equal(status, 0);
  let refusals = 0;
  clusters.old.intercept = (method) => {
    if (method === "GET") return undefined;
    refusals++;
    return Response.json({ error: { code: 409, message: "no" } }, { status: 409 });
  };
  const refused = await clusters.run("--start", "--settle=0", "--yes", "slow");
  assert.equal(refused.status, 1);
  assert.equal(refusals, 1);
  assert.match(refused.err, /^Error stopping slow\.service in the old cluster at OLD: no \(HTTP 409\)$/m);
  assert.match(refused.err, /^Unit slow\.service is as it was in the old cluster: active\/running on 01010101\.\.\.$/m);
  assert.doesNotMatch(refused.err, /--back/, "nothing is to be taken back");
});

Deno.test("a unit that is bound to its machine moves when the machine has changed sides", async () => {
  await using clusters = await Clusters.open();
  const { old } = clusters;
  const machineID = "01".repeat(16);
  const options = [
    { section: "Service", name: "ExecStart", value: "/bin/sleep infinity" },
    { section: "X-Fleet", name: "MachineID", value: machineID },
  ];
  const unit = { name: "disk.service", desiredState: "launched", currentState: "launched", machineID, options };
  old.units.set(unit.name, { ...unit });
  await clusters.run("--yes", "disk");
  const held = await clusters.run("--start", "--settle=0", "--yes", "--machine=0101", "disk");
  assert.equal(held.status, 1);
  assert.match(held.out, /^! disk\.service stays: none of 2 machines will take it/);
  // The old daemon stops the unit, and its cluster places it nowhere.
  const { machineID: _, ...waiting } = unit;
  old.units.set(unit.name, { ...waiting, currentState: "inactive" });
  old.machines.splice(0, 1);
  await clusters.api.join(machineID, "10.77.0.11", { role: "web" });
  const { status, out, err } = await clusters.run("--start", "--settle=0", "--yes", "disk");
  assert.deepEqual([status, err], [0, ""]);
  assert.match(out, /^> disk\.service has no machine in the old cluster, and is launched here$/m);
  assert.equal((await clusters.units()).get("disk.service")!.machineID, machineID);
});

Deno.test("import --start leaves a unit as it is that was stopped, destroyed or replaced here after its move", async () => {
  await using clusters = await Clusters.open();
  await clusters.run("--yes", "db", "slow", "once");
  await clusters.run("--start", "--settle=0", "--yes", "db", "slow", "once");
  await clusters.client().putUnit({ name: "db.service", desiredState: "loaded" });
  await clusters.client().deleteUnit("slow.service");
  await clusters.api.put("once.service", "launched", "[Service]\nExecStart=/bin/sleep 1");
  clusters.changes.length = 0;
  for (const words of [["--plan"], ["--settle=0", "--yes"]]) {
    const { status, out, err } = await clusters.run("--start", ...words, "db", "slow", "once");
    assert.deepEqual([status, err], [0, ""]);
    assert.match(out, /^Moved already: db\.service, once\.service, slow\.service$/m);
    assert.match(out, /^Stopped or destroyed here since, and left so: db\.service, slow\.service\./m);
  }
  assert.deepEqual(clusters.changes, []);
  assert.equal((await clusters.units()).get("db.service")!.desiredState, "loaded");
  // A unit that the old cluster runs again is a unit to move again.
  await clusters.client().putUnit({ name: "db.service", desiredState: "inactive" });
  await clusters.api.report(db, "db.service", undefined);
  await clusters.old.handle(
    new Request("http://old/fleet/v1/units/db.service", { method: "PUT", body: '{"desiredState":"launched"}' }),
  );
  await clusters.old.idle();
  const { status } = await clusters.run("--start", "--settle=0", "--yes", "db");
  assert.equal(status, 0);
  assert.equal((await clusters.units()).get("db.service")!.desiredState, "launched");
});

Deno.test("import --start notes later that a unit has moved if the record could not be written then", async () => {
  await using clusters = await Clusters.open();
  await clusters.run("--yes", "db");
  const { io } = clusters;
  const write = (path: string, text: string) => FakeIo.prototype.replaceFile.call(io, path, text);
  let writes = 0;
  io.replaceFile = (path, text) => writes++ === 0 ? write(path, text) : Promise.reject(new Error("disk is full"));
  const { status, err } = await clusters.run("--start", "--settle=0", "--yes", "db");
  assert.deepEqual([status, err], [1, "cannot write fleet-import.json: disk is full\n"]);
  assert.equal((await clusters.units()).get("db.service")!.desiredState, "launched");
  io.replaceFile = write;
  assert.equal((await clusters.run("--start", "--settle=0", "--yes", "db")).status, 0);
  await clusters.client().putUnit({ name: "db.service", desiredState: "loaded" });
  assert.equal((await clusters.run("--start", "--settle=0", "--yes", "db")).status, 0);
  assert.equal((await clusters.units()).get("db.service")!.desiredState, "loaded");
});

Deno.test("the exit status of import --plan is that of the import, but 2 if something would change", async () => {
  await using clusters = await Clusters.open();
  await clusters.api.put("slow.service", "loaded");
  const cases: readonly (readonly [readonly string[], number, number])[] = [
    [["lost.service"], 1, 1],
    [["slow"], 1, 1],
    [["slow", "db"], 1, 1],
    [["web@*"], 2, 0],
    [["web@*"], 0, 0],
    [["--start", "slow"], 1, 1],
    [["--replace", "slow"], 2, 0],
    [["--start", "lost.service"], 1, 1],
    [["--start", "db"], 2, 0],
    [["--start", "db"], 0, 0],
    [["--back", "slow"], 0, 0],
    [["--back", "db"], 2, 0],
  ];
  for (const [words, planned, done] of cases) {
    const plan = await clusters.run(...words, "--plan");
    assert.equal(plan.status, planned, `${words.join(" ")} --plan: ${plan.out}`);
    const run = await clusters.run(...words, "--yes", "--settle=0");
    assert.equal(run.status, done, `${words.join(" ")}: ${run.out}${run.err}`);
  }
});

Deno.test("import names the metadata that a machine had in the old cluster and lacks here", async () => {
  await using clusters = await Clusters.open();
  clusters.old.machines.push({ id: "03".repeat(16) });
  await clusters.run("--yes", "db");
  // Machine 02 changes sides; machine 01 does, too, with another ID.
  clusters.old.machines.splice(0, 2);
  const machine = "02".repeat(16);
  await clusters.api.join(machine, "10.77.0.12", { role: "web", region: "eu" });
  await clusters.api.join("0c".repeat(16), "10.77.0.11");
  const label = `fleetctl machine label ${machine} disk=ssd role=db`;
  for (const words of [["--plan"], ["--start", "--plan"], ["--yes"]]) {
    const { out } = await clusters.run(...words, "db");
    assert.equal(after("Machine 02020202.../10.77.0.12 had other metadata in the old cluster: ", out), label);
    assert.match(out, /^Machine 0c0c0c0c\.\.\.\/10\.77\.0\.11 had .*: fleetctl machine label (0c){16} role=web$/m);
  }
  const labeled = await clusters.fleetctl(...label.split(" ").slice(1));
  assert.equal(labeled.status, 0, labeled.err);
  const { out } = await clusters.run("--plan", "--output=json", "db");
  assert.deepEqual(JSON.parse(out).machineMetadata, [{ machineID: "0c".repeat(16), metadata: { role: "web" } }]);
});

Deno.test("import --from=ssh:// logs in to a machine of the old cluster with the SSH flags of the command line", async () => {
  await using clusters = await Clusters.open();
  clusters.ssh = "core@10.0.0.5:2222";
  const from = "--from=ssh://core@10.0.0.5:2222";
  const run = (...words: string[]) => clusters.fleetctl("--ssh-identity=key", "import", ...words, "--yes", "db");
  const { status, err } = await run(from);
  assert.deepEqual([status, err], [0, ""]);
  const [flags] = clusters.sshFlags;
  assert.equal(flags!.text("endpoint"), "unix:///var/run/fleet.sock");
  assert.equal(flags!.text("ssh-identity"), "key");
  assert.deepEqual([...new Set(clusters.authorizations)], [null], "the old cluster gets no token");
  await run(`${from}/run/other.sock`, "--start", "--settle=0");
  assert.equal(clusters.sshFlags.at(-1)!.text("endpoint"), "unix:///run/other.sock");
  const back = await run(from, "--back");
  assert.match(
    back.out,
    /^See them with fleetctl --tunnel=core@10\.0\.0\.5:2222 --endpoint=unix:\/\/\/var\/run\/fleet\.sock list-units$/m,
  );
  clusters.io.longest_ms = 20_000;
  const completed = await clusters.fleetctl("complete", "--", "import", from, "--start", "d");
  assert.equal(completed.out, "db.service\n");
  for (const wrong of ["ssh://", "ssh://a,ssh://b", "ssh:core@a"]) {
    const { status, err } = await clusters.run(`--from=${wrong}`);
    assert.equal(status, 1);
    assert.match(err, /is not ssh:\/\/\[USER@\]HOST\[:PORT\]\[\/SOCKET\]/);
  }
});

Deno.test("import --back stops units here before the old cluster starts them", async () => {
  await using clusters = await Clusters.open();
  await clusters.run("--yes");
  const start = await clusters.run("--start", "--settle=0", "--yes", "db", "slow", "once");
  assert.equal(start.status, 0);
  assert.match(start.out, /^> once\.service has ended on 01010101\.\.\., starts again, and is launched here$/m);
  const other = await clusters.run("--back", "--machine=0202", "--yes", "once");
  assert.deepEqual([other.status, other.out], [0, "fleet-import.json names no unit that moved from there.\n"]);
  const plan = await clusters.run("--back", "--plan", "--machine=0202");
  assert.deepEqual([plan.status, plan.out], [
    2,
    "< db.service becomes inactive here, and launched in the old cluster\n",
  ]);
  clusters.changes.length = 0;
  const { status, out } = await clusters.run("--back", "--machine=0202", "--yes");
  assert.equal(status, 0);
  assert.match(out, /\nUnit db\.service launched in the old cluster\n/);
  assert.deepEqual([...clusters.changes, ...clusters.old.changes], ["db.service inactive", "PUT db.service launched"]);
  const record = JSON.parse(clusters.io.files.get("fleet-import.json")!);
  assert.deepEqual(Object.keys(record.units), ["once.service", "slow.service"]);
  assert.equal((await clusters.units()).get("slow.service")!.desiredState, "launched", "other units stay");
});

Deno.test("import --back that loses the old cluster says what may run nowhere, and by which commands it starts", async () => {
  await using clusters = await Clusters.open();
  await clusters.run("--yes", "db", "slow");
  await clusters.run("--start", "--settle=0", "--yes", "db", "slow");
  const messages = new Set<string>();
  const refused = Response.json({ error: { code: 503, message: "no etcd" } }, { status: 503 });
  clusters.old.intercept = (method, path) => {
    if (method === "GET" || !path.endsWith("/db.service")) return undefined;
    for (const message of clusters.io.interruptMessages) messages.add(message.replaceAll(clusters.from, "OLD"));
    return refused.clone();
  };
  clusters.io.speed = 100;
  const { status, out, err } = await clusters.run("--back", "--yes");
  assert.equal(status, 1);
  assert.match(out, /^Unit slow\.service launched in the old cluster$/m);
  assert.match(err, /^Not moved back: db\.service \(at unix:\/\/\/new\.sock\)\nThey may run nowhere: /m);
  const goOn = after("To go on: ", err);
  assert.equal(goOn, "fleetctl import --from=OLD --back db.service");
  assert.equal(after("To start them here again: ", err), "fleetctl start db.service");
  assert.deepEqual([...messages], [
    "Interrupted. Units that have stopped here may not be started in the old cluster yet.\n" +
    "To go on: fleetctl import --from=OLD --back",
  ]);
  clusters.old.intercept = () => undefined;
  const again = await clusters.fleetctl(...goOn.replace("OLD", clusters.from).split(" ").slice(1), "--yes");
  assert.deepEqual([again.status, again.err], [0, ""]);
  assert.equal(clusters.old.units.get("db.service")!.desiredState, "launched");
});

Deno.test("import --back moves a unit back that was destroyed here", async () => {
  await using clusters = await Clusters.open();
  await clusters.run("--yes", "db");
  await clusters.run("--start", "--settle=0", "--yes", "db");
  await clusters.client().deleteUnit("db.service");
  await clusters.api.report(db, "db.service", undefined);
  const { status, err } = await clusters.run("--back", "--yes", "--timeout=5");
  assert.deepEqual([status, err], [0, ""]);
  assert.equal(clusters.old.units.get("db.service")!.desiredState, "launched");
});

Deno.test("import --back leaves a unit running here that the old cluster does not have", async () => {
  await using clusters = await Clusters.open();
  await clusters.run("--yes", "db", "slow");
  await clusters.run("--start", "--settle=0", "--yes", "db", "slow");
  clusters.old.units.delete("db.service");
  const plan = await clusters.run("--back", "--plan");
  assert.equal(plan.status, 1);
  const { status, out, err } = await clusters.run("--back", "--yes");
  assert.equal(status, 1);
  assert.match(out, /^! db\.service stays: the old cluster at OLD does not have it$/m);
  assert.match(err, /^Not moved back: db\.service /);
  const units = await clusters.units();
  assert.equal(units.get("db.service")!.desiredState, "launched");
  assert.equal(units.get("slow.service")!.desiredState, "inactive");
  assert.equal(clusters.old.units.get("slow.service")!.desiredState, "launched");
});

Deno.test("import --back --plan --output=json is one document, and without --plan it is refused", async () => {
  await using clusters = await Clusters.open();
  await clusters.run("--yes", "db", "slow");
  await clusters.run("--start", "--settle=0", "--yes", "db", "slow");
  clusters.old.units.delete("slow.service");
  const { status, out, err } = await clusters.run("--back", "--plan", "--output=json");
  assert.deepEqual([status, err], [1, ""]);
  assert.deepEqual(JSON.parse(out), {
    moves: [[{ name: "db.service", desiredState: "launched", machineID: "02".repeat(16) }]],
    stays: [{ name: "slow.service", why: "the old cluster at OLD does not have it" }],
  });
  const none = await clusters.run("--back", "--plan", "--output=json", "long");
  assert.deepEqual([none.status, JSON.parse(none.out)], [0, { moves: [], stays: [] }]);
  for (const direction of ["--back", "--start"]) {
    const refused = await clusters.run(direction, "--output=json", "--yes");
    assert.deepEqual([refused.status, refused.out], [1, ""]);
    assert.match(refused.err, /--output=json shows the plan only: add --plan/);
  }
  assert.equal((await clusters.units()).get("db.service")!.desiredState, "launched", "nothing was changed");
});

Deno.test("commands that import prints are quoted for a shell, and can be repeated", async () => {
  await using clusters = await Clusters.open();
  const name = "a@\\x2d.service";
  const names = [name, "-.service"];
  for (const each of names) {
    const copy = structuredClone(clusters.old.units.get("db.service")!);
    clusters.old.units.set(each, { ...copy, name: each });
    const [key, state] = [...clusters.old.states].find(([, state]) => state.name === "db.service")!;
    clusters.old.states.set(key.replace("db.service", each), { ...state, name: each });
  }
  const words = ["--record=my import.json", "--", ...names];
  const stored = await clusters.run("--yes", ...words);
  assert.equal(stored.status, 0, stored.err);
  clusters.old.intercept = (method, path) => {
    if (method === "GET" || !path.includes("/units/")) return undefined;
    return Response.json({ error: { code: 503, message: "no etcd" } }, { status: 503 });
  };
  clusters.io.speed = 100;
  const { err } = await clusters.run("--start", "--settle=0", "--yes", "--endpoint=unix:///my socket", ...words);
  const goOn = after("To go on when the old cluster answers again: ", err);
  const first = "fleetctl '--endpoint=unix:///my socket' import --from=OLD";
  assert.equal(goOn, `${first} --start '--record=my import.json' -- 'a@\\x2d.service' -.service`);
  const [, host, stop] = /^( {2}ssh \S+) (.*) && fleetctl /m.exec(err) ?? [];
  assert.equal(host, "  ssh core@10.77.0.12");
  assert.ok(
    ["'sudo systemctl stop '\\''a@\\x2d.service'\\'''", "sudo systemctl stop -- -.service"].includes(stop!),
    `${stop}`,
  );
  clusters.old.intercept = () => undefined;
  const again = await clusters.run("--start", "--settle=0", "--yes", ...words);
  assert.deepEqual([again.status, again.err], [0, ""]);
  const back = await clusters.run("--back", "--yes", ...words);
  assert.deepEqual([back.status, back.err], [0, ""]);
  for (const each of names) assert.equal(clusters.old.units.get(each)!.desiredState, "launched");
});

Deno.test("import goes on to its end when the reader of its output goes after the first change", async () => {
  await using clusters = await Clusters.open();
  const readerGoes = async (lines: number, ...words: string[]) => {
    clusters.io.linesRead = lines;
    await assert.rejects(clusters.run("--yes", ...words), ReaderGoneError);
    clusters.io.linesRead = Infinity;
  };
  await readerGoes(1, "db", "slow");
  assert.deepEqual((await clusters.units()).size, 0, "the plan was not read");
  await readerGoes(3, "db", "slow");
  assert.equal((await clusters.units()).size, 2);
  await readerGoes(2, "--start", "--settle=0", "db", "slow");
  const moved = () => Object.keys(JSON.parse(clusters.io.files.get("fleet-import.json")!).units);
  for (const name of ["db.service", "slow.service"]) {
    assert.equal((await clusters.units()).get(name)!.desiredState, "launched");
    assert.equal(clusters.old.units.get(name)!.desiredState, "inactive");
  }
  assert.deepEqual(moved(), ["db.service", "slow.service"]);
  await readerGoes(2, "--back", "db", "slow");
  for (const name of ["db.service", "slow.service"]) {
    assert.equal((await clusters.units()).get(name)!.desiredState, "inactive");
    assert.equal(clusters.old.units.get(name)!.desiredState, "launched");
  }
  assert.deepEqual(moved(), []);
});

Deno.test("a second import that would use the same record is refused, and a plan is not", async () => {
  await using clusters = await Clusters.open();
  await clusters.run("--yes");
  assert.deepEqual([...clusters.io.locked], [], "an import that has ended leaves no lock");
  clusters.io.locked.add("fleet-import.json.lock");
  for (const words of [["--yes"], ["--start", "--yes"], ["--back", "--yes"]]) {
    const { status, err } = await clusters.run(...words);
    const expected = "another fleetctl import is running with fleet-import.json: wait until it has ended\n";
    assert.deepEqual([status, err], [1, expected]);
  }
  assert.equal((await clusters.run("--start", "--plan", "db")).status, 2);
  assert.equal((await clusters.run("--start", "--record=other.json", "--settle=0", "--yes", "db")).status, 0);
});

Deno.test("the record of an import is refused for other clusters, also at the same address", async () => {
  await using clusters = await Clusters.open();
  await clusters.run("--yes");
  await clusters.run("--start", "--settle=0", "--yes", "db");
  // A machine that replaces another one is in the cluster all the same.
  clusters.old.machines.splice(0, 1, { id: "03".repeat(16) });
  assert.equal((await clusters.run("--back", "--plan", "db")).status, 2);
  const record = clusters.io.files.get("fleet-import.json")!;
  const others = clusters.old.machines.splice(0, 2, { id: "04".repeat(16) });
  for (const words of [["--plan"], ["--yes"], ["--start", "--plan"], ["--back", "--yes"]]) {
    const { status, err } = await clusters.run(...words);
    assert.equal(status, 1);
    assert.equal(
      err,
      "fleet-import.json is the record of an old cluster with 01010101..., 02020202..., but OLD has 04040404...: " +
        "name the right cluster by --from, or another file by --record\n",
    );
  }
  clusters.old.machines.splice(0, 1, ...others);
  clusters.io.files.set("fleet-import.json", record.replaceAll("0a0a", "0c0c").replaceAll("0b0b", "0c0c"));
  const { status, err } = await clusters.run("--back", "--yes");
  assert.equal(status, 1);
  assert.match(
    err,
    /^fleet-import\.json is the record of a new cluster with 0c0c.*: name the right cluster by --endpoint/,
  );
  assert.equal(clusters.old.units.get("db.service")!.desiredState, "inactive");
});

Deno.test("import --back starts units in the old cluster although the record cannot be written", async () => {
  await using clusters = await Clusters.open();
  await clusters.run("--yes", "db", "slow");
  await clusters.run("--start", "--settle=0", "--yes", "db", "slow");
  clusters.io.replaceFile = () => Promise.reject(new Error("no space left on device"));
  const { status, err } = await clusters.run("--back", "--yes");
  assert.equal(status, 1);
  assert.match(err, /cannot write fleet-import\.json: no space left on device/);
  for (const name of ["db.service", "slow.service"]) {
    assert.equal(clusters.old.units.get(name)!.desiredState, "launched", name);
  }
});

Deno.test("import refuses an old cluster that has a machine of this one", async () => {
  await using clusters = await Clusters.open();
  await clusters.api.join("01".repeat(16), "10.77.0.11");
  for (const words of [["--plan"], ["--yes"], ["--start", "--yes"], ["--back", "--yes"]]) {
    const { status, err } = await clusters.run(...words);
    assert.equal(status, 1);
    assert.match(err, /^01010101\.\.\.\/10\.77\.0\.11 is in the old cluster and in this one, at unix:/);
  }
  assert.equal((await clusters.units()).size, 0);
  assert.deepEqual(clusters.old.changes, []);
});

Deno.test("import --start gives up on a unit that does not stop, and starts the others", async () => {
  await using clusters = await Clusters.open();
  await clusters.run("--yes");
  const never = Promise.withResolvers<void>();
  clusters.old.stop = (name) => name === "slow.service" ? never.promise : Promise.resolve();
  const { status, err } = await clusters.run("--start", "--timeout=1", "--settle=0", "--yes", "slow", "db");
  never.resolve();
  assert.equal(status, 1);
  assert.match(err, /^Unit slow\.service has not stopped in the old cluster: deactivating\/stop-sigterm on 01010101/);
  assert.match(err, /^To go on: fleetctl import --from=OLD --start slow db$/m);
  assert.match(err, /^To start them in the old cluster again: fleetctl import --from=OLD --back slow\.service$/m);
  const units = await clusters.units();
  assert.equal(units.get("db.service")!.desiredState, "launched");
  assert.equal(units.get("slow.service")!.desiredState, "inactive");
});

Deno.test("import refuses flags that do not belong together, and records that it cannot read", async () => {
  await using clusters = await Clusters.open();
  const refusals: readonly (readonly [string[], RegExp])[] = [
    [["--start", "--back"], /--start and --back exclude each other/],
    [["--machine=0202"], /--machine needs --start or --back/],
    [["--start", "--replace"], /--replace is for an import without --start or --back/],
    [["--start", "--yes", "--output=json"], /--output=json shows the plan only: add --plan/],
    [["--start", "--machine=ff"], /The old cluster has no machine "ff"; it has 01010101\.\.\.\/10\.77\.0\.11, /],
  ];
  for (const [words, expected] of refusals) {
    const { status, err } = await clusters.run(...words);
    assert.equal(status, 1, words.join(" "));
    assert.match(err, expected);
  }
  for (const text of ["{", '{"format":2,"units":{}}', '{"format":1,"units":{"a.service":{"desiredState":"on"}}}']) {
    clusters.io.files.set("fleet-import.json", text);
    const { status, err } = await clusters.run("--start", "--yes");
    assert.equal(status, 1);
    assert.match(err, /^fleet-import\.json/);
  }
  assert.deepEqual(clusters.old.changes, []);
});

Deno.test("units and machines of the old cluster complete the command line of import", async () => {
  await using clusters = await Clusters.open();
  clusters.io.longest_ms = 20_000;
  const complete = async (...words: string[]) => (await clusters.fleetctl("complete", "--", "import", ...words)).out;
  const from = `--from=${clusters.from}`;
  assert.equal(await complete(from, "--start", "web@"), "web@.service\nweb@1.service\nweb@2.service\nweb@3.service\n");
  assert.equal(await complete(from, "--start", "--machine", "02"), `${"02".repeat(16)}\n`);
  assert.deepEqual([...new Set(clusters.authorizations)], [null], "the old cluster gets no token");
});
