import assert from "node:assert/strict";
import { unitObjectPath } from "./object_path.ts";
import { StatusCache } from "./status_cache.ts";

const name = "hello.service";

/** A cache that tracks one unit, with functions that apply the signals and replies of systemd. */
function cacheOf(unit = name) {
  const cache = new StatusCache();
  cache.track([unit]);
  let since_us = 0n;
  const signal = (ActiveState: string, SubState: string) => {
    const values = { ActiveState, SubState, InvocationID: new Uint8Array(16), StateChangeTimestamp: since_us += 1000n };
    const variants = Object.entries(values).map(([key, value]) => [key, { signature: "", value }]);
    return cache.changed(unitObjectPath(unit), Object.fromEntries(variants));
  };
  const listed = (load: string, active: string, sub: string) => cache.listed(unit, { name: unit, load, active, sub });
  return { cache, signal, listed };
}

const starts: readonly {
  readonly name: string;
  readonly unit?: string;
  readonly states: readonly (readonly [string, string])[];
  /** The expected values after the last state; undefined if the field must be read. */
  readonly load: string | undefined;
  readonly result: string | undefined;
}[] = [
  {
    name: "a service that was started is loaded, and has not failed",
    states: [["inactive", "dead"], ["active", "running"]],
    load: "loaded",
    result: "success",
  },
  {
    name: "a service that is activating is loaded, and the result of its last run must be read",
    states: [["inactive", "dead"], ["activating", "auto-restart"]],
    load: "loaded",
    result: undefined,
  },
  {
    name: "a service that was activating has not failed once it is active",
    states: [["inactive", "dead"], ["activating", "start"], ["active", "running"]],
    load: "loaded",
    result: "success",
  },
  {
    name: "a failed service that was started again has not failed",
    states: [["failed", "failed"], ["active", "running"]],
    load: "loaded",
    result: "success",
  },
  {
    name: "a service whose earlier state is unknown must be read, since its start was not seen",
    states: [["active", "running"]],
    load: undefined,
    result: undefined,
  },
  {
    name: "the result of a service that is stopping must be read",
    states: [["inactive", "dead"], ["active", "running"], ["deactivating", "stop-sigterm"]],
    load: "loaded",
    result: undefined,
  },
  {
    name: "a service that is active again after a failed stop must be read",
    states: [["inactive", "dead"], ["deactivating", "stop-sigterm"], ["active", "running"]],
    load: undefined,
    result: undefined,
  },
  {
    name: "a mount must be read, since it also becomes active when a person mounts it",
    unit: "srv-data.mount",
    states: [["inactive", "dead"], ["active", "mounted"]],
    load: undefined,
    result: undefined,
  },
];

Deno.test("the signals of a start make further reads unnecessary", async (test) => {
  for (const each of starts) {
    await test.step(each.name, () => {
      const { cache, signal } = cacheOf(each.unit);
      for (const [active, sub] of each.states) signal(active, sub);
      const unit = each.unit ?? name;
      assert.equal(cache.unlisted(unit), each.load === undefined);
      assert.deepEqual(
        cache.missing(unit).filter((each) => each !== "restarts"),
        each.result === undefined ? ["result"] : [],
      );
      if (each.load === undefined || each.result === undefined) return;
      cache.property(unit, "restarts", 0);
      const { load, result } = cache.status(unit) ?? {};
      assert.deepEqual({ load, result }, { load: each.load, result: each.result });
    });
  }
});

Deno.test("NRestarts of a service is read at each new run but the first", () => {
  const cache = new StatusCache();
  cache.track([name]);
  const signal = (ActiveState: string, SubState: string, run: number) => {
    const values = {
      ActiveState,
      SubState,
      InvocationID: new Uint8Array(run > 0 ? [run] : []),
      StateChangeTimestamp: BigInt(run),
    };
    const variants = Object.entries(values).map(([key, value]) => [key, { signature: "", value }]);
    cache.changed(unitObjectPath(name), Object.fromEntries(variants));
    cache.listed(name, { name, load: "loaded", active: ActiveState, sub: SubState });
    return cache.missing(name).includes("restarts");
  };
  const restarts = () => {
    cache.property(name, "result", "success");
    return cache.status(name)?.restarts;
  };
  assert.equal(signal("inactive", "dead", 0), false);
  assert.equal(signal("active", "running", 1), false, "a manual start is the first run");
  assert.equal(restarts(), undefined);
  assert.equal(signal("activating", "auto-restart", 1), false);
  assert.equal(signal("inactive", "dead", 1), false);
  assert.equal(signal("active", "running", 2), true, "systemd has started it again");
  cache.property(name, "restarts", 1);
  assert.equal(restarts(), 1);
  assert.equal(signal("active", "running", 3), true, "and once more, without a signal in between");
});

const drops: readonly {
  readonly name: string;
  readonly before: (parts: ReturnType<typeof cacheOf>) => void;
  readonly known: boolean;
}[] = [
  {
    name: "the status of a unit that was listed as loaded is known",
    before: ({ listed }) => listed("loaded", "inactive", "dead"),
    known: true,
  },
  {
    name: "the status of a unit that was started and stopped is known",
    before: ({ signal }) => {
      for (const active of ["inactive", "active", "inactive"]) signal(active, "");
    },
    known: true,
  },
  {
    name: "a unit whose file was refused is listed again",
    before: ({ listed }) => listed("bad-setting", "inactive", "dead"),
    known: false,
  },
  {
    name: "a unit is listed again after systemd has reloaded",
    before: ({ cache, listed }) => {
      listed("loaded", "inactive", "dead");
      cache.reloaded();
    },
    known: false,
  },
  {
    name: "a unit is listed again after its file has changed",
    before: ({ cache, listed }) => {
      listed("loaded", "inactive", "dead");
      cache.forget(name);
    },
    known: false,
  },
  { name: "a unit without a known status is listed", before: () => {}, known: false },
];

Deno.test("a unit that systemd drops from memory keeps its load state, and loses its history", async (test) => {
  for (const each of drops) {
    await test.step(each.name, () => {
      const parts = cacheOf();
      each.before(parts);
      parts.cache.recheckResting([name]);
      assert.ok(parts.cache.unlisted(name));
      assert.equal(parts.cache.dropped(name), each.known);
      assert.equal(parts.cache.unlisted(name), !each.known);
      const status = each.known
        ? { name, load: "loaded", active: "inactive", sub: "dead", invocation: "", since_ms: 0, result: "success" }
        : undefined;
      assert.deepEqual(parts.cache.status(name), status);
    });
  }
});
