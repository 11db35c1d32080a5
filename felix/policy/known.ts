import type { PodKey } from '#proto/program.ts';
import { NO_POD, type WorkloadEndpoint } from '../endpoint.ts';
import type { EndpointProgram } from './program.ts';

/** What it takes to tell whether a pod's policy is known. */
export interface KnownParts {
  /** Whether the program is known of the pod that is here. */
  readonly knows: (pod: PodKey) => boolean;
  /** Of whatever pod of the name. */
  readonly programOf: (pod: PodKey) => EndpointProgram | undefined;
  readonly workloadOf: (pod: PodKey) => WorkloadEndpoint | undefined;
  /** Whether any policies have been told. */
  readonly inSync: () => boolean;
}

/** Pods whose policy is waited for. */
export class KnownPods {
  readonly #parts: KnownParts;
  readonly #waiting = new Set<{ readonly pod: PodKey; readonly done: (error?: unknown) => void }>();

  constructor(parts: KnownParts) {
    this.#parts = parts;
  }

  /** Why a pod's policy is not known, in words. */
  why(pod: PodKey): string | undefined {
    if (pod.startsWith(NO_POD)) return undefined;
    const { knows, programOf, workloadOf, inSync } = this.#parts;
    if (knows(pod)) return undefined;
    if (!inSync()) return 'no policies have been told since felix started';
    const program = programOf(pod);
    if (program === undefined) return `the policy engine knows no pod ${pod} of this node`;
    return `the policy engine knows another pod ${pod}: found uid ${program.uid}, expected ${workloadOf(pod)?.uid}`;
  }

  /** Resolves when a pod's policy is known. @throws the signal's reason, or what {@link close} is given */
  wait(pod: PodKey, signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal.aborted) {
        reject(signal.reason);
        return;
      }
      if (this.why(pod) === undefined) {
        resolve();
        return;
      }
      const abort = (): void => waiter.done(signal.reason);
      const waiter = {
        pod,
        done: (error?: unknown): void => {
          signal.removeEventListener('abort', abort);
          this.#waiting.delete(waiter);
          if (error === undefined) resolve();
          else reject(error);
        },
      };
      signal.addEventListener('abort', abort);
      this.#waiting.add(waiter);
    });
  }

  /** Programs have been told, or which pods are here. */
  told(): void {
    for (const waiter of this.#waiting) if (this.why(waiter.pod) === undefined) waiter.done();
  }

  close(reason: Error): void {
    for (const waiter of this.#waiting) waiter.done(reason);
  }
}
