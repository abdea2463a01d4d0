/**
 * ~/.ssh/config with every file that it includes (ssh_config(5), Include).
 *
 * @module
 */

import { globMatcher, isMalformedGlob } from "../../runtime/glob.ts";
import { conditionOf, type ConfigBlock, configLines, type HostPatterns } from "./config.ts";

/** Access to the files of a configuration. */
export interface ConfigFiles {
  /** Returns the text of a file, or undefined if it does not exist. Throws if it cannot be read. */
  readFile(path: string): Promise<string | undefined>;
  /** Returns the names in a directory; none if it does not exist. */
  list(directory: string): Promise<readonly string[]>;
  /** Returns the path with `~` and `~user` replaced. */
  path(text: string): Promise<string>;
}

/** Largest depth of nested includes, as in ssh(1). */
const maxDepth = 16;

/** Largest number of files that a pattern may match. */
const maxFiles = 1000;

/** Reads ~/.ssh/config. Options before the first block apply to every host. Throws if a file includes itself. */
export async function readSshConfig(files: ConfigFiles): Promise<ConfigBlock[]> {
  return await readBlocks(files, await files.path("~/.ssh/config"), [], 0);
}

async function readBlocks(
  files: ConfigFiles,
  path: string,
  around: readonly HostPatterns[],
  depth: number,
): Promise<ConfigBlock[]> {
  if (depth > maxDepth) {
    throw new Error(`${path}: Include is nested more than ${maxDepth} deep. Does a file include itself?`);
  }
  const blocks: ConfigBlock[] = [];
  let conditions = around;
  for (const line of configLines(await files.readFile(path) ?? "")) {
    if (line.name === "host" || line.name === "match") {
      conditions = [...around, conditionOf(line)];
    } else if (line.name === "include") {
      // An included file applies only to the hosts of the block that includes it; that block continues after it.
      for (const word of line.words) {
        for (const included of await matchingFiles(files, word)) {
          blocks.push(...await readBlocks(files, included, conditions, depth + 1));
        }
      }
    } else blocks.push({ conditions, options: [line] });
  }
  return blocks;
}

/** Returns the files that a word of `Include` matches (glob(7), relative to ~/.ssh), in the order of their names. */
async function matchingFiles(files: ConfigFiles, word: string): Promise<string[]> {
  const whole = await files.path(/^[~/]/.test(word) ? word : `~/.ssh/${word}`);
  let found = [""];
  for (const part of whole.split("/").slice(1)) {
    if (!/[*?[]/.test(part)) {
      found = found.map((path) => `${path}/${part}`);
      continue;
    }
    // glob(7) negates a class by `!`.
    const pattern = part.replaceAll("[!", "[^");
    if (isMalformedGlob(pattern)) throw new Error(`Include ${word}: malformed pattern`);
    const matches = globMatcher(pattern);
    const names = await Promise.all(found.map(async (path) => {
      const all = (await files.list(`${path}/`)).filter(matches);
      return all.filter((name) => part.startsWith(".") || !name.startsWith(".")).map((name) => `${path}/${name}`);
    }));
    found = names.flat().sort();
    if (found.length > maxFiles) throw new Error(`Include ${word} matches more than ${maxFiles} files`);
  }
  return found;
}
