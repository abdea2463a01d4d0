import assert from "node:assert/strict";
import { ApiFixture, errorText } from "../../../tests/support/api_fixture.ts";

const m1 = "454c34ef000000000000000000000001";
const m2 = "7e5f6a1b000000000000000000000002";

Deno.test("GET /units/{name}/explain explains the placement of a unit", async (test) => {
  await using api = await ApiFixture.open();
  const ask = async (name: string) => {
    const answer = await api.send("GET", `/fleet/v1/units/${name}/explain`);
    assert.equal(answer.code, 200, answer.text);
    assert.equal(answer.headers.get("content-type"), "application/json");
    return JSON.parse(answer.text);
  };
  const file = "[Service]\nExecStart=/bin/true\n[X-Fleet]\n";
  await api.join(m1, "10.77.0.11", { zone: "a" });
  await api.join(m2);

  await test.step("an unknown unit is 404", async () => {
    const answer = await api.send("GET", "/fleet/v1/units/x.service/explain");
    assert.deepEqual([answer.code, answer.text], [404, errorText(404, "unit does not exist")]);
  });

  await test.step("other methods are 405", async () => {
    const answer = await api.send("POST", "/fleet/v1/units/x.service/explain");
    assert.deepEqual([answer.code, answer.text], [405, errorText(405, "only GET supported against this resource")]);
  });

  await test.step("a waiting unit has every reason of every machine, notes and warnings", async () => {
    await api.put("peer.service", "inactive");
    await api.put("a.service", "launched", `${file}MachineMetadata=zone=b\nMachineOf=peer.service\nConflict=x`);
    const { hash, launched, revision, ...rest } = await ask("a.service");
    assert.match(hash, /^[0-9a-f]{40}$/);
    assert.ok(launched > 0 && launched <= revision);
    const peer = { reason: "required peer Unit(peer.service) is not scheduled locally", rule: "MachineOf" };
    const metadata = "local Machine metadata insufficient: needs zone=b, has";
    assert.deepEqual(rest, {
      currentState: "inactive",
      desiredState: "launched",
      machines: [
        {
          machineID: m1,
          primaryIP: "10.77.0.11",
          reasons: [{ reason: `${metadata} zone=a`, rule: "MachineMetadata" }, peer],
          eligibility: "rejected",
        },
        {
          machineID: m2,
          reasons: [{ reason: `${metadata} no zone`, rule: "MachineMetadata" }, peer],
          eligibility: "rejected",
        },
      ],
      name: "a.service",
      notes: ["required peer Unit(peer.service) is inactive"],
      outcome: "waiting",
      summary: "none of 2 machines will take it",
      warnings: [
        'unrecognized requirement in [X-Fleet] section: "Conflict" (did you mean "Conflicts"?)',
        "no machine leads the engines, so that nothing is placed or moved",
      ],
    });
  });

  await test.step("a placed unit has the reason and the time of its placement, and the agent's error", async () => {
    await api.put("b.service", "launched", file.replace("[X-Fleet]\n", ""));
    await api.place("b.service", m1);
    await api.report(m1, "b.service", {
      ...{ commanded: "inactive", active: "inactive", sub: "dead", error: "disk full", result: "exit-code" },
    });
    const { hash, launched, revision, since, ...rest } = await ask("b.service");
    assert.match(hash, /^[0-9a-f]{40}$/);
    assert.ok(launched > 0 && launched <= revision);
    assert.ok(since > 0);
    assert.deepEqual(rest, {
      currentState: "inactive",
      desiredState: "launched",
      leader: "engine",
      machineID: m1,
      machines: [
        {
          currentState: "inactive",
          error: "disk full",
          machineID: m1,
          pending: "does not have its newest file yet",
          primaryIP: "10.77.0.11",
          restart: 0,
          result: "exit-code",
          since: 1000,
          eligibility: "assigned",
          state: {
            hash: "0123456789012345678901234567890123456789",
            machineID: m1,
            name: "b.service",
            systemdActiveState: "inactive",
            systemdLoadState: "loaded",
            systemdSubState: "dead",
          },
        },
        { machineID: m2, eligibility: "eligible" },
      ],
      name: "b.service",
      outcome: "placed",
      summary: "it is placed on machine 454c34ef..., which does not have its newest file yet",
      why: "a test said so",
    });
  });

  await test.step("a global unit has neither machine nor current state", async () => {
    await api.put("g.service", "launched", `${file}Global=true\nMachineMetadata=zone=a`);
    const explanation = await ask("g.service");
    assert.equal(explanation.summary, "it is global: 1 of 2 machines should have it");
    assert.deepEqual([explanation.outcome, explanation.machineID, explanation.currentState], [
      "global",
      undefined,
      undefined,
    ]);
    assert.deepEqual(explanation.machines.map((each: { eligibility: string }) => each.eligibility), [
      "assigned",
      "rejected",
    ]);
  });

  await test.step("keys are in alphabetical order", async () => {
    const { text } = await api.send("GET", "/v1-alpha/units/b.service/explain");
    const inOrder = (value: unknown): boolean => {
      if (typeof value !== "object" || value === null) return true;
      const keys = Object.keys(value);
      const sorted = Array.isArray(value) || keys.join() === [...keys].sort().join();
      return sorted && Object.values(value).every(inOrder);
    };
    assert.ok(inOrder(JSON.parse(text)), text);
  });
});
