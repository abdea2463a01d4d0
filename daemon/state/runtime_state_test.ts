import assert from "node:assert/strict";
import { openRuntimeState } from "./runtime_state.ts";

async function withDirectory(run: (directory: string) => Promise<void>): Promise<void> {
  const directory = await Deno.makeTempDir();
  try {
    await run(`${directory}/fleet`);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

Deno.test("the next daemon reads the state that the one before has saved", () =>
  withDirectory(async (directory) => {
    const before = await openRuntimeState(directory);
    const incarnation = await before.incarnation();
    await before.saveLease("77");
    await before.saveStore({ id: "s", revision: 9 });
    const name = `${"x".repeat(240)}@é.service`;
    await before.intents.save(name, { did: "start", done: true, invocation: "i", restart: 3 });
    const after = await openRuntimeState(`${directory}/`);
    assert.equal(await after.incarnation(), incarnation);
    assert.equal(await after.lease(), "77");
    assert.deepEqual(await after.store(), { id: "s", revision: 9 });
    const failures = new Map([["a.service", { of: "h 7", at_ms: [1, 2], since_ms: 3 }]]);
    assert.equal((await before.intents.failures!.load()).size, 0);
    await before.intents.failures!.save(failures);
    assert.deepEqual(await after.intents.failures!.load(), failures);
    assert.deepEqual([...await after.intents.load()], [[
      name,
      { did: "start", done: true, invocation: "i", restart: 3 },
    ]]);
    await after.intents.forget(name);
    await after.intents.forget(name);
    await after.saveLease(undefined);
    await after.saveStore(undefined);
    assert.equal((await before.intents.load()).size, 0);
    assert.equal(await before.lease(), undefined);
    assert.equal(await before.store(), undefined);
  }));

Deno.test("damaged files count as missing", () =>
  withDirectory(async (directory) => {
    const state = await openRuntimeState(directory);
    await Deno.writeTextFile(`${directory}/store.json`, '{"id": "s"');
    const dance = '{"unit":"a.service","did":"dance","done":true,"invocation":"","restart":0}';
    await Deno.writeTextFile(`${directory}/intents.jsonl`, `${dance}\n7\nnull\n{}\n{"unit":"a.service","did":"sta`);
    await Deno.writeTextFile(`${directory}/failures.json`, '{"a.service":{"of":"h 7","at_ms":["x"],"since_ms":3}}');
    assert.equal(await state.store(), undefined);
    assert.equal((await state.intents.load()).size, 0);
    assert.equal((await state.intents.failures!.load()).size, 0);
  }));

Deno.test("a record that was written in part damages no other", () =>
  withDirectory(async (directory) => {
    const { intents } = await openRuntimeState(directory);
    const intent = { did: "load", done: true, invocation: "", restart: 0 } as const;
    await intents.save("a.service", intent);
    await Deno.writeTextFile(`${directory}/intents.jsonl`, '\n{"unit":"a.service","did":"start"', { append: true });
    await intents.save("b.service", intent);
    const after = await openRuntimeState(directory);
    assert.deepEqual([...await after.intents.load()], [["a.service", intent], ["b.service", intent]]);
  }));

Deno.test("the command log does not grow with the number of changes", () =>
  withDirectory(async (directory) => {
    const { intents } = await openRuntimeState(directory);
    const intent = { did: "start", done: true, invocation: "i", restart: 0 } as const;
    await intents.save("first.service", intent);
    await intents.save("gone.service", intent);
    await intents.forget("gone.service");
    for (let restart = 0; restart < 5_000; restart++) await intents.save("a.service", { ...intent, restart });
    assert.ok((await Deno.stat(`${directory}/intents.jsonl`)).size < 1_100 * 100);
    const known = [["first.service", intent], ["a.service", { ...intent, restart: 4_999 }]];
    assert.deepEqual([...await (await openRuntimeState(directory)).intents.load()], known);
  }));

Deno.test("a command log that cannot be compacted is kept as it is", () =>
  withDirectory(async (directory) => {
    const { intents } = await openRuntimeState(directory);
    const intent = { did: "start", done: true, invocation: "i", restart: 0 } as const;
    const save = async (from: number, to: number) => {
      for (let restart = from; restart < to; restart++) await intents.save("a.service", { ...intent, restart });
    };
    await Deno.mkdir(`${directory}/intents.jsonl.new/in/the/way`, { recursive: true });
    await save(0, 1_500);
    const { size } = await Deno.stat(`${directory}/intents.jsonl`);
    assert.deepEqual([...await intents.load()], [["a.service", { ...intent, restart: 1_499 }]]);
    await Deno.remove(`${directory}/intents.jsonl.new`, { recursive: true });
    await save(1_500, 3_000);
    assert.ok((await Deno.stat(`${directory}/intents.jsonl`)).size < size);
    assert.deepEqual([...await intents.load()], [["a.service", { ...intent, restart: 2_999 }]]);
  }));

Deno.test("a compaction does not write to a file that its draft links to", () =>
  withDirectory(async (directory) => {
    const { intents } = await openRuntimeState(directory);
    await Deno.writeTextFile(`${directory}/other`, "other");
    await Deno.symlink(`${directory}/other`, `${directory}/intents.jsonl.new`);
    const intent = { did: "start", done: true, invocation: "i", restart: 0 } as const;
    for (let restart = 0; restart < 1_500; restart++) await intents.save("a.service", { ...intent, restart });
    assert.equal(await Deno.readTextFile(`${directory}/other`), "other");
    assert.ok((await Deno.lstat(`${directory}/intents.jsonl`)).isFile);
    assert.deepEqual([...await intents.load()], [["a.service", { ...intent, restart: 1_499 }]]);
  }));

Deno.test("a link in the place of a file is an error that names it, and is not followed", () =>
  withDirectory(async (directory) => {
    await openRuntimeState(directory);
    await Deno.writeTextFile(`${directory}/other`, "other");
    await Deno.symlink("other", `${directory}/intents.jsonl`);
    await assert.rejects(
      openRuntimeState(directory),
      /cannot read .*\/fleet\/intents\.jsonl: it is not a file: remove it/,
    );
    assert.equal(await Deno.readTextFile(`${directory}/other`), "other");
  }));

Deno.test("an intent that cannot be saved is an error that names the file", () =>
  withDirectory(async (directory) => {
    const { intents } = await openRuntimeState(directory);
    await Deno.remove(directory);
    const intent = { did: "start", done: false, invocation: "", restart: 0 } as const;
    await assert.rejects(intents.save("a.service", intent), /cannot write .*\/fleet\/intents\.jsonl/);
  }));

Deno.test("of simultaneous writes one is left, whole", () =>
  withDirectory(async (directory) => {
    const state = await openRuntimeState(directory);
    await Promise.all(
      Array.from({ length: 12 }, (_, index) => state.saveStore({ id: "s".repeat(999), revision: index })),
    );
    assert.equal((await state.store())?.id.length, 999);
  }));

Deno.test("a directory that cannot be created is an error", async () => {
  await assert.rejects(openRuntimeState("/proc/nosuch"));
});

Deno.test("a contact is never read as later than it was, also by another daemon", () =>
  withDirectory(async (directory) => {
    const before = await openRuntimeState(directory);
    assert.equal(await before.contact(), undefined);
    const renewedAt_ms = performance.now() - 4_000;
    await before.saveContact({ renewedAt_ms, ttl_ms: 30_000 });
    for (const state of [before, await openRuntimeState(directory)]) {
      const read = await state.contact();
      assert.equal(read?.ttl_ms, 30_000);
      assert.ok(read.renewedAt_ms <= renewedAt_ms, `${read.renewedAt_ms} is after ${renewedAt_ms}`);
    }
    await before.saveContact({ renewedAt_ms: -Infinity, ttl_ms: 30_000 });
    assert.ok((await before.contact())!.renewedAt_ms > -Infinity, "a lease that was never renewed replaces nothing");
    await Deno.writeTextFile(`${directory}/contact.json`, '{"ttl_ms": 3');
    assert.equal(await before.contact(), undefined);
  }));
