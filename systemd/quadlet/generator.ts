/**
 * The adapter to podman's generator of services, see podman-systemd.unit(5).
 *
 * @module
 */

/** podman's generator on this machine. */
export interface QuadletGenerator {
  /** Returns true if the program is installed. */
  exists(): boolean;
  /** Returns why the generator makes no service of files, by file name; none for files of which it makes one. */
  problems(): Promise<ReadonlyMap<string, string>>;
}

/** Paths of the generator, which systemd.generator(7) prescribes. */
export const generatorPaths = {
  system: "/usr/lib/systemd/system-generators/podman-system-generator",
  user: "/usr/lib/systemd/user-generators/podman-user-generator",
} as const;

/** Returns the generator of the system's or the user's systemd. */
export function openQuadletGenerator(bus: "system" | "user"): QuadletGenerator {
  const program = generatorPaths[bus];
  return {
    exists() {
      try {
        return Deno.statSync(program).isFile;
      } catch (error) {
        if (error instanceof Deno.errors.NotFound) return false;
        throw error;
      }
    },
    async problems() {
      const args = bus === "user" ? ["--user", "--dryrun"] : ["--dryrun"];
      const command = new Deno.Command(program, { args, stdin: "null", stdout: "null", stderr: "piped" });
      return quadletProblemsIn(new TextDecoder().decode((await command.output()).stderr));
    },
  };
}

/** Returns the problems in the generator's standard error, by file name. */
export function quadletProblemsIn(text: string): ReadonlyMap<string, string> {
  const problems = new Map<string, string>();
  for (const line of text.split("\n")) {
    const [, file, why] = /(?:converting|[Ee]rror loading) "(?:[^"]*\/)?([^"/]+)"[:,] (.*)$/.exec(line) ?? [];
    if (file === undefined || why === undefined || problems.has(file)) continue;
    problems.set(file, why.replace(/ in \/\S+$/, ""));
  }
  return problems;
}
