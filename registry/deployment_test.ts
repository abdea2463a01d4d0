import assert from "node:assert/strict";
import { readUnitFile } from "../systemd/unit_file.ts";
import { deploymentOf, deploymentProblem, instanceOf, instanceOptions } from "./deployment.ts";

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
      ["a.service", "Desired=running", /^Desired="running" is no state: expect launched, loaded, inactive$/],
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
