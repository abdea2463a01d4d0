import assert from "node:assert/strict";
import { maxAppVersions, maxHistory_characters, validateAppName, withAppVersion } from "./apps.ts";
import type { AppVersion, Rollout, RolloutStep, UnitSpec } from "./model.ts";

const spec = (digit: string): UnitSpec => ({ hash: digit.repeat(40), desiredState: "launched" });

function rollout(...steps: readonly RolloutStep[]): Rollout {
  return { app: "web", id: "1", what: "apply", rollback: true, steps, status: "done", revision: 1 };
}

const done: RolloutStep = {
  unit: "a.service",
  before: spec("a"),
  after: spec("b"),
  planned: 1,
  state: "healthy",
  written: 2,
};

Deno.test("an app has the name of a directory without odd characters", () => {
  for (const name of ["web", "1", "Web-2_x.y", "a".repeat(64)]) assert.equal(validateAppName(name), undefined, name);
  for (const name of ["", ".", "..", "-a", "a/b", "a b", "a@b", "ä", "a".repeat(65)]) {
    assert.match(validateAppName(name) ?? "", /invalid app name/, name);
  }
});

Deno.test("a version of an app has the changes that its roll-out has not taken back", () => {
  const steps: readonly RolloutStep[] = [
    done,
    { ...done, unit: "b.service", state: "undone" },
    { ...done, unit: "c.service", state: "pending", written: 0 },
    { ...done, unit: "d.service", after: done.before! },
    { ...done, unit: "e.service", state: "failed" },
  ];
  const [version] = withAppVersion([], rollout(...steps));
  assert.deepEqual(version, {
    number: 1,
    what: "apply",
    units: ["a.service", "e.service"].map((unit) => ({ unit, before: spec("a"), after: spec("b") })),
  });
  const versions = [version!];
  assert.equal(withAppVersion(versions, rollout(...steps.slice(1, 4))), versions);
});

Deno.test("an app keeps ten versions, and fewer if they are large", () => {
  let versions: readonly AppVersion[] = [];
  for (let round = 0; round < 15; round++) versions = withAppVersion(versions, rollout(done));
  assert.deepEqual(versions.map(({ number }) => number), Array.from({ length: maxAppVersions }, (_, at) => at + 6));
  const many = Array.from({ length: 600 }, (_, at) => ({ ...done, unit: `${at}.service` }));
  for (let round = 0; round < 5; round++) versions = withAppVersion(versions, rollout(...many));
  assert.equal(versions.at(-1)?.number, 20);
  assert.ok(versions.length > 1 && JSON.stringify(versions).length <= maxHistory_characters, `${versions.length}`);
  const huge = Array.from({ length: 5_000 }, (_, at) => ({ ...done, unit: `${at}.service` }));
  assert.equal(withAppVersion(versions, rollout(...huge)).length, 1);
});
