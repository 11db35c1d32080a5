import { TABLE_LOCAL } from '#kernel/rtnetlink/constants.ts';
import { Rtnetlink } from '#kernel/rtnetlink/rtnetlink.ts';
import { NetworkNamespace } from '#kernel/sys/namespace.ts';
import { createNetns, type Netns } from '#test/helpers/netns.ts';

/**
 * A namespace with an `Rtnetlink` in it and a veth pair `v0`-`v1`, both ends up and inside: `v0` has 10.0.0.1/24,
 * 10.0.1.1/24 and fd00::1/64. Made the same way each time, so that two of them differ in nothing that `ip` prints.
 */
export class World implements Disposable {
  readonly netns: Netns = createNetns();
  readonly inside: NetworkNamespace;
  readonly rt: Rtnetlink;
  readonly v0: number;
  readonly v1: number;

  constructor() {
    this.inside = NetworkNamespace.named(this.netns.name);
    this.rt = Rtnetlink.open(this.inside);
    const { links, addresses } = this.rt;
    links.create({
      kind: 'veth',
      name: 'v0',
      address: '02:00:00:00:00:01',
      addressGeneration: 'none',
      up: true,
      peer: { name: 'v1', address: '02:00:00:00:00:02' },
    });
    links.set('v1', { addressGeneration: 'none', up: true });
    this.v0 = links.indexOf('v0');
    this.v1 = links.indexOf('v1');
    addresses.add({ link: this.v0, address: '10.0.0.1', length: 24 });
    addresses.add({ link: this.v0, address: '10.0.1.1', length: 24 });
    addresses.add({ link: this.v0, address: 'fd00::1', length: 64, flags: ['no-dad'] });
    // What comes by itself, a moment later: the route to fd00::1, and those for multicast by either end.
    const ready = () => {
      const local = this.rt.routes.list({ family: 6, table: TABLE_LOCAL });
      const found = local.map((route) => route.destination);
      return found.includes('fd00::1/128') && found.filter((text) => text === 'ff00::/8').length === 2;
    };
    for (let i = 0; !ready(); i++) {
      if (i === 5000) throw new Error('the links are not ready after 5 seconds');
      Atomics.wait(CLOCK, 0, 0, 1);
    }
  }

  /** What `ip` prints as JSON, without what is left to chance. */
  ip(...args: string[]): unknown[] {
    const printed = (this.netns.ip(...args) ?? []) as Record<string, unknown>[];
    for (const entry of printed) delete entry.cache;
    return printed;
  }

  /** Runs one `ip` command as a person would have typed it. */
  type(command: string): void {
    this.netns.exec('ip', command.split(' '));
  }

  [Symbol.dispose](): void {
    this.rt.close();
    this.inside.close();
    this.netns.remove();
  }
}

/** Nobody writes to it: to wait on it is to sleep. */
const CLOCK = new Int32Array(new SharedArrayBuffer(4));

/** Whether a neighbour is one that the kernel sets by itself, when it tells of the multicast groups it is in. */
export function isMulticast(address: string): boolean {
  return address.startsWith('ff') || address.startsWith('224.');
}

/** The same entries in an order that does not depend on when each was made. */
export function sorted<T>(entries: readonly T[]): T[] {
  const keys = new Map(entries.map((entry) => [entry, JSON.stringify(entry)]));
  return [...entries].sort((a, b) => (keys.get(a)! < keys.get(b)! ? -1 : 1));
}
