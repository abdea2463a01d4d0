import assert from "node:assert/strict";
import { ApiFixture } from "../../../tests/support/api_fixture.ts";
import { SimulatedCluster } from "../../../tests/scheduling/scenarios/scenario.ts";
import type { Cluster } from "../../../registry/model.ts";
import { schedule } from "../../engine/schedule.ts";
import { PendingEvents } from "./pending_events.ts";

const fleet = (...lines: readonly string[]) =>
  lines.map((line) => {
    const at = line.indexOf("=");
    return { section: "X-Fleet", name: line.slice(0, at), value: line.slice(at + 1) };
  });

const leader = { machine: "m1", version: "1.2.3" };

/** Reports about the waiting units of a simulation, as the data of the events. */
class Reporter {
  readonly pending = new PendingEvents();

  constructor(readonly simulation: SimulatedCluster) {}

  get cluster(): Cluster {
    return { ...this.simulation.cluster(), leader } as Cluster;
  }

  update(cluster = this.cluster): unknown[] {
    return this.pending.update(cluster).map(({ event, data }) => {
      assert.equal(event, "decision");
      return JSON.parse(data);
    });
  }

  present(): string[] {
    return [...this.pending.present(this.cluster, undefined)].map(({ unit }) => unit!);
  }

  /** Places units as the engine would. */
  place(): void {
    this.simulation.apply(schedule(this.simulation.cluster()).placements);
  }
}

Deno.test("the reason why a unit waits is reported on change only", async (test) => {
  const simulation = new SimulatedCluster();
  const reporter = new Reporter(simulation);
  simulation.unit("a.service", "launched", []);
  const none = { name: "a.service", waiting: true, why: "there are no machines" };
  await test.step("a cluster without machines", () => assert.deepEqual(reporter.update(), [none]));
  await test.step("an unchanged reason is not repeated", () => assert.deepEqual(reporter.update(), []));
  await test.step("inactive and global units do not wait", () => {
    simulation.unit("inactive.service", "inactive", []);
    simulation.unit("global.service", "launched", fleet("Global=true"));
    assert.deepEqual(reporter.update(), []);
    assert.deepEqual(reporter.present(), ["a.service"]);
  });
  await test.step("a unit that is about to be placed does not wait", () => {
    simulation.machine("m1", { disk: "ssd" });
    assert.deepEqual(reporter.update(), []);
    reporter.place();
    assert.deepEqual(reporter.update(), []);
    assert.deepEqual(reporter.present(), []);
  });
  await test.step("the reasons are counted by machines", () => {
    simulation.machine("m2", { disk: "hdd" });
    simulation.machine("m3", { disk: "ssd" });
    simulation.unit("b.service", "launched", fleet("MachineMetadata=disk=tape"));
    assert.deepEqual(reporter.update(), [{
      name: "b.service",
      reasons: [
        { machines: 2, reason: "local Machine metadata insufficient: needs disk=tape, has disk=ssd" },
        { machines: 1, reason: "local Machine metadata insufficient: needs disk=tape, has disk=hdd" },
      ],
      waiting: true,
      why: "none of 3 machines will take it",
    }]);
  });
  await test.step("a cluster without a leading engine", () => {
    simulation.unit("c.service", "launched", []);
    const why = "no machine leads the engines, so that nothing is placed or moved";
    assert.deepEqual(reporter.update(simulation.cluster()), [{ name: "c.service", waiting: true, why }]);
    assert.deepEqual(reporter.update(), []);
  });
  await test.step("a unit whose machine is missing, and that no other machine takes, waits until the machine is back", () => {
    simulation.unit("d.service", "launched", fleet("MachineID=m2"));
    reporter.place();
    reporter.update();
    const placed = simulation.targets.get("d.service")!;
    simulation.gone("m2");
    const [waiting] = reporter.update().filter((each) => (each as { name: string }).name === "d.service");
    assert.equal((waiting as { waiting?: boolean }).waiting, true);
    simulation.machine("m2", { disk: "hdd" });
    const back = reporter.update().filter((each) => (each as { name: string }).name === "d.service");
    assert.deepEqual(back, [{ machineID: "m2", name: "d.service", since: placed.since_ms, why: placed.why }]);
  });
});

Deno.test("at most a thousand waiting units are reported, without reasons", () => {
  const simulation = new SimulatedCluster();
  const reporter = new Reporter(simulation);
  for (let index = 0; index < 1100; index++) simulation.unit(`u${index}.service`, "launched", fleet("MachineID=none"));
  for (let index = 0; index < 20; index++) simulation.machine(`m${index}`, {});
  const reports = reporter.update() as { reasons?: unknown }[];
  assert.equal(reports.length, 1000);
  assert.ok(reports.every(({ reasons }) => reasons === undefined), "reasons would take too long to collect");
  simulation.unit("u1.service", "inactive", []);
  assert.deepEqual((reporter.update() as { name: string }[]).map(({ name }) => name), ["u1000.service"]);
});

const withoutTimes = (text: string) => text.replace(/,"time":\d+\}/g, "}");

Deno.test("a stream reports why units wait", async (test) => {
  await using api = await ApiFixture.open();
  await api.join("m1", "", { disk: "ssd" });
  await api.put("here.service", "launched");
  await api.place("here.service", "m1");
  await api.put("w.service", "launched", "[X-Fleet]\nMachineMetadata=disk=tape");
  const waits =
    'event: decision\ndata: {"name":"w.service","reasons":[{"machines":1,"reason":"local Machine metadata ' +
    'insufficient: needs disk=tape, has disk=ssd"}],"waiting":true,"why":"the only machine will not take it"}\n\n';
  /** Reads a stream until a text has come, and cancels it. */
  const read = async (query: string, text: string, meanwhile = () => Promise.resolve()) => {
    const answer = await api.handler(new Request("http://localhost/"), { target: `/fleet/v1/events${query}` });
    const reader = answer.body!.pipeThrough(new TextDecoderStream()).getReader();
    let all = "";
    while (!all.includes(text)) {
      const { done, value } = await reader.read();
      assert.ok(!done, all);
      all = withoutTimes(all + value);
      // The first comment comes when the stream opens, another after each keep-alive interval.
      assert.ok(all.split(":\n\n").length < 4, `${text} does not come, only ${all}`);
      if (all.includes("event: synced")) await meanwhile();
    }
    await reader.cancel();
    return all;
  };
  await test.step("soon after the present", async () => {
    assert.match(await read("", waits), /event: synced[^]*"waiting":true/);
  });
  let revision = "";
  await test.step("with the present, where it has been reported before", async () => {
    const first = await api.handler(new Request("http://localhost/"), { target: "/fleet/v1/events" });
    const reader = first.body!.pipeThrough(new TextDecoderStream()).getReader();
    for (let all = ""; !withoutTimes(all).includes(waits); all += (await reader.read()).value);
    const second = await read("", "event: synced");
    assert.ok(second.includes(waits));
    revision = /event: synced\ndata: \{"revision":(\d+)\b/.exec(second)![1]!;
    assert.ok((await read(`?since=${revision}`, "event: synced")).includes(waits), "and to a client that resumes");
    assert.ok(!(await read("?unit=here.service", "event: synced")).includes("waiting"));
    assert.ok(!(await read("?machine=m1", "event: synced")).includes("waiting"));
    assert.ok(!(await read("?kind=unit", "event: synced")).includes("waiting"));
    await reader.cancel();
  });
  await test.step("the placement replaces the report", async () => {
    let isPlaced = false;
    const all = await read("?unit=w.service", '"why":"a test said so"', async () => {
      if (isPlaced) return;
      isPlaced = true;
      await api.join("m2", "", { disk: "tape" });
      await api.place("w.service", "m2");
    });
    assert.match(all, /decision\ndata: \{"machineID":"m2","name":"w\.service"/);
  });
});
