import assert from "node:assert/strict";
import { ClusterRegistry } from "../../registry/cluster_registry.ts";
import type { UnitName } from "../../registry/model.ts";
import { parseRequirements } from "../../registry/requirements.ts";
import { openSqliteStore } from "../../registry/store/sqlite.ts";
import { FakeMachine, FakeSystemd } from "../../systemd/testing/fake_systemd.ts";
import { parseUnitFile } from "../../systemd/unit_file.ts";
import { hashUnitFile } from "../../systemd/unit_hash.ts";
import { systemClock } from "../host/system_clock.ts";
import type { Intent } from "./intent.ts";
import type { AttachedFiles } from "./attached_files.ts";
import { keepUnitsIfAsked, prepareStore } from "./keep_units.ts";

const sleeper = "[Service]\nExecStart=/bin/sleep infinity\n";
const everywhere = `${sleeper}\n[X-Fleet]\nGlobal=true\n`;
const intent = (did: Intent["did"], restart = 0): Intent => ({ did, done: true, invocation: "", restart });

/** State in memory that asks for the units to be kept. */
function stateOf(intents: Map<UnitName, Intent>, labels: Readonly<Record<string, string>> = {}) {
  return {
    keeps: true,
    intents: {
      load: () => Promise.resolve(new Map(intents)),
      save: (unit: UnitName, to: Intent) => Promise.resolve(void intents.set(unit, to)),
      forget: () => Promise.resolve(),
    },
    keepsUnits() {
      return Promise.resolve(this.keeps);
    },
    saveKeepsUnits(keeps: boolean) {
      this.keeps = keeps;
      return Promise.resolve();
    },
    labels: () => Promise.resolve(labels),
    saveLabels: () => Promise.resolve(),
  };
}

/** A machine with units, and an empty store. */
class Scene implements AsyncDisposable {
  readonly machine = new FakeMachine();
  readonly systemd = new FakeSystemd(this.machine);
  readonly intents = new Map<UnitName, Intent>();
  /** The contents of attached files on the machine. */
  contents: Awaited<ReturnType<AttachedFiles["kept"]>> = [];
  readonly #store = openSqliteStore({ path: ":memory:" });
  readonly registry = new ClusterRegistry({
    ...{ store: this.#store, clock: systemClock, log: () => {}, agentTtl_s: 30, leaderTtl_s: 30 },
    writer: () => Promise.resolve("m1"),
  });

  static async open(): Promise<Scene> {
    const scene = new Scene();
    await scene.registry.open(undefined);
    return scene;
  }

  async has(name: UnitName, text: string, did?: Intent["did"]): Promise<void> {
    await this.systemd.install(new Map([[name, text]]));
    await this.systemd.reloadIfNeeded();
    if (did === "start") await (await this.systemd.start(name)).done;
    if (did) this.intents.set(name, intent(did));
  }

  async keep(machine = "m1", labels: Readonly<Record<string, string>> = {}): Promise<void> {
    const { registry, systemd } = this;
    const state = stateOf(this.intents, labels);
    const attached = { kept: () => Promise.resolve(this.contents) };
    const options = { registry, systemd, state, attached, machine, log: () => {}, clock: systemClock };
    await keepUnitsIfAsked(options);
    assert.equal(state.keeps, false);
  }

  async units(): Promise<Record<UnitName, string>> {
    const { units, targets } = await this.registry.read();
    return Object.fromEntries([...units.values()].map(({ name, desiredState }) => {
      return [name, `${desiredState} on ${targets.get(name)?.machine}`];
    }));
  }

  async put(name: UnitName, desiredState: "inactive" | "launched", text: string): Promise<void> {
    const fleetOptions = parseUnitFile(text).filter(({ section }) => section === "X-Fleet");
    const file = { hash: hashUnitFile(text), text, fleetOptions };
    await this.registry.commit({ kind: "put", was: await this.registry.unit(name), desiredState, file });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.systemd.close();
    await this.registry.close();
    await this.#store.close();
  }
}

Deno.test("units are put into an empty store with their files, states and machine, and repeating it changes nothing", async () => {
  await using scene = await Scene.open();
  await scene.has("run.service", sleeper, "start");
  await scene.has("load.service", sleeper, "load");
  await scene.has("stopped.service", sleeper, "stop");
  await scene.has("failed.service", sleeper, "start");
  scene.machine.systemctl("StopUnit", "failed.service", "replace");
  await scene.has("unrecorded.service", sleeper, "start");
  scene.intents.delete("unrecorded.service");
  await scene.has("global.service", everywhere, "start");
  await scene.keep("m1", { disk: "ssd", zone: "" });
  const expected = {
    "run.service": "launched on m1",
    "load.service": "loaded on m1",
    "stopped.service": "loaded on m1",
    "failed.service": "launched on m1",
    "unrecorded.service": "launched on m1",
    "global.service": "launched on undefined",
  };
  assert.deepEqual(await scene.units(), expected);
  const { revision, ...cluster } = await scene.registry.read();
  assert.deepEqual(cluster.dynamicMetadata.get("m1"), { disk: "ssd", zone: "" });
  const assignment = cluster.assignments.get("run.service");
  assert.deepEqual(
    [assignment?.machine, assignment?.hash, assignment?.restart],
    ["m1", hashUnitFile(sleeper), 0],
  );
  assert.equal(cluster.files.get(hashUnitFile(sleeper))?.text, sleeper);
  assert.deepEqual(
    cluster.units.get("global.service")?.requirements,
    parseRequirements("global.service", [
      { section: "X-Fleet", name: "Global", value: "true" },
    ]),
  );
  await scene.keep("m1", { disk: "hdd" });
  assert.equal((await scene.registry.read()).revision, revision);
});

Deno.test("units that the store has already are not changed, except that those without a machine are placed", async () => {
  await using scene = await Scene.open();
  const other = "[Service]\nExecStart=/bin/sleep 1000\n";
  for (const name of ["inactive.service", "elsewhere.service", "unplaced.service"]) {
    await scene.has(name, sleeper, "start");
  }
  await scene.put("inactive.service", "inactive", other);
  await scene.put("unplaced.service", "launched", other);
  await scene.keep("m2");
  await scene.put("elsewhere.service", "launched", other);
  await scene.keep("m1");
  assert.deepEqual(await scene.units(), {
    "inactive.service": "inactive on undefined",
    "elsewhere.service": "launched on m2",
    "unplaced.service": "launched on m2",
  });
  const { units } = await scene.registry.read();
  for (const unit of units.values()) assert.equal(unit.hash, hashUnitFile(other), unit.name);
});

Deno.test("restart requests of an earlier store count as carried out at the revision of the accepted one", async () => {
  const intents = new Map([["a.service", intent("restart", 500)], ["b.service", intent("start", 2)]]);
  const state = stateOf(intents);
  await prepareStore(state, { revision: 7 }, false);
  assert.deepEqual([...intents.values()], [intent("restart", 7), intent("start", 7)]);
  assert.equal(state.keeps, false);
});

Deno.test("the contents of attached files are put into the store with the units", async () => {
  await using scene = await Scene.open();
  const name = { hash: "a".repeat(64), size_bytes: 2 };
  scene.contents = [{ name, base64: "aGk=" }];
  await scene.keep();
  assert.equal(await scene.registry.content(name), "aGk=");
});
