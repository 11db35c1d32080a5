/**
 * How a pod gets its network: the seam between the lab's kubelet and what makes networks.
 */

/** A pod that is to be connected. Its namespace has been made. */
export interface PodSandbox {
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
  /** Name of its network namespace. */
  readonly netns: string;
  readonly node: string;
}

export interface PodNetwork {
  /** What it is, for people. */
  readonly title: string;
  /** Connects a pod. Returns its addresses. */
  add(pod: PodSandbox): Promise<readonly string[]>;
  /** Undoes it, also half of it, also twice. */
  remove(pod: PodSandbox): Promise<void>;
}
