/** Containers by Quadlet on real machines: three with podman, and one without. */

import assert from "node:assert/strict";
import type { ExplanationEntity } from "../../../daemon/api/v1/types.ts";
import { type FleetCluster, sleeper, withFleet } from "../../lab/fleet_cluster.ts";
import { fleetctl } from "../../lab/fleet.ts";
import { checkFiles } from "../../lab/file_table.ts";
import type { Machine } from "../../lab/machine.ts";
import { type Output, until } from "../../lab/process.ts";
import { container_image, container_root } from "../../lab/rootfs.ts";

/** A Quadlet file of a container that runs `command`. */
const container = (command: string, ...lines: string[]) =>
  `[Container]
Rootfs=${container_root}
Exec=${command}
Network=host
${lines.map((line) => `${line}\n`).join("")}PodmanArgs=--stop-timeout=1
`;

/** The machine without podman. */
const observer = (cluster: FleetCluster) => cluster.machine("m4");

async function explain(cluster: FleetCluster, name: string): Promise<ExplanationEntity> {
  return await (await cluster.request(observer(cluster), "GET", `/units/${name}/explain`)).json();
}

/** Waits until a unit is active on one machine, and returns that. */
async function home(cluster: FleetCluster, name: string): Promise<Machine> {
  return cluster.byId((await cluster.active(observer(cluster), [name])).get(name)!);
}

const running = (machine: Machine) => machine.must(["podman", "ps", "--noheading", "--format={{.Names}} {{.Command}}"]);

async function startsAndUpdates(cluster: FleetCluster): Promise<void> {
  const m4 = observer(cluster);
  await m4.writeFile("/root/web.container", container("/bin/sleep 1001"));
  await cluster.fleetctl(m4, "start", "/root/web.container");
  const machine = await home(cluster, "web.container");
  assert.notEqual(machine, m4, "a machine without podman takes no container");
  assert.match(await running(machine), /^systemd-web \/bin\/sleep 1001$/m);
  const { machines } = await explain(cluster, "web.container");
  const refusal = machines!.find(({ machineID }) => machineID === m4.id)!;
  assert.deepEqual(refusal.reasons?.map(({ rule }) => rule), ["Quadlet"]);

  // The status and the journal are those of the service.
  const { stdout } = await cluster.fleetctl(m4, "list-units", "--no-legend", "--fields=unit,active,sub");
  assert.match(stdout, /^web\.container\tactive\trunning$/m);
  const status = await cluster.request(machine, "GET", "/units/web.container/status");
  assert.match(await status.text(), /web\.service[^]*Active: active \(running\)/);

  // A new version stops the container and starts the new one in its place.
  await m4.writeFile("/root/web.container", container("/bin/sleep 1002"));
  await cluster.fleetctl(m4, "start", "--replace", "/root/web.container");
  await until("the new container", async () => {
    return /^systemd-web \/bin\/sleep 1002$/m.test(await running(machine)) ? true : undefined;
  });
  assert.equal(await home(cluster, "web.container"), machine, "it stays on its machine");
}

/** Kills the daemon of a machine, and waits until the next one has joined. */
async function kill(cluster: FleetCluster, machine: Machine): Promise<void> {
  const pid = () => machine.must(["systemctl", "show", "--value", "--property=MainPID", "fleet.service"]);
  const killed = await pid();
  await machine.must(["systemctl", "kill", "--signal=KILL", "--kill-whom=main", "fleet.service"]);
  await until("the next daemon", async () => ["0", killed.trim()].includes((await pid()).trim()) ? undefined : true);
  await cluster.joined(cluster.lab.machines);
}

async function adopts(cluster: FleetCluster): Promise<void> {
  const machine = await home(cluster, "web.container");
  const invocation = () => machine.must(["systemctl", "show", "--value", "--property=InvocationID", "web.service"]);
  const before = await invocation();
  // An upgrade of podman takes its generator away for a moment.
  const generator = "/usr/lib/systemd/system-generators/podman-system-generator";
  await machine.must(["mv", generator, "/root/generator"]);
  await kill(cluster, machine);
  // When this unit runs, the new daemon has looked at all units of the machine.
  const m4 = observer(cluster);
  await cluster.put(m4, "probe.service", "launched", `${sleeper}[X-Fleet]\nMachineID=${machine.id}\n`);
  assert.equal(await home(cluster, "probe.service"), machine);
  await cluster.destroy(m4, "probe.service");
  assert.equal(await home(cluster, "web.container"), machine);
  const { machines } = await explain(cluster, "web.container");
  assert.equal(machines?.find(({ machineID }) => machineID === machine.id)?.error, undefined);
  await machine.must(["mv", "/root/generator", generator]);
  await kill(cluster, machine);
  assert.equal(await home(cluster, "web.container"), machine);
  assert.equal(await invocation(), before, "a daemon that is killed leaves containers running");
}

/** Writes unit files to the observer's disk, and runs fleetctl there with their paths. */
async function apply(cluster: FleetCluster, command: readonly string[], files: Readonly<Record<string, string>>) {
  const m4 = observer(cluster);
  const paths = Object.keys(files).map((name) => `/root/${name}`);
  for (const [name, text] of Object.entries(files)) await m4.writeFile(`/root/${name}`, text);
  return await cluster.fleetctl(m4, ...command, ...paths);
}

const podYaml = `apiVersion: v1
kind: Pod
metadata:
  name: play
spec:
  hostNetwork: true
  terminationGracePeriodSeconds: 1
  containers:
  - name: sleeper
    image: localhost/busybox:1
    imagePullPolicy: Never
    command: ["/bin/sleep", "1010"]
`;

/** Files on the disk of each machine that Quadlet files name. */
const machineFiles = {
  "/opt/play.yaml": podYaml,
  "/opt/site/Containerfile": "FROM localhost/busybox:1\nCOPY page /page\n",
  "/opt/site/page": "hello\n",
};

/** One application with a file of each other type. No registry can be reached, so the image comes from a file. */
const images = (version: number) => ({
  "busybox.image": `[Image]
Image=docker-archive:${container_image}
ImageTag=localhost/busybox:1
`,
  "site.build": `[Unit]
Requires=busybox-image.service
After=busybox-image.service
[Build]
ImageTag=localhost/site:1
SetWorkingDirectory=/opt/site
File=/opt/site/Containerfile
PodmanArgs=--label=version=${version}
[X-Fleet]
MachineOf=busybox.image
`,
});

const containers = {
  "group.pod": "[Pod]\nPodName=group\nNetwork=host\n",
  "lan.network": "[Network]\nLabel=a=b\n",
  "inner.container": `[Container]
Image=busybox.image
Pod=group.pod
Exec=/bin/sleep 1011
PodmanArgs=--stop-timeout=1
`,
  "page.container": `[Container]
Image=site.build
Network=lan.network
Exec=/bin/sh -c 'cat /page; ip -4 address; exec sleep 1012'
PodmanArgs=--stop-timeout=1
`,
  "play.kube": `[Unit]
Requires=busybox-image.service
After=busybox-image.service
[Kube]
Yaml=/opt/play.yaml
[X-Fleet]
MachineOf=busybox.image
`,
};

/** Returns the invocation of each service on a machine, by unit. */
async function invocations(machine: Machine, units: Readonly<Record<string, string>>): Promise<Record<string, string>> {
  const show = ["systemctl", "show", "--value", "--property=InvocationID"];
  const found = Object.entries(units).map(async ([unit, service]) => [unit, await machine.must([...show, service])]);
  return Object.fromEntries(await Promise.all(found));
}

async function everyType(cluster: FleetCluster): Promise<void> {
  const m4 = observer(cluster);
  const units = { "inner.container": "inner", "page.container": "page", "play.kube": "play" };
  await apply(cluster, ["load"], images(1));
  await apply(cluster, ["start", "--timeout=50"], containers);
  const machine = await home(cluster, "inner.container");
  const homes = await Promise.all(Object.keys(units).map((unit) => home(cluster, unit)));
  assert.deepEqual(homes, [machine, machine, machine], "files that refer to each other are on one machine");
  const seen = await machine.must(["podman", "ps", "--noheading", "--format={{.Names}} {{.Image}} {{.PodName}}"]);
  assert.match(seen, /^systemd-inner localhost\/busybox:1 group$/m);
  assert.match(seen, /^play-sleeper localhost\/busybox:1 play$/m);
  assert.match(await machine.must(["podman", "logs", "systemd-page"]), /^hello$[^]*inet 10\.[^]* eth0$/m);

  // A new version of a file restarts the containers that use it, and no others.
  const replace = async (command: string, files: Readonly<Record<string, string>>, restarted: readonly string[]) => {
    const before = await invocations(machine, units);
    await apply(cluster, [command, "--replace"], files);
    await until(`${restarted.join()} to be started again after a change of ${Object.keys(files)}`, async () => {
      const after = await invocations(machine, units);
      return restarted.every((unit) => after[unit] !== before[unit]) ? true : undefined;
    });
    await cluster.active(m4, Object.keys(units));
    const after = await invocations(machine, units);
    const kept = Object.keys(units).filter((unit) => !restarted.includes(unit));
    assert.deepEqual(kept.map((unit) => after[unit]), kept.map((unit) => before[unit]), `${kept.join()} run on`);
  };
  await replace("start", { "group.pod": `${containers["group.pod"]}PodmanArgs=--shm-size=32m\n` }, ["inner.container"]);
  await replace("load", { "site.build": images(2)["site.build"] }, ["page.container"]);
  const label = await machine.must(["podman", "inspect", "--format={{.Config.Labels.version}}", "systemd-page"]);
  assert.equal(label.trim(), "2", "the container runs on the new build");
  const image = { "busybox.image": `${images(1)["busybox.image"]}PodmanArgs=--quiet\n` };
  await replace("load", image, ["inner.container", "play.kube"]);
  await cluster.fleetctl(m4, "destroy", ...Object.keys({ ...containers, ...images(2) }));
}

async function templates(cluster: FleetCluster): Promise<void> {
  await apply(cluster, ["submit"], {
    "copy@.container": `${container("/bin/sleep 10%i")}[X-Fleet]\nConflicts=copy@*.container\n`,
  });
  const names = ["copy@21.container", "copy@22.container", "copy@23.container"];
  await cluster.fleetctl(observer(cluster), "start", ...names);
  const homes = await cluster.active(observer(cluster), names);
  assert.equal(new Set(names.map((name) => homes.get(name))).size, 3, "each instance is on a machine of its own");
  for (const name of names) {
    const number = name.slice(5, 7);
    assert.match(
      await running(cluster.byId(homes.get(name)!)),
      new RegExp(`^systemd-copy_${number} /bin/sleep 10${number}$`, "m"),
    );
  }
  await cluster.fleetctl(observer(cluster), "destroy", ...names, "copy@.container");
}

async function broken(cluster: FleetCluster): Promise<void> {
  const m4 = observer(cluster);
  await cluster.put(m4, "bad.container", "launched", container("/bin/sleep 1", "Exek=x"));
  const { machines } = await until("the reason of the generator", async () => {
    const shown = await explain(cluster, "bad.container");
    return shown.machines?.some(({ error }) => error !== undefined) ? shown : undefined;
  });
  const [error] = machines!.flatMap(({ error }) => error ?? []);
  assert.equal(
    error,
    `cannot install "bad.container": podman makes no service of it: unsupported key 'Exek' in group 'Container'`,
  );
  const machine = await home(cluster, "web.container");
  assert.match(await running(machine), /1002/, "other containers run on");
  await cluster.destroy(m4, "bad.container");

  // A service and a container of one name exclude each other on a machine.
  await cluster.put(m4, "web.service", "launched", `${sleeper}[X-Fleet]\nMachineOf=web.container\n`);
  await until("the refusal of the taken name", async () => {
    const shown = await explain(cluster, "web.service");
    return shown.machines?.some(({ error }) => error?.includes("web.container")) ? true : undefined;
  });
  await cluster.destroy(m4, "web.service");
  await cluster.destroy(m4, "web.container");
}

async function attachedFiles(cluster: FleetCluster): Promise<void> {
  const reader = container("/bin/sleep 1030", "Volume=%t/fleet/files/%n:/etc:ro");
  await observer(cluster).writeFile("/root/settings", "mounted\n");
  await apply(cluster, ["start"], { "reader.container": `${reader}[X-Fleet]\nFile=settings\n` });
  const machine = await home(cluster, "reader.container");
  assert.equal(await machine.must(["podman", "exec", "systemd-reader", "cat", "/etc/settings"]), "mounted\n");
  await cluster.destroy(observer(cluster), "reader.container");
  await until("the files to be gone", async () => {
    return (await machine.run(["test", "-e", "/run/fleet/files/reader.service"])).code === 0 ? undefined : true;
  });
}

/** An application of a volume and two containers that share it: one writes a page, the other serves it. */
const shop = (version: string) => ({
  "shop-data.container": container(
    `/bin/sh -c 'echo ${version} >/srv/version; exec sleep 1020'`,
    "Volume=shop.volume:/srv",
  ),
  "shop-web.container": container("/bin/busybox httpd -f -p 8080 -h /srv", "Volume=shop.volume:/srv"),
});

async function shopMoves(cluster: FleetCluster): Promise<void> {
  const m4 = observer(cluster);
  const serves = async (version: string, but?: Machine): Promise<Machine> => {
    return await until(`version ${version} of the shop`, async () => {
      const states = (await cluster.states(m4)).filter(({ name }) => name?.startsWith("shop"));
      const ids = new Set(states.map(({ machineID }) => machineID!));
      const machine = ids.size === 1 && states.length === 3 ? cluster.byId([...ids][0]!) : undefined;
      if (machine === undefined || machine === but) return undefined;
      const page = await machine.run(["busybox", "wget", "-qO-", "http://127.0.0.1:8080/version"]);
      return page.stdout.trim() === version ? machine : undefined;
    });
  };
  await apply(cluster, ["start"], { "shop.volume": "[Volume]\nLabel=app=shop\n", ...shop("1") });
  const first = await serves("1");
  const directory = "/run/containers/systemd/fleet";
  await checkFiles(first, "root", [directory], [directory, `${directory}/*`]);
  const data = "shop-data.container";
  await apply(cluster, ["start", "--replace"], { [data]: shop("2")[data] });
  assert.equal(await serves("2"), first, "it stays on its machine");
  await cluster.fleetctl(m4, "rollback", data);
  assert.equal(await serves("1"), first);

  // A file that podman refuses ends the container with the generator's reason. The version before it runs again.
  await assert.rejects(
    apply(cluster, ["start", "--replace"], { [data]: shop("3")[data].replace("Exec=", "Exek=") }),
    /podman makes no service of it: unsupported key 'Exek' in group 'Container'/,
  );
  await cluster.fleetctl(m4, "rollback", data);
  assert.equal(await serves("1"), first);

  // All three move together from a machine that is lost.
  await first.powerCut();
  const second = await serves("1", first);
  await cluster.fleetctl(m4, "destroy", data, "shop-web.container", "shop.volume");
  await until("the files to be gone", async () => (await second.must(["ls", directory])) === "" ? true : undefined);
  assert.doesNotMatch(await running(second), /shop/);
}

/** An application of two instances of a template, and of a container that uses a volume and a network. They stop at once. */
const notes = (command: string, minHealthyTime = "1s") => ({
  "notes-data.volume": "[Volume]\nLabel=app=notes\n",
  "notes.network": "[Network]\nLabel=app=notes\n",
  "keeper.container": `${container("/bin/sleep 1040", "Volume=notes-data.volume:/srv")}[X-Fleet]\nMinHealthyTime=1s\n`
    .replace("Network=host", "Network=notes.network"),
  "notes@.container":
    `${
      container(command).replace("--stop-timeout=1", "--stop-signal=KILL")
    }[X-Fleet]\nInstances=2\nConflicts=notes@*.container\n` +
    `MinHealthyTime=${minHealthyTime}\nHealthyDeadline=10min\n`,
});

async function rolledOut(cluster: FleetCluster): Promise<void> {
  const m4 = observer(cluster);
  const instances = ["notes@1.container", "notes@2.container"];
  const keeper = "keeper.container";
  const applied = async (files: Readonly<Record<string, string>>, ...flags: readonly string[]) => {
    await m4.must(["rm", "-rf", "/root/notes"]);
    for (const [name, text] of Object.entries(files)) await m4.writeFile(`/root/notes/${name}`, text);
    return await fleetctl(m4, "apply", "--yes", ...flags, "/root/notes");
  };
  const done = (output: Output) => assert.equal(output.code, 0, output.stdout + output.stderr);
  /** The machine, the command and the start of each container. */
  const runs = async () => {
    const where = await cluster.active(m4, [...instances, keeper]);
    const services = [["notes@1", "notes_1"], ["notes@2", "notes_2"], ["keeper", "keeper"]] as const;
    return await Promise.all(services.map(async ([unit, container]) => {
      const machine = cluster.byId(where.get(`${unit}.container`)!);
      const command = new RegExp(`^systemd-${container} (.*)$`, "m").exec(await running(machine))?.[1];
      return { machine: machine.name, command, start: await cluster.invocation(machine, `${unit}.service`) };
    }));
  };
  const commands = async () => (await runs()).map(({ command }) => command);

  done(await applied(notes("/bin/sleep 105%i")));
  const first = await runs();
  assert.deepEqual(await commands(), ["/bin/sleep 1051", "/bin/sleep 1052", "/bin/sleep 1040"]);
  assert.notEqual(first[0]!.machine, first[1]!.machine);
  done(await applied(notes("/bin/sleep 106%i")));
  const second = await runs();
  assert.deepEqual(await commands(), ["/bin/sleep 1061", "/bin/sleep 1062", "/bin/sleep 1040"]);
  assert.deepEqual(second.map(({ machine }) => machine), first.map(({ machine }) => machine));
  assert.deepEqual(second[2], first[2], "a container whose file is the same runs on");

  // The machine has to have podman to find what podman would refuse.
  const home1 = cluster.machine(second[0]!.machine);
  for (const [name, text] of Object.entries(notes("/bin/sleep 106%i"))) {
    await home1.writeFile(`/root/notes/${name}`, text.replace("Exec=", "Exek="));
  }
  const warning =
    /^~ replace keeper\.container\n(?: .*\n)* {4}warning: podman makes no service of it: unsupported key 'Exek' in group 'Container'$/m;
  // A plan does without warnings if the check takes too long.
  await until("the warning of podman", async () => warning.test((await fleetctl(home1, "diff", "/root/notes")).stdout));

  // One version ends when it has started, and the other cannot start: the first instance goes back, the second runs on.
  for (const command of ["/bin/sh -c 'exit 3'", "/bin/missing"]) {
    const { code, stderr } = await applied(notes(command, "20s"));
    assert.equal(code, 1);
    assert.match(stderr, /unit notes@1\.container failed on machine \w+ with result exit-code$/m);
    assert.match(stderr, /^The roll-out of notes was rolled back/m);
    const [one, ...others] = await runs();
    assert.equal(one!.command, "/bin/sleep 1061");
    assert.deepEqual(others, second.slice(1));
  }
  done(await fleetctl(m4, "rollback", "--yes", "--to=1", "notes"));
  assert.deepEqual(await commands(), ["/bin/sleep 1051", "/bin/sleep 1052", "/bin/sleep 1040"]);

  // The plan names the container that a change of its volume restarts. The two others run on.
  const unchanged = await runs();
  const volume = { "notes-data.volume": "[Volume]\nLabel=app=notes2\n" };
  const changed = await applied({ ...notes("/bin/sleep 105%i"), ...volume });
  done(changed);
  assert.match(changed.stdout, /^ {2}affect keeper\.container\n {4}restart on .*, together with notes-data\.volume$/m);
  assert.doesNotMatch(changed.stdout, /affect notes/);
  await until("the container to be started again", async () => (await runs())[2]!.start !== unchanged[2]!.start);

  const before = await runs();
  assert.deepEqual(before.slice(0, 2), unchanged.slice(0, 2));
  const { [keeper]: _keeper, ...rest } = { ...notes("/bin/sleep 105%i"), ...volume };
  const pruned = await applied(rest, "--prune");
  done(pruned);
  assert.match(pruned.stdout, /^- destroy keeper\.container$/m);
  const home = cluster.machine(before[2]!.machine);
  await until("the container to be gone", async () => !/systemd-keeper/.test(await running(home)));
  const starts = await Promise.all(
    before.slice(0, 2).map(({ machine }, index) => {
      return cluster.invocation(cluster.machine(machine), `notes@${index + 1}.service`);
    }),
  );
  assert.deepEqual(starts, before.slice(0, 2).map(({ start }) => start), "the others run on");
  await cluster.fleetctl(m4, "destroy", ...instances, "notes@.container", "notes-data.volume", "notes.network");
}

Deno.test("containers by Quadlet", async (t) => {
  const podman = { base: "podman", files: machineFiles } as const;
  const machines = [podman, podman, podman, {}];
  await withFleet({ machines, conf: { agent_ttl: "5s" } }, async (cluster) => {
    await t.step(
      "a container starts on a machine with podman, and a new version replaces it",
      () => startsAndUpdates(cluster),
    );
    await t.step("containers run on while the daemon is killed", () => adopts(cluster));
    await t.step("a file that podman refuses has the reason, and others run on", () => broken(cluster));
    await t.step("files of every type work, and a new version of one restarts what uses it", () => everyType(cluster));
    await t.step("instances of a template run on machines of their own", () => templates(cluster));
    await t.step("a container reads the files of its unit", () => attachedFiles(cluster));
    await t.step(
      "an application of containers is rolled out, goes back by itself if it fails, and is pruned",
      () => rolledOut(cluster),
    );
    await t.step(
      "an application of two containers and a volume is updated, rolled back, and moves from a lost machine",
      () => shopMoves(cluster),
    );
  });
});
