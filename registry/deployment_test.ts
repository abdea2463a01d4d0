import assert from "node:assert/strict";
import { readUnitFile, serializeUnitFile } from "../systemd/unit_file.ts";
import {
  deploymentOf,
  deploymentProblem,
  instanceOf,
  instanceOptions,
  rolloutOptionsOf,
  withInstances,
} from "./deployment.ts";

const options = (...lines: string[]) =>
  readUnitFile(`[Service]\nExecStart=/bin/a\n[X-Fleet]\n${lines.join("\n")}`).options;

Deno.test("the instances of a template are numbers or names", () => {
  const instances = (...lines: string[]) => deploymentOf("web@.service", options(...lines)).instances;
  assert.deepEqual(instances("Instances=3"), ["1", "2", "3"]);
  assert.deepEqual(instances("Instances=blue, green,blue"), ["blue", "green"]);
  assert.deepEqual(instances("Instances=0"), []);
  assert.deepEqual(instances("Instances="), []);
  assert.deepEqual(instances(), []);
  assert.deepEqual(instances("Instances=3", "Instances=1"), ["1"], "the last value counts");
  assert.deepEqual(instances("Instances=blue, \\", "# comment", "  green"), ["blue", "green"], "a continued line");
  assert.deepEqual(deploymentOf("web.service", options("Instances=3")).instances, [], "only a template has instances");
});

Deno.test("a unit is launched unless Desired= says otherwise", () => {
  const desired = (...lines: string[]) => deploymentOf("a.service", options(...lines)).desiredState;
  assert.equal(desired(), "launched");
  assert.equal(desired("Desired=loaded"), "loaded");
  assert.equal(desired("Desired=loaded", "Desired=inactive"), "inactive");
});

Deno.test("values that mean nothing are refused with the reason", () => {
  const problem = (name: string, line: string) => deploymentProblem(name, options(line));
  for (
    const line of ["Instances=3", "Instances=1000", "Instances=eu-1,eu-2", "Instances=", "Desired=launched", "Desired="]
  ) {
    assert.equal(problem("web@.service", line), undefined, line);
  }
  assert.equal(problem("web@1.service", "Instances=3"), undefined, "a template may have been put as an instance");
  for (
    const [name, line, message] of [
      ["web.service", "Instances=3", /^Instances= belongs in a template, such as web@\.service$/],
      ["web@.service", "Instances=1001", /^Instances="1001" is neither a number up to 1000 nor a list/],
      ["web@.service", "Instances=a,,b", /^Instances="a,,b" is neither a number up to 1000 nor a list/],
      ["web@.service", "Instances=a/b", /^Instances= names "a\/b", which no unit name may contain$/],
      [`${"w".repeat(250)}@.x`, "Instances=1", /^Instances= names "1", which no unit name may contain$/],
      ["a.service", "Desired=running", /^Desired="running" is not a state: expect launched, loaded, inactive$/],
    ] as const
  ) assert.match(problem(name, line) ?? "", message);
});

Deno.test("the file of an instance does not depend on the number of instances", () => {
  assert.deepEqual(
    instanceOptions(options("Instances=3", "Conflicts=web@*.service")),
    instanceOptions(options("Conflicts=web@*.service", "Instances=4")),
  );
  const elsewhere = readUnitFile("[Service]\nInstances=3\n").options;
  assert.deepEqual(instanceOptions(elsewhere), elsewhere, "other sections keep their options");
});

Deno.test("the name of an instance is made of the template's", () => {
  assert.equal(instanceOf("web@.service", "$&"), "web@$&.service");
  assert.equal(instanceOf("web@1.service", "2"), "web@2.service");
});

Deno.test("another number of instances is written where the old one was, or into [X-Fleet]", () => {
  const written = (text: string, value: string) => serializeUnitFile(withInstances(readUnitFile(text).options, value));
  const service = "[Service]\nExecStart=/bin/a\n";
  const fleet = `${service}\n[X-Fleet]\nInstances=5\nConflicts=b\n`;
  assert.equal(written(`${service}[X-Fleet]\nInstances=3\nConflicts=b`, "5"), serialized(fleet));
  assert.equal(written(`${service}[X-Fleet]\nInstances=3\nInstances=2\nConflicts=b`, "5"), serialized(fleet));
  assert.equal(
    written(`${service}[X-Fleet]\nConflicts=b`, "5"),
    serialized(`${service}[X-Fleet]\nConflicts=b\nInstances=5`),
  );
  assert.equal(written(service, "blue,green"), serialized(`${service}[X-Fleet]\nInstances=blue,green`));
});

const serialized = (text: string) => serializeUnitFile(readUnitFile(text).options);

Deno.test("a unit says how a roll-out changes it, and values that mean nothing are refused", () => {
  const standard = { maxParallel: 1, healthyDeadline_ms: 60_000, minHealthyTime_ms: 3_000 };
  assert.deepEqual(rolloutOptionsOf(options()), standard);
  assert.deepEqual(
    rolloutOptionsOf(options("MaxParallel=1", "MaxParallel=20", "HealthyDeadline=2min 30s", "MinHealthyTime=0")),
    { maxParallel: 20, healthyDeadline_ms: 150_000, minHealthyTime_ms: 0 },
  );
  const time = (name: string, shortest: string) =>
    new RegExp(`^${name}=".*" is not a time span from ${shortest} to 1d: `);
  for (
    const [line, message] of [
      ["MaxParallel=0", /^MaxParallel="0" is not a number from 1 to 1000$/],
      ["MaxParallel=1001", /^MaxParallel="1001" is not a number/],
      ["MaxParallel=25%", /^MaxParallel="25%" is not a number/],
      ["HealthyDeadline=0", time("HealthyDeadline", "1s")],
      ["HealthyDeadline=2d", time("HealthyDeadline", "1s")],
      ["MinHealthyTime=soon", time("MinHealthyTime", "0s")],
    ] as const
  ) {
    assert.match(deploymentProblem("web@.service", options(line)) ?? "", message);
    assert.deepEqual(rolloutOptionsOf(options(line)), standard, line);
  }
  for (const line of ["MaxParallel=1000", "MaxParallel=", "HealthyDeadline=1d", "MinHealthyTime="]) {
    assert.equal(deploymentProblem("web@.service", options(line)), undefined, line);
  }
});
