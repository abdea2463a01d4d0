/** Removes labs from the host: after their test, and those of test processes that were killed. */

import { existsSync } from "node:fs";
import { labsWithGroups, processesIn, removeGroups } from "./cgroup.ts";
import { ownerLives, ownerMark, vanished } from "./owner.ts";
import { kill, must, run, until } from "./process.ts";

const top = "/run/fleet-lab";
const prefix = "fleet-lab-";

/** Returns a name for a new lab, with the mark of its owner: `fleet-lab-<PID>-<start time>-<random>`. */
export function labName(): string {
  return `${prefix}${ownerMark()}-${crypto.randomUUID().slice(0, 4)}`;
}

/** Returns the directory of a lab's files: a file system in memory, so that one unmount removes them all. */
export function labDir(name: string): string {
  return `${top}/${name}`;
}

/** Creates and mounts the lab's directory. */
export async function makeLabDir(name: string): Promise<string> {
  const dir = labDir(name);
  Deno.mkdirSync(dir, { recursive: true });
  // At most half of the host's memory, the default of tmpfs(5).
  await must(["mount", "-t", "tmpfs", "-o", "mode=0755", name, dir]);
  return dir;
}

/** Kills all processes of a lab, and removes its mounts, groups, namespace and files. Also works on a lab that is incomplete. */
export async function tearDown(name: string): Promise<void> {
  await until(`the processes of ${name} to end`, () => {
    const pids = new Set([...processesIn(name), ...processesInNamespace(name)]);
    for (const pid of pids) kill(pid, "SIGKILL");
    return Promise.resolve(pids.size === 0 ? true : undefined);
  });
  removeGroups(name);
  const dir = labDir(name);
  if (mounted(dir)) {
    await until(`${dir} to be unmounted`, async () => {
      return (await run(["umount", "--recursive", dir])).code === 0 || !mounted(dir) ? true : undefined;
    });
  }
  if (existsSync(dir)) Deno.removeSync(dir, { recursive: true });
  if (existsSync(`/run/netns/${name}`)) await must(["ip", "netns", "delete", name]);
  removeNspawnDirs(name);
}

/** Removes the labs whose test process has ended. Returns their names. */
export async function removeStaleLabs(): Promise<string[]> {
  Deno.mkdirSync(top, { recursive: true });
  using lock = await Deno.open(`${top}/.lock`, { write: true, create: true });
  await lock.lock(true); // two test processes must not remove the same lab
  const stale = [...allLabs()].filter((name) => !ownerLives(ownerOf(name)));
  for (const name of stale) await tearDown(name);
  return stale;
}

function allLabs(): Set<string> {
  const names = [top, "/run/netns"].flatMap((dir) =>
    existsSync(dir) ? [...Deno.readDirSync(dir)].map((e) => e.name) : []
  );
  return new Set([...names, ...labsWithGroups()].filter((name) => name.startsWith(prefix)));
}

function ownerOf(name: string): string {
  return name.slice(prefix.length).split("-").slice(0, 2).join("-");
}

/** Returns the PIDs of all processes in the lab's network namespace, including those that a test left running. */
function processesInNamespace(name: string): number[] {
  const path = `/run/netns/${name}`;
  if (!existsSync(path)) return [];
  const inode = Deno.statSync(path).ino;
  return [...Deno.readDirSync("/proc")].map((entry) => Number(entry.name)).filter((pid) => {
    if (!Number.isInteger(pid)) return false;
    try {
      return Deno.statSync(`/proc/${pid}/ns/net`).ino === inode;
    } catch (error) {
      if (vanished(error)) return false;
      // Some processes of the host (PID 1) are not readable even by root; those of a lab are.
      if (error instanceof Deno.errors.PermissionDenied || error instanceof Deno.errors.NotCapable) return false;
      throw error;
    }
  });
}

function mounted(dir: string): boolean {
  return Deno.readTextFileSync("/proc/self/mounts").split("\n").some((line) => line.split(" ")[1] === dir);
}

/** Removes the directories that systemd-nspawn leaves, by container name, if its supervisor is killed. */
function removeNspawnDirs(name: string): void {
  for (const dir of ["/run/systemd/nspawn/propagate", "/run/systemd/nspawn/unix-export"]) {
    if (!existsSync(dir)) continue;
    for (const entry of Deno.readDirSync(dir)) {
      if (entry.name.startsWith(`${containerPrefix(name)}-`)) {
        Deno.removeSync(`${dir}/${entry.name}`, { recursive: true });
      }
    }
  }
}

/** Returns the first part of the container names of a lab: unique to the lab, and short, because a link's name has at most 15 characters. */
export function containerPrefix(lab: string): string {
  return lab.slice(-4);
}
