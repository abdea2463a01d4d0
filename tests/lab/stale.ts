/** Taking a lab off the host: after its test, and after a test process that was killed before it could. */

import { existsSync } from "node:fs";
import { labsWithGroups, processesIn, removeGroups } from "./cgroup.ts";
import { ownerLives, ownerMark, vanished } from "./owner.ts";
import { kill, must, run, until } from "./process.ts";

const top = "/run/fleet-lab";
const prefix = "fleet-lab-";

/** A name for a new lab that says who owns it: `fleet-lab-<pid>-<start time>-<random>`. */
export function labName(): string {
  return `${prefix}${ownerMark()}-${crypto.randomUUID().slice(0, 4)}`;
}

/** Where a lab keeps all its files: a file system in memory, so that a teardown is one unmount. */
export function labDir(name: string): string {
  return `${top}/${name}`;
}

/** Makes the lab's directory. */
export async function makeLabDir(name: string): Promise<string> {
  const dir = labDir(name);
  Deno.mkdirSync(dir, { recursive: true });
  // Half of the host's memory at most, which is tmpfs(5)'s default.
  await must(["mount", "-t", "tmpfs", "-o", "mode=0755", name, dir]);
  return dir;
}

/** Ends all processes of a lab and removes its mounts, groups, namespace and files; half a lab is as good as a whole one. */
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
  removeTraces(name);
}

/** Takes away the labs whose test process is gone. Returns their names. */
export async function removeStaleLabs(): Promise<string[]> {
  Deno.mkdirSync(top, { recursive: true });
  using lock = await Deno.open(`${top}/.lock`, { write: true, create: true });
  await lock.lock(true); // two new labs must not take the same old one away
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

/** Everything started inside the lab's network, also what a test left running there. */
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
      // Some processes (the host's PID 1) may not be looked into, not even by root; none that was started here is so.
      if (error instanceof Deno.errors.PermissionDenied || error instanceof Deno.errors.NotCapable) return false;
      throw error;
    }
  });
}

function mounted(dir: string): boolean {
  return Deno.readTextFileSync("/proc/self/mounts").split("\n").some((line) => line.split(" ")[1] === dir);
}

/** What systemd-nspawn leaves for a container whose supervisor was killed, by the container's name. */
function removeTraces(name: string): void {
  for (const dir of ["/run/systemd/nspawn/propagate", "/run/systemd/nspawn/unix-export"]) {
    if (!existsSync(dir)) continue;
    for (const entry of Deno.readDirSync(dir)) {
      if (entry.name.startsWith(`${containerPrefix(name)}-`)) {
        Deno.removeSync(`${dir}/${entry.name}`, { recursive: true });
      }
    }
  }
}

/** First part of a container's name: short, for the kernel allows a link 15 characters, and still the lab's own. */
export function containerPrefix(lab: string): string {
  return lab.slice(-4);
}
