/**
 * `deno task demo`: a guided tour of fleet. Checks the arguments and the user before it loads other modules.
 *
 * @module
 */

import { rootMissing } from "../tests/support/need_root.ts";

const usage = `usage: deno task demo [--keep]

Boots three machines (systemd in containers) and an etcd in a network of their own, starts units on them, cuts the power
of one machine, and takes everything down again. Takes about a minute the first time, about 20 s after that.

  --keep    boot the machines only, print how to use them, and leave them up until ^C
  --help    print this help

Needs root on Debian or Ubuntu, the npm registry and the distribution's mirror. Missing Debian packages are installed.
`;

const [unknown] = Deno.args.filter((argument) => !["--keep", "--help", "-h"].includes(argument));
if (Deno.args.includes("--help") || Deno.args.includes("-h")) console.log(usage);
else if (unknown !== undefined) fail(`unknown argument "${unknown}"\n\n${usage}`, 2);
else if (rootMissing() !== undefined) fail(`${rootMissing()}: sudo deno task demo`, 1);
else {
  // A computed module name, so that Deno does not load the tour before the checks above.
  const { tour } = await import(import.meta.resolve("./tour.ts")) as typeof import("./tour.ts");
  await tour({ keepUp: Deno.args.includes("--keep") }).catch((error) => fail(error.message, 1));
}

function fail(message: string, code: number): void {
  console.error(`demo: ${message}`);
  Deno.exitCode = code;
}
