/** Tests that need a store in a file. The others are in `tests/contract/store_suite.ts`. */

import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { StoreUnavailableError } from "../mod.ts";
import { openSqliteStore } from "./sqlite.ts";
import { type Store, type WatchBatch, WatchLostError } from "./port.ts";

const sqlite = new URL("./sqlite.ts", import.meta.url).href;

async function inDirectory(use: (dir: string) => Promise<void>): Promise<void> {
  const dir = await Deno.makeTempDir();
  try {
    await use(dir);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

async function withStore<T>(path: string, use: (store: Store) => Promise<T>): Promise<T> {
  const store = openSqliteStore({ path });
  try {
    return await use(store);
  } finally {
    await store.close();
  }
}

async function firstBatch(store: Store, after: number): Promise<WatchBatch> {
  for await (const batch of store.watch([{ prefix: "" }], after, AbortSignal.timeout(20_000))) return batch;
  throw new Error("the watch yielded nothing in time");
}

/** Starts another process that runs a script, with an open store as `store`. */
function otherProcess(path: string, script: string): Deno.ChildProcess {
  const code = `
    import { openSqliteStore } from ${JSON.stringify(sqlite)};
    const store = openSqliteStore({ path: ${JSON.stringify(path)} });
    ${script}
  `;
  return new Deno.Command(Deno.execPath(), { args: ["eval", code], stdout: "piped", stderr: "piped" }).spawn();
}

Deno.test("keys, revisions and leases are the same after the file is opened again", () =>
  inDirectory(async (dir) => {
    const path = `${dir}/fleet.db`;
    const [lease, before] = await withStore(path, async (store) => {
      const lease = await store.grant(1);
      await store.transact([], [{ put: "a", value: "1" }, { put: "bound", value: "2", lease }]);
      return [lease, await store.read([{ prefix: "" }])] as const;
    });
    await withStore(path, async (store) => {
      assert.deepEqual(await store.read([{ prefix: "" }]), before);
      const [, bound] = before.ranges[0]!;
      assert.equal(bound!.lease, lease);
      await assert.rejects(firstBatch(store, before.revision - 1), WatchLostError);
      assert.notEqual(await store.grant(10), lease);
      // The lease has its full TTL of one second again.
      const { revision, events } = await firstBatch(store, before.revision);
      assert.deepEqual(events, [{ kind: "delete", key: "bound", modRevision: revision }]);
      assert.equal(revision, before.revision + 1);
    });
  }));

Deno.test("a lease that is renewed after a restart does not expire", () =>
  inDirectory(async (dir) => {
    const path = `${dir}/fleet.db`;
    const lease = await withStore(path, (store) => store.grant(60));
    await withStore(path, async (store) => {
      assert.equal(await store.renew(lease), 60);
      assert((await store.transact([], [{ put: "a", value: "", lease }])).succeeded);
    });
  }));

Deno.test("a file that another process uses is refused with that reason", () =>
  inDirectory(async (dir) => {
    const path = `${dir}/fleet.db`;
    await withStore(path, async () => {
      const refused = new StoreUnavailableError(`cannot open the store ${path}: another process is using it`);
      assert.throws(() => openSqliteStore({ path }), { name: refused.name, message: refused.message });
      const { success, stderr } = await otherProcess(path, "").output();
      assert(!success);
      assert(new TextDecoder().decode(stderr).includes(refused.message));
    });
    await withStore(path, (store) => store.read([]));
  }));

Deno.test("acknowledged writes survive a killed process", () =>
  inDirectory(async (dir) => {
    const path = `${dir}/fleet.db`;
    const child = otherProcess(
      path,
      `for (let i = 1;; i++) {
        await store.transact([], [{ put: "a", value: String(i) }, { put: "b", value: String(i) }]);
        console.log(i);
      }`,
    );
    let acknowledged = 0;
    let rest = "";
    for await (const text of child.stdout.pipeThrough(new TextDecoderStream())) {
      const lines = (rest + text).split("\n");
      rest = lines.pop()!;
      acknowledged = Number(lines.at(-1) ?? acknowledged);
      if (acknowledged > 200) break;
    }
    child.kill("SIGKILL");
    await child.stderr.cancel();
    await child.status;
    await withStore(path, async (store) => {
      const { revision, ranges: [a, b] } = await store.read([{ key: "a" }, { key: "b" }]);
      assert(Number(a![0]!.value) >= acknowledged && acknowledged > 200);
      assert.equal(a![0]!.value, b![0]!.value);
      assert.equal(revision, a![0]!.modRevision);
    });
  }));

Deno.test("a file that is not a store is refused by name and left as it is", () =>
  inDirectory(async (dir) => {
    const refuses = (path: string, reason: RegExp) =>
      assert.throws(() => openSqliteStore({ path }), (error) => {
        assert(error instanceof StoreUnavailableError && error.message.includes(path));
        assert.match(error.message, reason);
        return true;
      });
    refuses(`${dir}/none/fleet.db`, /unable to open/);
    const text = "not a database\n".repeat(1000);
    await Deno.writeTextFile(`${dir}/text`, text);
    refuses(`${dir}/text`, /not a database/);
    assert.equal(await Deno.readTextFile(`${dir}/text`), text);
    const newer = new DatabaseSync(`${dir}/newer.db`);
    newer.exec("PRAGMA user_version = 2");
    newer.close();
    refuses(`${dir}/newer.db`, /layout is version 2, this fleet knows version 1/);
    const foreign = new DatabaseSync(`${dir}/foreign.db`);
    foreign.exec("CREATE TABLE store (x)");
    foreign.close();
    refuses(`${dir}/foreign.db`, /table store already exists/);
  }));

Deno.test("history is bounded by revisions and by size, and always holds the newest change", async () => {
  const store = openSqliteStore({ path: ":memory:", history: { revisions: 3, characters: 100 } });
  const write = async (value: string) => (await store.transact([], [{ put: "a", value }])).revision;
  const reaches = async (after: number) => {
    try {
      return (await firstBatch(store, after)).revision === after + 1;
    } catch (error) {
      if (error instanceof WatchLostError) return false;
      throw error;
    }
  };
  const first = await write("1");
  for (const value of ["2", "3", "4"]) await write(value);
  assert.deepEqual([await reaches(first - 1), await reaches(first)], [false, true]);
  const large = await write("x".repeat(99));
  assert.deepEqual([await reaches(large - 2), await reaches(large - 1)], [false, true]);
  await store.close();
});

Deno.test("a full disk is reported as such, and the refused write leaves no trace", () =>
  inDirectory(async (dir) => {
    const mount = async (...args: string[]) => {
      const { success, stderr } = await new Deno.Command(args[0]!, { args: args.slice(1) }).output();
      assert.ok(success, new TextDecoder().decode(stderr));
    };
    await mount("mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", dir);
    try {
      await withStore(`${dir}/fleet.db`, async (store) => {
        const write = store.transact([], [{ put: "large", value: "x".repeat(400_000) }]);
        await assert.rejects(write, (error) => {
          assert.ok(error instanceof StoreUnavailableError && error.isFull, String(error));
          assert.match(error.message, /cannot write to the store .*fleet\.db: database or disk is full/);
          return true;
        });
        const { ranges } = await store.read([{ prefix: "" }]);
        assert.deepEqual(ranges, [[]]);
        await store.transact([], [{ put: "small", value: "1" }]);
      });
    } finally {
      await mount("umount", dir);
    }
  }));
