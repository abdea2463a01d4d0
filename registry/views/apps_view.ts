import {
  decodeApp,
  decodeProgress,
  decodeRolloutPlan,
  joinRollout,
  type RolloutPlan,
  unreadableRollout,
} from "../schema/app_codec.ts";
import { messageOf } from "../../runtime/log.ts";
import type { App, AppName, Cluster, Rollout } from "../model.ts";
import type { KeyValue } from "../store/port.ts";
import { SharedMap } from "./shared_map.ts";

/** The values of one app. */
type Part = "app" | "rollout" | "progress";

/** The two values that make one roll-out, as far as the store has them. */
interface RolloutParts {
  plan?: KeyValue;
  /** The decoded plan, which is kept because only the progress changes with each step. */
  decoded?: RolloutPlan;
  progress?: KeyValue;
}

/** The apps and roll-outs of a cluster. Each roll-out is joined from its plan and its progress, which have keys of their own. */
export class AppsView {
  readonly #apps = new SharedMap<AppName, App>();
  readonly #rollouts = new SharedMap<AppName, Rollout>();
  readonly #parts = new Map<AppName, RolloutParts>();
  readonly #touched = new Set<AppName>();

  /** `warn` is called with each value that cannot be decoded. */
  constructor(private readonly warn: (kv: KeyValue, error: unknown) => void) {}

  /** Returns how the keys of one kind change the view. */
  kind<Kind extends Part>(part: Kind): {
    readonly put: (key: { readonly app: AppName }, kv: KeyValue) => void;
    readonly delete: (key: { readonly app: AppName }) => void;
  } {
    return { put: ({ app }, kv) => this.#put(part, app, kv), delete: ({ app }) => this.#put(part, app, undefined) };
  }

  clear(): void {
    this.#apps.clear();
    this.#rollouts.clear();
    this.#parts.clear();
    this.#touched.clear();
  }

  /** Returns the apps and roll-outs as they are now. The returned maps never change. */
  share(): Pick<Cluster, "apps" | "rollouts"> {
    for (const app of this.#touched) this.#join(app, this.#parts.get(app)!);
    this.#touched.clear();
    const [apps, rollouts] = [this.#apps.share(), this.#rollouts.share()];
    return { ...apps.size > 0 && { apps }, ...rollouts.size > 0 && { rollouts } };
  }

  #put(part: Part, app: AppName, kv: KeyValue | undefined): void {
    if (part === "app") return this.#putApp(app, kv);
    const parts = this.#parts.getOrInsertComputed(app, (): RolloutParts => ({}));
    const field = part === "rollout" ? "plan" : "progress";
    if (field === "plan") delete parts.decoded;
    if (kv) parts[field] = kv;
    else delete parts[field];
    this.#touched.add(app);
  }

  #putApp(app: AppName, kv: KeyValue | undefined): void {
    if (!kv) return this.#apps.delete(app);
    try {
      this.#apps.set(app, decodeApp(app, kv));
    } catch (error) {
      this.warn(kv, error);
      this.#apps.set(app, { name: app, versions: [], revision: kv.modRevision, unreadable: messageOf(error) });
    }
  }

  #join(app: AppName, parts: RolloutParts): void {
    const { plan, progress } = parts;
    if (!plan && !progress) {
      this.#parts.delete(app);
      return this.#rollouts.delete(app);
    }
    try {
      if (!plan || !progress) throw new TypeError(`key ${plan ? "progress" : "rollout"}/${app} is missing`);
      parts.decoded ??= decodeRolloutPlan(app, plan);
      this.#rollouts.set(app, joinRollout(parts.decoded, decodeProgress(progress)));
    } catch (error) {
      this.warn(progress ?? plan!, error);
      this.#rollouts.set(app, unreadableRollout(app, progress?.modRevision ?? 0, messageOf(error)));
    }
  }
}
