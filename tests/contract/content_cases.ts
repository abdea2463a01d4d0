/**
 * The contents of attached files in the store: uploaded before the unit file that names them, and never part of a read of
 * the whole cluster.
 *
 * @module
 */

import assert from "node:assert/strict";
import { type Change, ConflictError } from "../../registry/mod.ts";
import type { StoredContent } from "../../registry/model.ts";
import type { Range, Store } from "../../registry/store/port.ts";
import { until } from "../lab/process.ts";
import { between, type Case, lead, put } from "./registry_fixture.ts";

const name = { hash: "c".repeat(64), size_bytes: 5 };
const base64 = btoa("hello");

export const contentCases: readonly Case[] = [
  {
    name: "a content is read by its name; the cluster has its size, and no daemon reads its bytes with the cluster",
    async run({ open }) {
      const uploader = await open();
      await uploader.commit({ kind: "content", name, base64 });
      const values: string[] = [];
      const read = (store: Store) => async (ranges: readonly Range[]) => {
        const snapshot = await store.read(ranges);
        values.push(...snapshot.ranges.flat().map(({ value }) => value));
        return snapshot;
      };
      const other = await open({ wrap: (store) => between(store, { read: read(store) }) });
      const stored = (await other.read()).contents?.get(name.hash);
      assert.deepEqual(stored && { hash: stored.hash, size_bytes: stored.size_bytes }, name);
      assert(!values.includes(base64), "the read of the cluster has the bytes");
      assert.equal(await other.content(name), base64);
      assert.equal(await other.content({ ...name, size_bytes: 6 }), undefined);
    },
  },
  {
    name: "a unit file is not stored without a content that it names",
    async run({ open, signal }) {
      const registry = await open();
      const leadership = await lead(registry, "m1", signal);
      const revision = await registry.commit({ kind: "content", name, base64 });
      const content: StoredContent = { ...name, revision };
      const change = put(await registry.unit("a.service"), "launched");
      await registry.commit({ ...change, contents: [content] } as Change);
      // Deleted as of an outdated view: the content was written again since.
      await registry.commit({ kind: "content", name, base64 });
      const outdated = await leadership.apply([{ kind: "forget", ...content }]);
      assert.equal(outdated.refused.length, 1);
      const stored = (await registry.read()).contents!.get(name.hash)!;
      assert.equal((await leadership.apply([{ kind: "forget", ...stored }])).refused.length, 0);
      await until("no content", async () => (await registry.read()).contents === undefined);
      const late = { ...put(await registry.unit("b.service"), "launched"), contents: [stored] } as Change;
      await assert.rejects(registry.commit(late), ConflictError);
      assert.equal((await registry.unit("b.service")).unit, undefined);
    },
  },
  {
    name: "a roll-out does not begin without a content that one of its files names, and the next one may",
    async run({ open, signal }) {
      const registry = await open();
      const leadership = await lead(registry, "m1", signal);
      const upload = async (): Promise<StoredContent> => ({
        ...name,
        revision: await registry.commit({ kind: "content", name, base64 }),
      });
      const text = `[X-Fleet]\nFile=app.conf:app.conf:0644:${name.hash}:${name.size_bytes}\n`;
      const hash = "a".repeat(40);
      const steps = [{ unit: "a.service", planned: 0, after: { hash, desiredState: "launched" } }] as const;
      const start = { app: "web", what: "apply", rollback: true, steps, files: new Map([[hash, text]]) } as const;
      const seen = await upload();
      assert.deepEqual((await leadership.apply([{ kind: "forget", ...seen }])).refused, []);
      await assert.rejects(registry.startRollout({ ...start, contents: [seen] }), ConflictError);
      const failed = (await registry.read()).rollouts!.get("web")!;
      assert.deepEqual([failed.status, await registry.file(hash)], ["failed", undefined]);
      await registry.startRollout({ ...start, contents: [await upload()], was: failed });
      const begun = (await registry.read()).rollouts!.get("web")!;
      assert.deepEqual([begun.status, await registry.file(hash)], ["running", text]);
    },
  },
];
