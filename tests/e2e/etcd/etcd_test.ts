import assert from "node:assert/strict";
import { EtcdServer } from "../../lab/etcd.ts";

const get = async (etcd: EtcdServer, key: string) => (await etcd.must("get", "--print-value-only", key)).trim();

Deno.test("a stopped etcd starts again with its data on the same endpoint, a wiped one without data", async () => {
  await using etcd = await EtcdServer.start();
  await etcd.must("put", "greeting", "hello");
  await etcd.stop();
  assert.deepEqual(etcd.pids, []);
  await etcd.start();
  assert.equal(await get(etcd, "greeting"), "hello");
  await etcd.wipe();
  assert.equal(await get(etcd, "greeting"), "");
});

Deno.test("a paused etcd does not respond until it is resumed", async () => {
  await using etcd = await EtcdServer.start();
  etcd.pause();
  const silent = await etcd.ctl("--command-timeout=500ms", "get", "greeting");
  assert.notEqual(silent.code, 0);
  etcd.resume();
  await etcd.must("put", "greeting", "again");
  assert.equal(await get(etcd, "greeting"), "again");
});

Deno.test("two servers listen on different ports, and leave no files or processes behind", async () => {
  let dir = "";
  let pids: readonly number[] = [];
  {
    await using one = await EtcdServer.start();
    await using two = await EtcdServer.start();
    assert.notEqual(one.endpoint, two.endpoint);
    ({ dir, pids } = one);
    assert.equal(pids.length, 1);
  }
  await assert.rejects(Deno.stat(dir), Deno.errors.NotFound);
  await assert.rejects(Deno.stat(`/proc/${pids[0]}`), Deno.errors.NotFound);
});

Deno.test("compaction makes older revisions unreadable", async () => {
  await using etcd = await EtcdServer.start();
  for (const value of ["one", "two", "three"]) await etcd.must("put", "greeting", value);
  const revision = await etcd.compact();
  const old = await etcd.ctl("get", "greeting", `--rev=${revision - 1}`);
  assert.notEqual(old.code, 0);
  assert.match(old.stderr, /compacted/);
});

Deno.test("the error of an etcd that cannot start contains its own message", async () => {
  await assert.rejects(
    EtcdServer.start({ flags: ["--heartbeat-interval=5000"] }),
    /ended with code \d.*election-timeout/s,
  );
});
