/**
 * The files of the cluster page, which the build puts beside the program. An adapter.
 *
 * @module
 */

/**
 * The folder into which the build has put the files: beside the bundle of fleetd, or in `dist` for a daemon that runs from
 * its sources.
 */
const folder = new URL(Deno.mainModule.endsWith(".ts") ? "../dist/lib/fleetd/ui/" : "ui/", Deno.mainModule);

const known = new Map<string, string>();

/** Returns the text of a file of the page; undefined if the page was not built. */
export async function readPageFile(name: string): Promise<string | undefined> {
  const held = known.get(name);
  if (held !== undefined) return held;
  try {
    const text = await Deno.readTextFile(new URL(name, folder));
    known.set(name, text);
    return text;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}
