/** The faults of a chaos run: how each begins and ends. */

import { type FleetCluster, optionsOf } from "../../lab/fleet_cluster.ts";
import type { Machine } from "../../lab/machine.ts";
import { run, until } from "../../lab/process.ts";
import { request } from "./load.ts";
import type { Random } from "../../support/random.ts";

/** The parts of a run that a fault may use. */
export interface Scene {
  readonly cluster: FleetCluster;
  readonly random: Random;
  /** The cluster's agent_ttl. */
  readonly ttl_ms: number;
  /** The machine that the fault affects. */
  readonly victim: Machine;
}

/** Ends a fault. Returns its effect, if that can be measured. */
export type End = () => Promise<string | void>;

/** One kind of fault. */
export interface Fault {
  readonly name: string;
  /** The row of the report. */
  readonly title: string;
  /** Two faults of etcd are not combined, because the end of one could undo the other. */
  readonly of: "machine" | "etcd";
  /** True: the victim may lose its membership, so its units may stop, or move, and be stopped when it is back. */
  readonly isolates?: boolean;
  /** True: fleetd does not run while it lasts, so it cannot stop a unit with StopWhenDisconnected= in time. */
  readonly freezes?: boolean;
  /** True: no other fault may have the same victim. */
  readonly alone?: boolean;
  /** True: it needs the API to begin, so it begins before a fault that may take the API away, and ends after it. */
  readonly first?: boolean;
  /** True: it breaks what a run checks, to show that the run finds it. */
  readonly mustBeFound?: boolean;
  /** The victim is the machine whose engine leads. */
  readonly leader?: boolean;
  /** The shortest and the longest time that it lasts, as a part of agent_ttl. */
  readonly lasts: readonly [number, number];
  readonly begin: (scene: Scene) => Promise<End>;
}

const nothing: End = () => Promise.resolve();
const at_once = [0, 0] as const;

/** Sends a signal to fleetd. Waits while another fault has it restart. */
const signal = (machine: Machine, name: string) =>
  until(`${name} for fleetd on ${machine.name}`, () => {
    return machine.must(["systemctl", "kill", `--signal=${name}`, "fleet.service"]);
  }, { deadline_ms: 30_000 });

/** A fault of etcd members, on one that does not lead, on the leader, and on all. */
function etcdFault(
  verb: "kill" | "pause" | "restart",
  title: string,
  lasts: Fault["lasts"],
  begin: (scene: Scene, members: number[]) => Promise<End>,
): Fault[] {
  const make = (whom: string, words: string, choose: (leader: number, random: Random) => number[]): Fault => ({
    name: `etcd-${verb}-${whom}`,
    title: `${words} ${title}`,
    of: "etcd",
    lasts,
    begin: async (scene) => await begin(scene, choose(await scene.cluster.lab.etcd.leader(), scene.random)),
  });
  return [
    make("one", "one etcd member", (leader, random) => [random.pick([0, 1, 2].filter((at) => at !== leader))]),
    make("leader", "the etcd leader", (leader) => [leader]),
    make("all", "every etcd member", () => [0, 1, 2]),
  ];
}

/** A unit that does harm on the victim while the fault lasts. It is destroyed at the end. */
async function harmfulUnit({ cluster, random, victim }: Scene, name: string, service: string): Promise<End> {
  const options = optionsOf(`[Service]\n${service}[X-Fleet]\nMachineID=${victim.id}\n`);
  await insist(cluster, random, "PUT", name, { name, desiredState: "launched", options });
  await until(`${name} to be active on ${victim.name}`, async () => {
    return (await victim.run(["systemctl", "is-active", name])).code === 0 || undefined;
  }, { deadline_ms: 60_000, every_ms: 100 });
  return () => insist(cluster, random, "DELETE", name);
}

/** Sends a request to random machines until one acknowledges it. */
async function insist(cluster: FleetCluster, random: Random, method: "PUT" | "DELETE", name: string, body?: unknown) {
  await until(`${method} ${name} to be acknowledged`, async () => {
    const { outcome, detail } = await request(random.pick(cluster.lab.machines), method, name, body);
    if (outcome !== "done") throw new Error(detail);
    return true;
  }, { deadline_ms: 60_000, every_ms: 200 });
}

/** Fills the disk below the victim's /run, which is a file system in memory. */
async function fillRun({ victim }: Scene): Promise<End> {
  const size = await victim.sh(`
    size=$(findmnt --bytes --noheadings --output=SIZE /run) used=$(findmnt --bytes --noheadings --output=USED /run)
    mount -o remount,size=$((used + 131072)) /run
    cat /dev/zero >/run/filler 2>/dev/null || true
    echo $size`);
  return async () => {
    await victim.sh(`rm -f /run/filler; mount -o remount,size=${size.trim()} /run`);
  };
}

/** Fills the disk of one etcd member, and writes until that member ends. */
async function fillEtcd({ cluster, random }: Scene): Promise<End> {
  const { etcd } = cluster.lab;
  const full = random.pick([0, 1, 2]);
  const [member, other] = [etcd.members[full]!, etcd.members[(full + 1) % 3]!];
  await run(["dd", "if=/dev/zero", `of=${member.dir}/filler`, "bs=1M"]); // ends when the disk is full
  const value = "x".repeat(1024 * 1024);
  // The write-ahead log is preallocated, so the member goes on until the next file of 64 MB is needed.
  for (let puts = 0; puts < 150 && member.running; puts++) await other.ctlWith(value, "put", "/chaos-filler");
  const effect = `member ${full} ${member.running ? "goes on" : "has ended"}`;
  return async () => {
    Deno.removeSync(`${member.dir}/filler`);
    if (!member.running) {
      await member.stop("SIGKILL");
      await member.start();
    }
    await other.must("del", "/chaos-filler");
    await etcd.reclaimSpace();
    return effect;
  };
}

async function clearNetwork(victim: Machine): Promise<string> {
  return `${await victim.clearNetwork()} packets delayed or dropped`;
}

const cut = [0.3, 2.5] as const;

export const faults: readonly Fault[] = [
  {
    name: "fleetd-kill",
    title: "`kill -9` of a fleetd",
    of: "machine",
    lasts: at_once,
    begin: async ({ victim }) => {
      await signal(victim, "SIGKILL");
      return nothing;
    },
  },
  {
    name: "leader-kill",
    title: "`kill -9` of the leading fleetd",
    of: "machine",
    leader: true,
    lasts: at_once,
    begin: async ({ victim }) => {
      await signal(victim, "SIGKILL");
      return nothing;
    },
  },
  {
    name: "fleetd-pause",
    title: "fleetd paused (`SIGSTOP`) for longer than `agent_ttl`",
    of: "machine",
    isolates: true,
    freezes: true,
    lasts: [1.2, 2.5],
    begin: async ({ victim }) => {
      await signal(victim, "SIGSTOP");
      return async () => {
        await signal(victim, "SIGCONT");
      };
    },
  },
  ...etcdFault("kill", "killed, started again later", [0.3, 2], async ({ cluster: { lab } }, members) => {
    await Promise.all(members.map((at) => lab.etcd.members[at]!.stop("SIGKILL")));
    return () => lab.etcd.start(...members);
  }),
  ...etcdFault("pause", "paused for longer than `agent_ttl`", [1.2, 2.5], ({ cluster: { lab } }, members) => {
    lab.etcd.pause(...members);
    return Promise.resolve(() => Promise.resolve(lab.etcd.resume(...members)));
  }),
  ...etcdFault("restart", "restarted", at_once, async ({ cluster: { lab } }, members) => {
    await lab.etcd.stop(...members);
    return () => lab.etcd.start(...members);
  }),
  {
    name: "cut",
    title: "a machine's network cut",
    of: "machine",
    isolates: true,
    alone: true,
    lasts: cut,
    begin: async ({ victim }) => {
      await victim.partition();
      return () => victim.heal();
    },
  },
  {
    name: "cut-etcd",
    title: "a machine cut off from etcd only",
    of: "machine",
    isolates: true,
    alone: true,
    lasts: cut,
    begin: async ({ victim }) => {
      await victim.loseEtcd();
      return () => victim.reachEtcd();
    },
  },
  {
    name: "slow",
    title: "a machine's network slow: 32 kbit/s, up to 400 ms of delay, then drops",
    of: "machine",
    isolates: true,
    alone: true,
    lasts: [1, 2],
    begin: async ({ victim }) => {
      await victim.slowNetwork("32kbit");
      return () => clearNetwork(victim);
    },
  },
  {
    name: "loss",
    title: "a machine's network drops 20 % of packets, both ways",
    of: "machine",
    isolates: true,
    alone: true,
    lasts: [1, 2],
    begin: async ({ victim }) => {
      await victim.losePackets(20);
      return () => clearNetwork(victim);
    },
  },
  {
    name: "power",
    title: "power cut, and boot",
    of: "machine",
    isolates: true,
    alone: true,
    lasts: [0.2, 2],
    begin: async ({ victim }) => {
      await victim.powerCut();
      return () => victim.boot({ deadline_ms: 120_000 });
    },
  },
  {
    name: "dbus",
    title: "D-Bus restarted",
    of: "machine",
    lasts: at_once,
    begin: async ({ victim }) => {
      await victim.must(["systemctl", "restart", "dbus.service"]);
      return nothing;
    },
  },
  {
    name: "reexec",
    title: "`systemctl daemon-reexec`",
    of: "machine",
    lasts: at_once,
    begin: async ({ victim }) => {
      await victim.must(["systemctl", "daemon-reexec"]);
      return nothing;
    },
  },
  { name: "run-full", title: "the disk below `/run` full", of: "machine", lasts: [1, 2], begin: fillRun },
  {
    name: "run-full-kill",
    title: "the disk below `/run` full, and `kill -9` of fleetd there",
    of: "machine",
    lasts: [1.5, 2.5],
    begin: async (scene) => {
      const end = await fillRun(scene);
      await signal(scene.victim, "SIGKILL");
      return end;
    },
  },
  { name: "etcd-full", title: "the disk of an etcd member full", of: "etcd", lasts: [0.5, 1], begin: fillEtcd },
  {
    name: "never-stops",
    title: "a unit that never stops is destroyed",
    of: "machine",
    first: true,
    lasts: [1, 2],
    begin: async (scene) => {
      const name = "x-never-stops.service";
      const ignore = `ExecStart=/bin/sh -c 'trap "" TERM HUP; while :; do sleep 1; done'\n`;
      const destroy = await harmfulUnit(scene, name, `${ignore}TimeoutStopSec=infinity\n`);
      await destroy();
      return async () => {
        await scene.victim.run(["systemctl", "kill", "--signal=SIGKILL", name]);
      };
    },
  },
  {
    name: "fork-bomb",
    title: "a fork bomb within `TasksMax=` and `LimitNPROC=`",
    of: "machine",
    first: true,
    lasts: [1, 2],
    begin: (scene) =>
      harmfulUnit(
        scene,
        "x-fork-bomb.service",
        "ExecStart=/bin/bash -c ':(){ :|:& };:; exec sleep infinity'\n" +
          // New processes escape SIGTERM, so that only the SIGKILL after the timeout ends them.
          "User=core\nTasksMax=50\nLimitNPROC=50\nTimeoutStopSec=2\n",
      ),
  },
  {
    name: "journal-flood",
    title: "a unit that floods the journal",
    of: "machine",
    first: true,
    lasts: [0.5, 1],
    begin: (scene) => harmfulUnit(scene, "x-journal-flood.service", "ExecStart=/usr/bin/yes flooding the journal\n"),
  },
];
