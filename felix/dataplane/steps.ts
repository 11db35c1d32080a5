import type { Operation, Transaction } from '#kernel/nftables/operation.ts';

/*
 * A difference as transactions that come one after another. The kernel changes rules and elements at one instant, but a packet
 * that is under way at that instant sees both sides of it: the rules are those of its beginning, each look-up is of its own
 * moment. In a chain that is new it finds no rule, and passes; in a set that is emptied it finds nothing, and is dropped. So what is
 * new is built first, where nothing leads to it; then the ways are changed; and what nothing leads to any more goes last.
 */

/** In the order in which they are sent. */
export const STEPS = ['build', 'switch', 'clear'] as const;
export type Step = (typeof STEPS)[number];

/** The order within one transaction. */
const PHASES = [
  'add chain',
  'flush chain',
  'delete elements',
  'flush set',
  'delete set',
  'delete chain',
  'add set',
  'add elements',
  'add rule',
] as const;
type Phase = (typeof PHASES)[number];
type Sent = Extract<Operation, { readonly op: Phase }>;

/** What is to be sent, and what to remember once it is in force. */
export class Steps {
  readonly #operations = new Map<Step, Map<Phase, Operation[]>>();
  readonly #done = new Map<Step, (() => void)[]>();

  add(step: Step, ...operations: readonly Sent[]): void {
    const phases = this.#operations.get(step) ?? new Map<Phase, Operation[]>();
    this.#operations.set(step, phases);
    for (const operation of operations) {
      const of = phases.get(operation.op);
      if (of) of.push(operation);
      else phases.set(operation.op, [operation]);
    }
  }

  /** To be called when the step is in force. */
  afterwards(step: Step, run: () => void): void {
    const of = this.#done.get(step);
    if (of) of.push(run);
    else this.#done.set(step, [run]);
  }

  /** The first that has something to send. */
  first(): { readonly transaction: Transaction; readonly done: readonly (() => void)[] } {
    for (const step of STEPS) {
      const phases = this.#operations.get(step);
      if (!phases) continue;
      return {
        transaction: PHASES.flatMap((phase) => phases.get(phase) ?? []),
        done: this.#done.get(step) ?? [],
      };
    }
    return { transaction: [], done: [...this.#done.values()].flat() };
  }
}
