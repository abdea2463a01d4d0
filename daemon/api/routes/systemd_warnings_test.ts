import assert from "node:assert/strict";
import { ApiFixture, optionsOf } from "../../../tests/support/api_fixture.ts";
import { ManualClock } from "../../../tests/support/manual_clock.ts";
import type { LocalMachine } from "../machine/port.ts";
import type { PlanEntity } from "../v1/types.ts";
import { maxVerifiedFiles } from "./systemd_warnings.ts";

const good = "[Service]\nExecStart=/bin/true\n";

/** A machine whose systemd-analyze answers so. */
function machine(verify: LocalMachine["verify"]): LocalMachine {
  const fail = () => Promise.reject(new Error("not asked for"));
  const others = { statusText: fail, statusProperties: fail, usage: fail, fetchPeer: fail };
  return { id: () => "m1", journal: () => new Blob([]).stream(), ...others, verify };
}

/** Plans files, and returns the warnings of each unit that has some. */
async function warnings(
  api: ApiFixture,
  files: Readonly<Record<string, string>>,
): Promise<Record<string, readonly string[]>> {
  const units = Object.entries(files).map(([name, text]) => ({ name, options: optionsOf(text) }));
  const answer = await api.send("POST", "/fleet/v1/plan", { body: { units } });
  assert.equal(answer.code, 200, answer.text);
  const plan = JSON.parse(answer.text) as PlanEntity;
  return Object.fromEntries(plan.units!.flatMap(({ name, warnings }) => warnings ? [[name, warnings]] : []));
}

Deno.test("a plan names what systemd finds in files that it would store", async () => {
  const asked: ReadonlyMap<string, string>[] = [];
  const verify = (files: ReadonlyMap<string, string>) => {
    asked.push(files);
    return Promise.resolve(`
/run/fleet/verify/a.service:3: Unknown key 'Restrat' in section [Service], ignoring.
/run/fleet/verify/a.service:4: Failed to parse sec value, ignoring: soon
/run/fleet/verify/a.service:6: Unknown section 'Servcie'. Ignoring.
a.service: Command /opt/a is not executable: No such file or directory
t@i.service: Service has no ExecStart=, ExecStop=, or SuccessAction=. Refusing.
/run/systemd/system/old.service:1: Unknown key 'X' in section [Unit], ignoring.
other.service: Something else.
quadlet-generator[7]: converting "web.container": unsupported key 'Exek' in group 'Container' in /run/fleet/verify/web.container
quadlet-generator[7]: converting "job.container": requested Quadlet source gone.volume was not found
`);
  };
  await using api = await ApiFixture.open({ localMachine: machine(verify) });
  await api.put("old.service", "inactive", good);
  await api.put("lan.network", "inactive", "[Network]\nLabel=a=b\n");
  const files = {
    "a.service": `[Service]\nExecStart=/opt/a\nRestrat=${"x".repeat(80)}\nRestartSec=soon\n[Servcie]\nA=b\n`,
    "t@.service": "[Unit]\nDescription=t\n",
    "t@1.service": "[Unit]\nDescription=t\n",
    "t@2.service": good,
    "web.container": "[Container]\nExek=web\nNetwork=lan.network\n",
    "job.container": "[Container]\nImage=job\nVolume=gone.volume:/a\n",
    "old.service": good,
  };
  const long = `Restrat=${"x".repeat(72)}…`;
  assert.deepEqual(await warnings(api, files), {
    "a.service": [
      'unrecognized section: "[Servcie]" (did you mean "[Service]"?)',
      `systemd: ${long}: Unknown key 'Restrat' in section [Service], ignoring.`,
      "systemd: RestartSec=soon: Failed to parse sec value, ignoring: soon",
    ],
    "t@.service": ["systemd: Service has no ExecStart=, ExecStop=, or SuccessAction=. Refusing."],
    "web.container": ["podman makes no service of it: unsupported key 'Exek' in group 'Container'"],
  });
  const checked = ["a.service", "t@.service", "t@2.service", "web.container", "job.container", "lan.network"];
  assert.deepEqual(asked.map((files) => [...files.keys()]), [checked]);

  // Nothing of a plan without new files is checked, nor of one with too many.
  await warnings(api, { "old.service": good });
  await warnings(
    api,
    Object.fromEntries(Array.from({ length: maxVerifiedFiles + 1 }, (_, i) => [`${i}.service`, good])),
  );
  assert.equal(asked.length, 1);
});

Deno.test("a plan does without systemd-analyze if it is missing or fails", async () => {
  const answers: (() => Promise<string | undefined>)[] = [
    () => Promise.resolve(undefined),
    () => Promise.reject(new Error("no space left on device")),
  ];
  for (const answer of answers) {
    await using api = await ApiFixture.open({ localMachine: machine(answer) });
    assert.deepEqual(await warnings(api, { "a.service": good }), {});
  }
  await using api = await ApiFixture.open();
  assert.deepEqual(await warnings(api, { "a.service": good }), {});
});

Deno.test("plans are checked one after the other, and do not wait for long", async () => {
  const clock = new ManualClock();
  const starts: string[] = [];
  const isChecking = Promise.withResolvers<void>();
  const verify = (files: ReadonlyMap<string, string>, signal: AbortSignal) => {
    if (signal.aborted) return Promise.reject(signal.reason);
    starts.push(...files.keys());
    isChecking.resolve();
    return new Promise<string>((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
  };
  await using api = await ApiFixture.open({ localMachine: machine(verify), clock });
  const first = warnings(api, { "a.service": good });
  await isChecking.promise;
  const second = warnings(api, { "b.service": good });
  // The second plan waits once it has taken a request's place.
  while (clock.sleeps.filter((sleep) => sleep === 5_000).length < 2) {
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  clock.advance(5_000);
  assert.deepEqual(await Promise.all([first, second]), [{}, {}]);
  assert.deepEqual(starts, ["a.service"]);
});
