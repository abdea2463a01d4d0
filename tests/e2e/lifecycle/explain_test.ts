/** Three real machines, units that wait for each reason there is, and what is said of each. */

import assert from "node:assert/strict";
import type { DecisionEvent, ExplanationEntity, MachineExplanationEntity } from "../../../daemon/api/v1/types.ts";
import { type FleetCluster, sleeper, withFleet } from "../../lab/fleet_cluster.ts";
import { apiSocket, fleetctl } from "../../lab/fleet.ts";
import { until } from "../../lab/process.ts";

const fleetSection = (...lines: string[]) => `${sleeper}[X-Fleet]\n${lines.join("\n")}\n`;

async function explain(cluster: FleetCluster, name: string, on = "m1"): Promise<ExplanationEntity> {
  const response = await cluster.request(cluster.machine(on), "GET", `/units/${name}/explain`);
  assert.equal(response.status, 200, name);
  return await response.json();
}

/** Waits until a unit's explanation is as it should be; returns it. */
async function explainedAs(
  cluster: FleetCluster,
  name: string,
  what: string,
  test: (explanation: ExplanationEntity) => boolean,
): Promise<ExplanationEntity> {
  let last: ExplanationEntity | undefined;
  return await until(`${name}: ${what}`, async () => {
    last = await explain(cluster, name);
    return test(last) ? last : undefined;
  }).catch((error) => {
    throw new Error(`${error.message}; last seen: ${JSON.stringify(last, undefined, 2)}`, { cause: error });
  });
}

/** What a machine is to a unit. */
function onMachine(cluster: FleetCluster, explanation: ExplanationEntity, name: string): MachineExplanationEntity {
  const { id } = cluster.machine(name);
  const found = explanation.machines?.find((each) => each.machineID === id);
  assert.ok(found, `${explanation.name}: ${name} is spoken of`);
  return found;
}

const zone = (found: string) => `local Machine metadata insufficient: needs zone=a, has ${found}`;

/** A unit that waits, and every machine's every reason. */
interface WaitingUnit {
  readonly name: string;
  readonly lines: readonly string[];
  readonly m1: readonly string[];
  readonly m2: readonly string[];
  readonly m3: readonly string[];
  readonly notes?: readonly string[];
}

function waitingUnits(cluster: FleetCluster): WaitingUnit[] {
  const required = "f".repeat(32);
  const notIt = (name: string) => [`agent ID "${cluster.machine(name).id}" does not match required "${required}"`];
  const conflict = ["found conflict with locally-scheduled Unit(everywhere.service)"];
  const noPeer = "required peer Unit(nosuch.service) is not scheduled locally";
  const peer = "required peer Unit(far.service) is not scheduled locally";
  const peers = (name: string) => [peer, `required peer Unit(far.service): ${notIt(name)[0]}`];
  return [
    { name: "far.service", lines: [`MachineID=${required}`], m1: notIt("m1"), m2: notIt("m2"), m3: notIt("m3") },
    { name: "conflicting.service", lines: ["Conflicts=every*"], m1: conflict, m2: conflict, m3: conflict },
    {
      name: "orphan.service",
      lines: ["MachineOf=nosuch.service", "MachineMetadata=zone=a"],
      m1: [noPeer],
      m2: [zone("zone=b"), noPeer],
      m3: [zone("no zone"), noPeer],
      notes: ["required peer Unit(nosuch.service) does not exist"],
    },
    {
      name: "follower.service",
      lines: ["MachineOf=far.service"],
      m1: peers("m1"),
      m2: peers("m2"),
      m3: peers("m3"),
      notes: ["required peer Unit(far.service) waits, too: none of 3 machines will take it"],
    },
    {
      name: "replaced.service",
      lines: ["MachineMetadata=zone=a"],
      m1: ["would be replaced by locally-scheduled Unit(replacer.service)"],
      m2: [zone("zone=b")],
      m3: [zone("no zone")],
    },
  ];
}

async function waiting(cluster: FleetCluster): Promise<void> {
  const m1 = cluster.machine("m1");
  await cluster.put(m1, "everywhere.service", "launched", fleetSection("Global=true"));
  await cluster.put(m1, "replacer.service", "launched", fleetSection("MachineMetadata=zone=a", "Replaces=replaced.*"));
  await cluster.active(m1, ["replacer.service"]);
  const units = waitingUnits(cluster);
  for (const { name, lines } of units) await cluster.put(m1, name, "launched", fleetSection(...lines));
  for (const unit of units) {
    for (const asked of ["m1", "m3"]) {
      const said = await explain(cluster, unit.name, asked);
      assert.equal(said.outcome, "waiting", JSON.stringify(said));
      assert.equal(said.summary, "none of 3 machines will take it");
      assert.deepEqual(said.notes, unit.notes);
      assert.ok(said.launched !== undefined && said.launched <= said.revision);
      for (const name of ["m1", "m2", "m3"] as const) {
        const { eligibility, reasons } = onMachine(cluster, said, name);
        assert.equal(eligibility, "rejected");
        assert.deepEqual((reasons ?? []).map(({ reason }) => reason), unit[name], `${unit.name} on ${name}`);
      }
    }
  }
}

/** Every daemon's event stream tells who waits, and why, whoever leads. */
async function waitingOnStreams(cluster: FleetCluster): Promise<void> {
  const name = "conflicting.service";
  const expected: DecisionEvent = {
    name,
    reasons: [{ machines: 3, reason: "found conflict with locally-scheduled Unit(everywhere.service)" }],
    waiting: true,
    why: "none of 3 machines will take it",
  };
  // The time of occurrence follows.
  const decision = JSON.stringify(expected).replace(/\}$/, ',"time":');
  for (const asked of ["m1", "m2", "m3"]) {
    using client = Deno.createHttpClient({ proxy: { transport: "unix", path: apiSocket(cluster.machine(asked)) } });
    const late = new AbortController();
    let said = "";
    const timer = setTimeout(
      () => late.abort(new Error(`${asked} does not tell that ${name} waits, only ${said}`)),
      60_000,
    );
    try {
      const path = `/fleet/v1/events?unit=${name}&kind=decision`;
      const answer = await fetch(`http://localhost${path}`, { client, signal: late.signal });
      for await (const chunk of answer.body!.pipeThrough(new TextDecoderStream())) {
        said += chunk;
        if (said.includes(`event: decision\ndata: ${decision}`)) break;
      }
    } finally {
      clearTimeout(timer);
    }
    assert.ok(said.includes(decision), `the stream of ${asked} ended: ${said}`);
  }
}

async function globalRefused(cluster: FleetCluster): Promise<void> {
  const m1 = cluster.machine("m1");
  await cluster.put(m1, "local.service", "launched", fleetSection("MachineMetadata=zone=b"));
  await cluster.active(m1, ["local.service"]);
  await cluster.put(m1, "g.service", "launched", fleetSection("Global=true", "Conflicts=local.service"));
  const runs = (explanation: ExplanationEntity) =>
    explanation.machines?.filter((each) => each.state?.systemdActiveState === "active").length === 2;
  const said = await explainedAs(cluster, "g.service", "active on two machines", runs);
  assert.equal(said.outcome, "global");
  assert.equal(said.summary, "it is global: 2 of 3 machines are to have it");
  for (const name of ["m1", "m3"]) {
    const { eligibility, pending } = onMachine(cluster, said, name);
    assert.deepEqual([eligibility, pending], ["assigned", undefined]);
  }
  const { eligibility, reasons, state } = onMachine(cluster, said, "m2");
  assert.deepEqual([eligibility, state], ["rejected", undefined]);
  assert.deepEqual(reasons, [
    { reason: "found conflict with locally-scheduled Unit(local.service)", rule: "Conflicts" },
  ]);
}

async function failing(cluster: FleetCluster): Promise<void> {
  const m1 = cluster.machine("m1");
  await cluster.put(
    m1,
    "broken.service",
    "launched",
    "[Service]\nExecStart=no/absolute/path\n[X-Fleet]\nMachineMetadata=zone=a\n",
  );
  const broken = await explainedAs(
    cluster,
    "broken.service",
    "its agent's error",
    ({ machines }) => machines?.some((each) => each.error !== undefined) ?? false,
  );
  assert.equal(broken.outcome, "placed");
  assert.match(broken.why ?? "", /least loaded machine that will take it/);
  const there = onMachine(cluster, broken, "m1");
  assert.equal(there.eligibility, "assigned");
  assert.match(there.error ?? "", /bad unit file setting|bad-setting|not loaded properly/);
  assert.equal(there.state?.systemdLoadState, "bad-setting");

  await cluster.put(m1, "dies.service", "launched", "[Service]\nExecStart=/bin/false\n");
  const dies = await explainedAs(
    cluster,
    "dies.service",
    "systemd's result",
    ({ machines }) => machines?.some((each) => each.result !== undefined) ?? false,
  );
  assert.match(dies.summary, /where systemd says failed \(failed\)$/);
  const { result, pending } = dies.machines!.find((each) => each.eligibility === "assigned")!;
  assert.deepEqual([result, pending], ["exit-code", undefined]);
  const { stdout } = await cluster.fleetctl(m1, "explain", "dies");
  assert.match(stdout, /assigned\s+failed\s+failed\s+systemd's result: exit-code\n/);
}

async function notPlaced(cluster: FleetCluster): Promise<void> {
  const m1 = cluster.machine("m1");
  await cluster.put(m1, "t@.service", "inactive", fleetSection("MachineMetadata=zone=%i"));
  await cluster.put(m1, "idle.service", "inactive", fleetSection("MachineMetadata=zone=a"));
  const template = await explain(cluster, "t@.service");
  assert.deepEqual([template.outcome, template.warnings], ["template", undefined]);
  const idle = await explain(cluster, "idle.service");
  assert.equal(idle.outcome, "inactive");
  assert.deepEqual((idle.machines ?? []).map((each) => each.eligibility).sort(), ["eligible", "rejected", "rejected"]);
  const { code, stderr } = await fleetctl(m1, "explain", "nosuch");
  assert.deepEqual([code, stderr], [1, "Unit nosuch.service does not exist.\n"]);
}

async function unknownKeys(cluster: FleetCluster): Promise<void> {
  const m1 = cluster.machine("m1");
  await m1.writeFile("/root/typo.service", fleetSection("MachineMetaData=zone=a"));
  const warning = 'unrecognized requirement in [X-Fleet] section: "MachineMetaData" (did you mean "MachineMetadata"?)';
  const refused = await fleetctl(m1, "start", "/root/typo.service");
  assert.equal(refused.code, 1);
  assert.ok(refused.stderr.includes(warning), refused.stderr);
  assert.equal((await cluster.request(m1, "GET", "/units/typo.service")).status, 404);
  const accepted = await cluster.fleetctl(m1, "start", "--allow-unknown", "/root/typo.service");
  assert.match(accepted.stdout, /Unit typo\.service launched on /);
  assert.ok(accepted.stderr.includes(warning), accepted.stderr);
  const { stdout } = await cluster.fleetctl(m1, "explain", "typo");
  assert.ok(stdout.includes(`Warning:\t${warning}\n`), stdout);
  const direct = await cluster.request(m1, "PUT", "/units/api.service", {
    desiredState: "inactive",
    options: [{ section: "X-Fleet", name: "Conflict", value: "x" }, {
      section: "Service",
      name: "ExecStart",
      value: "x",
    }],
  });
  assert.equal(direct.status, 201);
  assert.deepEqual((await explain(cluster, "api.service")).warnings, [
    'unrecognized requirement in [X-Fleet] section: "Conflict" (did you mean "Conflicts"?)',
  ]);
}

async function toldWhileWaiting(cluster: FleetCluster): Promise<void> {
  const m1 = cluster.machine("m1");
  await m1.writeFile("/root/picky.service", fleetSection("MachineMetadata=zone=c"));
  const { code, stdout, stderr } = await fleetctl(m1, "start", "--block-attempts=3", "/root/picky.service");
  assert.equal(code, 1);
  assert.doesNotMatch(stdout, /launched/);
  assert.match(stdout, /\nUnit picky\.service waits: none of 3 machines will take it\n/);
  assert.match(stdout, /\n {2}01010101\S*: local Machine metadata insufficient: needs zone=c, has zone=a\n/);
  assert.match(stderr, /^Error waiting for units: timed out waiting for unit picky\.service to report state launched/);
  assert.equal(stdout.split(" waits: ").length, 2, "it is told once");
  const placed = await cluster.fleetctl(m1, "load", "/root/typo.service", "--allow-unknown");
  assert.doesNotMatch(placed.stdout + placed.stderr, / waits: /);
}

async function restarted(cluster: FleetCluster): Promise<void> {
  const m1 = cluster.machine("m1");
  await cluster.fleetctl(m1, "restart", "replacer.service");
  const said = await explain(cluster, "replacer.service");
  assert.ok(said.restart !== undefined && said.restart > 0);
  const { pending, restart } = onMachine(cluster, said, "m1");
  assert.deepEqual([pending, restart], [undefined, said.restart]);
}

async function machineGone(cluster: FleetCluster): Promise<void> {
  const leader = await cluster.leader();
  const victim = cluster.lab.machines.find((machine) => machine !== leader && machine.name !== "m1")!;
  const m1 = cluster.machine("m1");
  await cluster.put(m1, "bound.service", "launched", fleetSection(`MachineID=${victim.id}`));
  await cluster.active(m1, ["bound.service"]);
  await victim.powerCut();
  const said = await explainedAs(
    cluster,
    "bound.service",
    "its machine away",
    ({ machines }) => machines?.some((each) => each.eligibility === "offline") ?? false,
  );
  assert.equal(said.outcome, "waiting");
  assert.equal(said.summary, `machine ${victim.id.slice(0, 8)}... went away; none of 2 machines will take it`);
  assert.equal(said.machineID, victim.id);
  await victim.boot();
  await explainedAs(
    cluster,
    "bound.service",
    "back",
    ({ outcome, machines }) =>
      outcome === "placed" && machines!.some((each) => each.state?.systemdActiveState === "active"),
  );
}

Deno.test("why units are where they are, or are not", async (t) => {
  const machines = [{ metadata: "zone=a" }, { metadata: "zone=b" }, {}];
  await withFleet({ machines, conf: { agent_ttl: "5s" } }, async (cluster) => {
    await t.step("units that wait: every machine's every reason, asked of any machine", () => waiting(cluster));
    await t.step("units that wait are told of by every machine's stream", () => waitingOnStreams(cluster));
    await t.step("a global: where it runs, and why not where it does not", () => globalRefused(cluster));
    await t.step("a file that systemd cannot use, and a process that fails", () => failing(cluster));
    await t.step("a template, an inactive unit, none at all", () => notPlaced(cluster));
    await t.step("options that fleet does not know", () => unknownKeys(cluster));
    await t.step("who waits for a unit without a machine is told why", () => toldWhileWaiting(cluster));
    await t.step("a restart that was carried out", () => restarted(cluster));
    await t.step("a machine that went away", () => machineGone(cluster));
  });
});
