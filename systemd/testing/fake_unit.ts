/**
 * Reads the options of unit files that {@link FakeManager} simulates.
 *
 * @module
 */

/** The simulated behavior of a unit. */
export interface FakeBehavior {
  /** LoadState. */
  readonly load: "loaded" | "bad-setting";
  /** SubState of the active unit. */
  readonly activeSub: string;
  /** The command runs until it is stopped, or ends at once with success or failure. */
  readonly command: "runs" | "succeeds" | "fails";
  readonly oneshot: boolean;
  readonly remainAfterExit: boolean;
  /** Units that it pulls in. */
  readonly wants: readonly string[];
  /** The service that a socket starts. */
  readonly serves: string | undefined;
  /** Units whose `.wants` get a link when it is enabled. */
  readonly wantedBy: readonly string[];
  /** Other names that it gets when enabled. */
  readonly aliases: readonly string[];
  readonly refusesManualStart: boolean;
  readonly refusesManualStop: boolean;
}

const activeSubs: Readonly<Record<string, string>> = {
  service: "running",
  socket: "listening",
  timer: "waiting",
  path: "waiting",
  mount: "mounted",
  automount: "waiting",
  swap: "active",
  target: "active",
  slice: "active",
};

/** Reads the options that the fake supports. */
export function fakeBehavior(name: string, text: string): FakeBehavior {
  const values = (section: string, option: string) => optionValues(text, section, option);
  const type = name.slice(name.lastIndexOf(".") + 1);
  const program = values("Service", "ExecStart").at(-1);
  const isService = type === "service";
  return {
    load: isService && !program ? "bad-setting" : "loaded",
    activeSub: activeSubs[type] ?? "active",
    command: !isService ? "runs" : outcome(program ?? ""),
    oneshot: values("Service", "Type").at(-1) === "oneshot",
    remainAfterExit: values("Service", "RemainAfterExit").at(-1) === "yes",
    wants: [...values("Unit", "Wants"), ...values("Unit", "Requires")].flatMap(words),
    serves: type === "socket" ? values("Socket", "Service").at(-1) ?? name.replace(/socket$/, "service") : undefined,
    wantedBy: [...values("Install", "WantedBy"), ...values("Install", "RequiredBy")].flatMap(words),
    aliases: values("Install", "Alias").flatMap(words),
    refusesManualStart: values("Unit", "RefuseManualStart").at(-1) === "yes",
    refusesManualStop: values("Unit", "RefuseManualStop").at(-1) === "yes",
  };
}

function outcome(program: string): FakeBehavior["command"] {
  if (/\/false$|\bexit [1-9]/.test(program)) return "fails";
  return /\/(?:true|echo)\b|\bexit 0/.test(program) ? "succeeds" : "runs";
}

function optionValues(text: string, section: string, option: string): string[] {
  const values: string[] = [];
  let inSection = false;
  for (const line of text.split("\n")) {
    const header = /^\[(.*)\]\s*$/.exec(line);
    if (header) inSection = header[1] === section;
    else if (inSection && line.slice(0, line.indexOf("=")).trim() === option) {
      values.push(line.slice(line.indexOf("=") + 1).trim());
    }
  }
  return values;
}

function words(value: string): string[] {
  return value.split(/\s+/).filter((word) => word !== "");
}
