/** Journals and states of units, through real machines, over the API alone. */

import assert from "node:assert/strict";
import { apiSocket } from "../../lab/fleet.ts";
import { type FleetCluster, withFleet } from "../../lab/fleet_cluster.ts";
import { until } from "../../lab/process.ts";

const talker = `[Service]
ExecStart=/bin/sh -c 'echo first; while :; do if [ -e /run/go ]; then echo second; rm /run/go; fi; sleep 0.1; done'
`;

Deno.test("a unit's journal and state, from any machine", async (test) => {
  await withFleet({ machines: 2, tcp: true, conf: { agent_ttl: "5s" } }, async (cluster) => {
    const [m1, m2] = [cluster.machine("m1"), cluster.machine("m2")];
    const text = `${talker}[X-Fleet]\nMachineID=${m2.id}\n`;
    await cluster.put(m1, "talker.service", "launched", text);
    await cluster.active(m1, ["talker.service"]);

    for (const machine of [m1, m2]) {
      await test.step(`${machine.name}: the journal`, async () => {
        await until("the first line", async () => {
          const answer = await cluster.request(machine, "GET", "/units/talker.service/journal?output=cat&lines=5");
          assert.equal(answer.status, 200);
          return /^first$/m.test(await answer.text()) ? true : undefined;
        });
      });
      await test.step(`${machine.name}: the state`, async () => {
        const answer = await cluster.request(machine, "GET", "/units/talker.service/status");
        assert.equal(answer.status, 200);
        assert.match(await answer.text(), /talker\.service[^]*Active: active \(running\)/);
      });
    }
    await test.step("the journal is followed over both machines", () => follow(cluster));
    await test.step("a followed journal ends when its machine cannot be reached", () => silence(cluster));
    await test.step("the status of a unit on a machine that has left is not found", async () => {
      await m2.shutdown();
      await cluster.joined([m1]);
      const answer = await cluster.request(m1, "GET", `/units/talker.service/status?machineID=${m2.id}`);
      assert.equal(answer.status, 404);
    });
  });
});

const followed = "http://localhost/fleet/v1/units/talker.service/journal?follow=true&output=cat";

/** Reads the journal of m2's unit through m1 while m2 is cut off, which does not end the connection. */
async function silence(cluster: FleetCluster): Promise<void> {
  const [m1, m2] = [cluster.machine("m1"), cluster.machine("m2")];
  using client = Deno.createHttpClient({ proxy: { transport: "unix", path: apiSocket(m1) } });
  const answer = await fetch(followed, { client, signal: AbortSignal.timeout(60_000) });
  assert.equal(answer.status, 200);
  let isCut = false;
  for await (const _ of answer.body!) {
    if (!isCut) await m2.partition();
    isCut = true;
  }
  assert.ok(isCut);
  await m2.heal();
  await cluster.joined([m1, m2]);
}

/** Reads the journal of m2's unit through m1 until a line that is written during the request. */
async function follow(cluster: FleetCluster): Promise<void> {
  const [m1, m2] = [cluster.machine("m1"), cluster.machine("m2")];
  using client = Deno.createHttpClient({ proxy: { transport: "unix", path: apiSocket(m1) } });
  const answer = await fetch(followed, { client });
  assert.equal(answer.status, 200);
  const readers = async () => (await m2.run(["pgrep", "-c", "journalctl"])).stdout.trim();
  let read = "";
  for await (const chunk of answer.body!.pipeThrough(new TextDecoderStream())) {
    if (read === "") await m2.must(["touch", "/run/go"]);
    read += chunk;
    if (read.includes("second")) break;
  }
  assert.match(read, /first\n[^]*second\n/);
  await until("journalctl's end", async () => await readers() === "0" ? true : undefined);
}
