/** Three real machines with a unit for each reason to wait, and the explanation of each. */

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

/** Waits for an explanation that passes a test. Returns it. */
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

/** Returns the part of an explanation about one machine. */
function onMachine(cluster: FleetCluster, explanation: ExplanationEntity, name: string): MachineExplanationEntity {
  const { id } = cluster.machine(name);
  const found = explanation.machines?.find((each) => each.machineID === id);
  assert.ok(found, `${explanation.name}: ${name} is in the explanation`);
  return found;
}

const zone = (found: string) => `local Machine metadata insufficient: needs zone=a, has ${found}`;

/** A unit that waits, and the reasons of every machine. */
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
      const shown = await explain(cluster, unit.name, asked);
      assert.equal(shown.outcome, "waiting", JSON.stringify(shown));
      assert.equal(shown.summary, "none of 3 machines will take it");
      assert.deepEqual(shown.notes, unit.notes);
      assert.ok(shown.launched !== undefined && shown.launched <= shown.revision);
      for (const name of ["m1", "m2", "m3"] as const) {
        const { eligibility, reasons } = onMachine(cluster, shown, name);
        assert.equal(eligibility, "rejected");
        assert.deepEqual((reasons ?? []).map(({ reason }) => reason), unit[name], `${unit.name} on ${name}`);
      }
    }
  }
}

/** The event stream of every daemon reports waiting units with the reasons, whichever daemon leads. */
async function waitingOnStreams(cluster: FleetCluster): Promise<void> {
  const name = "conflicting.service";
  const expected: DecisionEvent = {
    name,
    reasons: [{ machines: 3, reason: "found conflict with locally-scheduled Unit(everywhere.service)" }],
    waiting: true,
    why: "none of 3 machines will take it",
  };
  // The time follows, if the leader that reports the decision has made it.
  const decision = JSON.stringify(expected).slice(0, -1);
  const isDecision = (line: string) => line === `data: ${decision}}` || line.startsWith(`data: ${decision},"time":`);
  for (const asked of ["m1", "m2", "m3"]) {
    using client = Deno.createHttpClient({ proxy: { transport: "unix", path: apiSocket(cluster.machine(asked)) } });
    const late = new AbortController();
    let shown = "";
    const timer = setTimeout(
      () => late.abort(new Error(`${asked} does not report that ${name} waits, only ${shown}`)),
      60_000,
    );
    try {
      const path = `/fleet/v1/events?unit=${name}&kind=decision`;
      const answer = await fetch(`http://localhost${path}`, { client, signal: late.signal });
      for await (const chunk of answer.body!.pipeThrough(new TextDecoderStream())) {
        shown += chunk;
        if (shown.split("\n").slice(0, -1).some(isDecision)) break;
      }
    } finally {
      clearTimeout(timer);
    }
    assert.ok(shown.split("\n").some(isDecision), `the stream of ${asked} ended: ${shown}`);
  }
}

async function globalRefused(cluster: FleetCluster): Promise<void> {
  const m1 = cluster.machine("m1");
  await cluster.put(m1, "local.service", "launched", fleetSection("MachineMetadata=zone=b"));
  await cluster.active(m1, ["local.service"]);
  await cluster.put(m1, "g.service", "launched", fleetSection("Global=true", "Conflicts=local.service"));
  const runs = (explanation: ExplanationEntity) =>
    explanation.machines?.filter((each) => each.state?.systemdActiveState === "active").length === 2;
  const shown = await explainedAs(cluster, "g.service", "active on two machines", runs);
  assert.equal(shown.outcome, "global");
  assert.equal(shown.summary, "it is global: 2 of 3 machines should have it");
  for (const name of ["m1", "m3"]) {
    const { eligibility, pending } = onMachine(cluster, shown, name);
    assert.deepEqual([eligibility, pending], ["assigned", undefined]);
  }
  const { eligibility, reasons, state } = onMachine(cluster, shown, "m2");
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

async function reportedWhileWaiting(cluster: FleetCluster): Promise<void> {
  const m1 = cluster.machine("m1");
  await m1.writeFile("/root/picky.service", fleetSection("MachineMetadata=zone=c"));
  const { code, stdout, stderr } = await fleetctl(m1, "start", "--block-attempts=3", "/root/picky.service");
  assert.equal(code, 1);
  assert.doesNotMatch(stdout, /launched/);
  assert.match(stdout, /\nUnit picky\.service waits: none of 3 machines will take it\n/);
  assert.match(stdout, /\n {2}01010101\S*: local Machine metadata insufficient: needs zone=c, has zone=a\n/);
  assert.match(stderr, /^Error waiting for units: timed out waiting for unit picky\.service to report state launched/);
  assert.equal(stdout.split(" waits: ").length, 2, "it is reported once");
  const placed = await cluster.fleetctl(m1, "load", "/root/typo.service", "--allow-unknown");
  assert.doesNotMatch(placed.stdout + placed.stderr, / waits: /);
}

async function restarted(cluster: FleetCluster): Promise<void> {
  const m1 = cluster.machine("m1");
  await cluster.fleetctl(m1, "restart", "replacer.service");
  const shown = await explain(cluster, "replacer.service");
  assert.ok(shown.restart !== undefined && shown.restart > 0);
  const { pending, restart } = onMachine(cluster, shown, "m1");
  assert.deepEqual([pending, restart], [undefined, shown.restart]);
}

async function machineGone(cluster: FleetCluster): Promise<void> {
  const leader = await cluster.leader();
  const victim = cluster.lab.machines.find((machine) => machine !== leader && machine.name !== "m1")!;
  const m1 = cluster.machine("m1");
  await cluster.put(m1, "bound.service", "launched", fleetSection(`MachineID=${victim.id}`));
  await cluster.active(m1, ["bound.service"]);
  await victim.powerCut();
  const shown = await explainedAs(
    cluster,
    "bound.service",
    "its machine away",
    ({ machines }) => machines?.some((each) => each.eligibility === "offline") ?? false,
  );
  assert.equal(shown.outcome, "waiting");
  assert.equal(shown.summary, `machine ${victim.id.slice(0, 8)}... went away; none of 2 machines will take it`);
  assert.equal(shown.machineID, victim.id);
  await victim.boot();
  await explainedAs(
    cluster,
    "bound.service",
    "back",
    ({ outcome, machines }) =>
      outcome === "placed" && machines!.some((each) => each.state?.systemdActiveState === "active"),
  );
}

Deno.test("explanations of units", async (t) => {
  const machines = [{ metadata: "zone=a" }, { metadata: "zone=b" }, {}];
  await withFleet({ machines, conf: { agent_ttl: "5s" } }, async (cluster) => {
    await t.step("a waiting unit has the reasons of every machine, through any machine", () => waiting(cluster));
    await t.step("the event stream of every machine reports waiting units", () => waitingOnStreams(cluster));
    await t.step(
      "a global unit has the machines where it runs, and the reasons of the others",
      () => globalRefused(cluster),
    );
    await t.step("a file that systemd cannot use and a process that fails have their errors", () => failing(cluster));
    await t.step("a template and an inactive unit are explained, a missing unit is an error", () => notPlaced(cluster));
    await t.step(
      "options that fleet does not know are refused, or accepted with a warning",
      () => unknownKeys(cluster),
    );
    await t.step(
      "a command that waits for a unit without a machine prints the reason",
      () => reportedWhileWaiting(cluster),
    );
    await t.step("a restart that was carried out is not pending", () => restarted(cluster));
    await t.step("a unit of a machine that went away waits for it", () => machineGone(cluster));
  });
});
