/**
 * ~/.ssh/config with every file that it includes (ssh_config(5), Include).
 *
 * @module
 */

import { globExpression } from "../units/select.ts";
import { type Condition, conditionOf, type ConfigBlock, configLines } from "./config.ts";

/** The files that a configuration may be made of. */
export interface ConfigFiles {
  /** Text of a file; undefined if there is none. Throws when it is there and cannot be read. */
  readFile(path: string): Promise<string | undefined>;
  /** Names in a directory, none if it is not there. */
  list(directory: string): Promise<readonly string[]>;
  /** The path with `~` and `~user` replaced. */
  path(text: string): Promise<string>;
}

/** How deep files may include each other, as ssh(1) has it. */
const maxDepth = 16;

/** Files that a pattern may mean. */
const maxFiles = 1000;

/** Reads ~/.ssh/config. What stands before the first block is for every host. Throws if files include each other in circles. */
export async function readSshConfig(files: ConfigFiles): Promise<ConfigBlock[]> {
  return await readBlocks(files, await files.path("~/.ssh/config"), [], 0);
}

async function readBlocks(
  files: ConfigFiles,
  path: string,
  around: readonly Condition[],
  depth: number,
): Promise<ConfigBlock[]> {
  if (depth > maxDepth) {
    throw new Error(`${path}: files include each other more than ${maxDepth} deep. Does Include go in circles?`);
  }
  const blocks: ConfigBlock[] = [];
  let conditions = around;
  for (const line of configLines(await files.readFile(path) ?? "")) {
    if (line.name === "host" || line.name === "match") {
      conditions = [...around, conditionOf(line)];
    } else if (line.name === "include") {
      // What is included counts only where the block that includes it does; behind it that block goes on.
      for (const word of line.words) {
        for (const included of await meant(files, word)) {
          blocks.push(...await readBlocks(files, included, conditions, depth + 1));
        }
      }
    } else blocks.push({ conditions, options: [line] });
  }
  return blocks;
}

/** The files that a word of `Include` means, in the order of their names: relative to ~/.ssh, with glob(7). */
async function meant(files: ConfigFiles, word: string): Promise<string[]> {
  const whole = await files.path(/^[~/]/.test(word) ? word : `~/.ssh/${word}`);
  let found = [""];
  for (const part of whole.split("/").slice(1)) {
    if (!/[*?[]/.test(part)) {
      found = found.map((path) => `${path}/${part}`);
      continue;
    }
    const pattern = globExpression(part);
    const names = await Promise.all(found.map(async (path) => {
      const all = (await files.list(`${path}/`)).filter((name) => pattern.test(name));
      return all.filter((name) => part.startsWith(".") || !name.startsWith(".")).map((name) => `${path}/${name}`);
    }));
    found = names.flat().sort();
    if (found.length > maxFiles) throw new Error(`Include ${word} means more than ${maxFiles} files`);
  }
  return found;
}
