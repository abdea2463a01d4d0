/**
 * The dialog before every action: it shows what the action will do, takes its options, and asks for confirmation.
 *
 * @module
 */

import { signal } from "@preact/signals";
import type { JSX } from "preact";
import { useLayoutEffect, useRef, useState } from "preact/hooks";
import { notify } from "./notices.tsx";
import { Failure } from "./parts.tsx";

/** The effects of an action, and the way to carry it out. */
export interface Preview {
  /** The effects; absent for an action whose effects the note describes. */
  readonly shown?: JSX.Element;
  /** The text of the button, if it is not that of the question. */
  readonly verb?: string;
  /** Carries out what is shown; absent if that is impossible, or nothing would change. */
  readonly act?: (options: FormData) => Promise<void>;
}

/** An action that waits for confirmation. */
export interface Question {
  readonly title: string;
  /** A sentence about the action. */
  readonly note?: string;
  /** The fields of the action's options. */
  readonly options?: JSX.Element;
  /** The text of the button, a verb. */
  readonly verb: string;
  /** True if the action cannot be undone. */
  readonly isDangerous?: boolean;
  /** Asks what the action will do. It is called again when an option changes, and after a failure. Throws if it is impossible. */
  readonly preview: (options: FormData) => Preview | Promise<Preview>;
}

/** Each question has a dialog of its own, so that the end of one concerns no other. */
interface Asked extends Question {
  readonly number: number;
}

const question = signal<Asked | undefined>(undefined);
let counted = 0;

/** Asks the user to confirm an action, and carries it out then. */
export function confirm(asked: Question): void {
  question.value = { ...asked, number: ++counted };
}

/** The place of the dialog in the page. */
export function Dialog() {
  const asked = question.value;
  return asked && <Confirmation key={asked.number} asked={asked} />;
}

/**
 * The state of a dialog: the latest preview, whether another one or the action is on its way, and why something has failed.
 */
interface Progress {
  readonly preview?: Preview;
  readonly isBusy: boolean;
  readonly isActing?: boolean;
  readonly error?: string;
}

function Confirmation({ asked }: { readonly asked: Asked }) {
  const dialog = useRef<HTMLDialogElement>(null);
  const form = useRef<HTMLFormElement>(null);
  const asking = useRef(0);
  const [{ preview, isBusy, isActing = false, error }, setProgress] = useState<Progress>({ isBusy: true });
  /** Makes the preview. `before`: the failure that stays on the screen. The answer to earlier options is dropped. */
  const ask = async (before: Partial<Progress> = {}) => {
    const number = ++asking.current;
    setProgress(({ preview }) => ({ ...preview && { preview }, ...before, isBusy: true }));
    try {
      const preview = await asked.preview(new FormData(form.current!));
      if (number === asking.current) setProgress({ ...before, preview, isBusy: false });
    } catch (error) {
      if (number === asking.current) setProgress({ error: (error as Error).message, ...before, isBusy: false });
    }
  };
  useLayoutEffect(() => {
    dialog.current!.showModal();
    void ask();
  }, []);
  const act = (event: Event) => {
    event.preventDefault();
    if (isBusy || !preview?.act) return;
    setProgress({ preview, isBusy: true, isActing: true });
    // Closing returns the focus to the button that has opened the dialog; removing the dialog would not.
    preview.act(new FormData(form.current!)).then(
      () => dialog.current?.close(),
      (error: Error) => {
        // The cluster may have changed, so the plan is made again.
        if (dialog.current?.open) void ask({ error: error.message, isActing: false });
        else notify(`"${asked.title.replace(/\?$/, "")}" has failed: ${error.message}`);
      },
    );
  };
  return (
    <dialog
      ref={dialog}
      aria-labelledby="question"
      onClose={() => question.value = question.value === asked ? undefined : question.value}
    >
      {/* Another preview would enable the button again while the action is on its way, and it could be sent twice. */}
      <form ref={form} onSubmit={act} onInput={() => isActing || void ask()}>
        <h2 id="question">{asked.title}</h2>
        {asked.note !== undefined && <p>{asked.note}</p>}
        {asked.options && <div class="options">{asked.options}</div>}
        <div aria-busy={isBusy}>
          {preview?.shown ?? (isBusy && <p role="status">One moment…</p>)}
        </div>
        <Failure error={error} />
        <div class="buttons">
          {/* A request that is on its way cannot be called back. */}
          <button type="button" onClick={() => dialog.current!.close()}>{isActing ? "Close" : "Cancel"}</button>
          <button type="submit" class={asked.isDangerous ? "danger" : "primary"} disabled={isBusy || !preview?.act}>
            {preview?.verb ?? asked.verb}
          </button>
        </div>
      </form>
    </dialog>
  );
}
