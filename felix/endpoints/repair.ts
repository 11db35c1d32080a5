import { type Log, LogLimit } from '#daemon/log.ts';
import { parseAddress } from '#datastore/address.ts';
import { NETLINK_ROUTE } from '#kernel/netlink/constants.ts';
import { NetlinkMonitor } from '#kernel/netlink/monitor.ts';
import type { Message } from '#kernel/netlink/socket.ts';
import { RtnetlinkMonitor } from '#kernel/rtnetlink/monitor.ts';
import type { Route } from '#kernel/rtnetlink/route.ts';
import { Rtnetlink } from '#kernel/rtnetlink/rtnetlink.ts';
import { INTERFACE_PREFIX } from '../endpoint.ts';
import type { Ipam } from '../ipam/ipam.ts';
import { type Endpoints, openPodNamespace } from './endpoints.ts';
import { type Endpoint, podOf } from './model.ts';
import type { UplinkMtu } from './mtu.ts';
import { endOf, isBlock } from './shaping.ts';
import { differingSysctls, hostSysctls } from './sysctls.ts';
import { familiesOf, ROUTE_PROTOCOL, type Wires } from './wires.ts';

/** How long changes are gathered before they are looked at, in ms: an `ip link del` is told in five messages. */
const GATHER_MS = 20;
/**
 * How long an endpoint that was just made is left alone, in ms. The kernel tells of its coming like of any change, and calls of
 * the runtime that come at the same time are not to wait for a look at it; what others do to it meanwhile is found then.
 */
const FRESH_MS = 500;
/** How often parameters that the kernel tells no changes of are read, in ms. */
const LOOK_MS = 800;
/** They. */
const SILENT = ['/accept_ra', '/proxy_delay', '/route_localnet'];
/** How often what could not be put right is tried again, in ms. */
const AGAIN_MS = 1000;
/** How often a monitor that ended is opened anew, in ms. */
const REOPEN_MS = 1000;

/** linux/rtnetlink.h, linux/netconf.h: changes of an interface's forwarding, rp_filter and proxy parameters. */
const RTNLGRP_IPV4_NETCONF = 24;
const RTNLGRP_IPV6_NETCONF = 25;
const NETCONFMSG = 4;
const NETCONFA_IFINDEX = 1;
const RTM_NEWNETCONF = 80;
const RTM_DELNETCONF = 81;
/** linux/rtnetlink.h: queueing disciplines and filters. Their messages begin with a struct tcmsg, which has the index at byte 4. */
const RTNLGRP_TC = 4;
const TCMSG_IFINDEX = 4;
const RTM_NEWQDISC = 36;
const RTM_DELTFILTER = 45;

/** What is not as it should be, and is not ours to change. */
export interface Foreign {
  readonly pod: string;
  readonly text: string;
  /** ms since 1970 */
  readonly since: number;
}

export interface RepairParts {
  readonly endpoints: Endpoints;
  readonly ipam: Ipam;
  readonly wires: Wires;
  readonly mtu: UplinkMtu;
  readonly log: Log;
}

/**
 * Puts right what others change of our interfaces, addresses, routes and parameters. The kernel tells of most changes; the
 * parameters that it is silent about are read from time to time.
 */
export class Repair {
  readonly #parts: RepairParts;
  readonly #limit = new LogLimit(() => performance.now());
  readonly #changed = new Set<string>();
  /** Names of our interfaces by index, also of those that were renamed. */
  readonly #names = new Map<number, string>();
  /** Names of the interfaces that blocks belong to, by index of the block. */
  readonly #blocks = new Map<number, string>();
  /** By owner. */
  readonly #foreign = new Map<string, Foreign>();
  readonly #postponed = new Map<string, NodeJS.Timeout>();
  #monitors: (NetlinkMonitor | RtnetlinkMonitor)[] = [];
  #gathering: NodeJS.Timeout | undefined;
  #looking: NodeJS.Timeout | undefined;
  #reopening: NodeJS.Timeout | undefined;
  #closed = false;
  /** How many things were put right. */
  repaired = 0;

  constructor(parts: RepairParts) {
    this.#parts = parts;
  }

  /** Starts to listen, and looks at everything once. */
  start(): void {
    this.#open();
    this.#looking = setInterval(() => this.#look(), LOOK_MS);
    this.all();
  }

  /** Whether there is nothing that it has been told of and not looked at. */
  get idle(): boolean {
    return this.#gathering === undefined && this.#changed.size === 0 && this.#postponed.size === 0;
  }

  /** What others have set, and would set again. */
  get foreign(): readonly Foreign[] {
    const { all } = this.#parts.endpoints;
    for (const owner of this.#foreign.keys()) if (!all.has(owner)) this.#foreign.delete(owner);
    return [...this.#foreign.values()];
  }

  /** Looks at all endpoints, both ends. */
  all(): void {
    for (const owner of this.#parts.endpoints.all.keys()) this.#mark(owner);
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#gathering);
    clearTimeout(this.#reopening);
    clearInterval(this.#looking);
    for (const later of this.#postponed.values()) clearTimeout(later);
    this.#postponed.clear();
    await Promise.all(this.#monitors.map((monitor) => monitor.closed()));
  }

  #open(): void {
    const { wires, ipam } = this.#parts;
    const { namespace } = wires;
    const lost = (): void => {
      this.#parts.mtu.forget();
      this.all();
    };
    const ended = (error: Error): void => {
      this.#say('monitor', () =>
        this.#parts.log.error({ error: error.message }, 'watching the kernel ended; it begins anew'),
      );
      this.#reopening ??= setTimeout(() => this.#reopen(), REOPEN_MS);
    };
    const ofRoute = (route: Route): void => {
      if (route.protocol === ROUTE_PROTOCOL)
        for (const { link } of route.nextHops) this.#markIndex(link ?? 0);
      const [text, length] = route.destination.split('/');
      if (length === '0') this.#parts.mtu.forget();
      if (length !== '32' && length !== '128') return;
      const address = parseAddress(text!);
      const owner = address === undefined ? undefined : ipam.allocator.ownerOf(address);
      if (owner !== undefined) this.#mark(owner);
    };
    const monitor = RtnetlinkMonitor.open(
      {
        link: ({ kind, value }) => {
          if (value.name.startsWith(INTERFACE_PREFIX)) {
            if (kind === 'set') this.#names.set(value.index, value.name);
            this.#mark(value.name);
          } else if (isBlock(value.name)) {
            if (kind === 'set') this.#blocks.set(value.index, endOf(value.name));
            this.#mark(endOf(value.name));
          } else this.#parts.mtu.forget();
          this.#markIndex(value.index);
          if (kind !== 'removed') return;
          this.#names.delete(value.index);
          this.#blocks.delete(value.index);
        },
        address: ({ value }) => this.#markIndex(value.link),
        route: ({ value }) => ofRoute(value),
        flushed: (link) => {
          if (!this.#names.has(link)) this.#parts.mtu.forget();
          this.#markIndex(link);
        },
        overflow: lost,
        error: ended,
      },
      { ...(namespace && { namespace }), exceptFrom: wires.rtnetlink.socket.port },
    );
    const parameters = NetlinkMonitor.open(
      [
        {
          protocol: NETLINK_ROUTE,
          groups: [RTNLGRP_IPV4_NETCONF, RTNLGRP_IPV6_NETCONF, RTNLGRP_TC],
          ...(namespace && { namespace }),
          exceptFrom: wires.rtnetlink.socket.port,
          onMessage: (message) => this.#markIndex(indexOf(message) ?? 0),
          onOverflow: lost,
        },
      ],
      ended,
    );
    this.#monitors = [monitor, parameters];
    for (const link of wires.rtnetlink.links.list())
      if (link.name.startsWith(INTERFACE_PREFIX)) this.#names.set(link.index, link.name);
      else if (isBlock(link.name)) this.#blocks.set(link.index, endOf(link.name));
  }

  #reopen(): void {
    this.#reopening = undefined;
    if (this.#closed) return;
    for (const monitor of this.#monitors) monitor.close();
    this.#names.clear();
    this.#blocks.clear();
    this.#open();
    this.all();
  }

  #markIndex(index: number): void {
    const name = this.#names.get(index) ?? this.#blocks.get(index);
    if (name !== undefined) this.#mark(name);
  }

  #mark(owner: string): void {
    const { endpoints } = this.#parts;
    if (!endpoints.all.has(owner)) return;
    const left = FRESH_MS - endpoints.ageOf(owner);
    if (left > 0) {
      this.#postpone(owner, left);
      return;
    }
    this.#changed.add(owner);
    this.#gathering ??= setTimeout(() => void this.#work(), GATHER_MS);
  }

  #postpone(owner: string, ms: number): void {
    if (this.#closed || this.#postponed.has(owner)) return;
    const later = setTimeout(() => {
      this.#postponed.delete(owner);
      this.#mark(owner);
    }, ms);
    this.#postponed.set(owner, later);
  }

  /** A few at a time, so that calls of the runtime are answered in between. */
  async #work(): Promise<void> {
    this.#gathering = undefined;
    for (const owner of [...this.#changed]) {
      this.#changed.delete(owner);
      if (this.#closed) return;
      if (this.#parts.endpoints.isBusy(owner)) {
        // The others are not to wait for it.
        this.#postpone(owner, FRESH_MS);
        continue;
      }
      try {
        await this.#parts.endpoints.exclusively(owner, (endpoint) => this.#repair(endpoint));
      } catch (error) {
        this.#failed(owner, error);
        // What stood in the way may go without a word.
        this.#postpone(owner, AGAIN_MS);
      }
      await new Promise((resolve) => setImmediate(resolve));
    }
  }

  /** What the kernel does not tell. */
  #look(): void {
    const { endpoints, wires } = this.#parts;
    for (const [owner, endpoint] of endpoints.all) {
      const silent = Object.entries(hostSysctls(owner, familiesOf(endpoint))).filter(([key]) =>
        SILENT.some((name) => key.endsWith(name)),
      );
      try {
        if (differingSysctls(Object.fromEntries(silent), wires.namespace).length > 0) this.#mark(owner);
      } catch (error) {
        this.#failed(owner, error);
      }
    }
  }

  #repair(endpoint: Endpoint): void {
    const { wires } = this.#parts;
    const { hostInterface } = endpoint;
    let view = wires.viewOf(hostInterface);
    if (!view.links.has(hostInterface) && this.#renameBack(hostInterface)) view = wires.viewOf(hostInterface);
    using pod = openPodNamespace(endpoint);
    if (!view.links.has(hostInterface)) {
      // With the pod's namespace gone there is nothing to do until somebody says that the pod is.
      if (pod === undefined) return;
      using inside = Rtnetlink.open(pod);
      wires.create(endpoint, pod, inside);
      wires.connect(endpoint, inside);
      this.#done(hostInterface, 'found no interface');
      return;
    }
    const foreign: string[] = [];
    for (const fix of wires.hostFixes(endpoint, view)) {
      if (fix.beyondUs) {
        foreign.push(fix.what);
        continue;
      }
      fix.apply();
      this.#done(hostInterface, fix.what);
      if (fix.lookAgain) this.#mark(hostInterface);
    }
    this.#tell(endpoint, foreign.join('; '));
    if (pod === undefined) return;
    using inside = Rtnetlink.open(pod);
    for (const fix of wires.podFixes(endpoint, pod, inside)) {
      fix.apply();
      this.#done(hostInterface, fix.what);
    }
  }

  /** Says what is not as it should be and stays so, once. */
  #tell(endpoint: Endpoint, text: string): void {
    const { hostInterface } = endpoint;
    const before = this.#foreign.get(hostInterface);
    if (text === (before?.text ?? '')) return;
    const pod = podOf(endpoint);
    if (text === '') {
      this.#foreign.delete(hostInterface);
      this.#parts.log.info({ pod, interface: hostInterface }, 'what others had set against a pod is gone');
      return;
    }
    this.#foreign.set(hostInterface, { pod, text, since: before?.since ?? Date.now() });
    this.#say(`${hostInterface} foreign`, (leftOut) =>
      this.#parts.log.error(
        { pod, interface: hostInterface, what: text, leftOut },
        'packets do not reach a pod, by what others have set; it is left to them',
      ),
    );
  }

  #renameBack(hostInterface: string): boolean {
    const { links } = this.#parts.wires.rtnetlink;
    const [index] = [...this.#names].find(([, name]) => name === hostInterface) ?? [];
    const link = index === undefined ? undefined : links.get(index);
    if (link?.kind !== 'veth') return false;
    links.set(link.index, { up: false });
    links.set(link.index, { name: hostInterface });
    this.#done(hostInterface, `found it to be called ${link.name}`);
    return true;
  }

  #done(hostInterface: string, what: string): void {
    this.repaired++;
    this.#say(hostInterface, (leftOut) =>
      this.#parts.log.warn(
        { interface: hostInterface, what, leftOut },
        'put right what somebody else has changed',
      ),
    );
  }

  #failed(owner: string, error: unknown): void {
    const facts = { interface: owner, error: error instanceof Error ? error.message : String(error) };
    this.#say(`${owner} failed`, () => this.#parts.log.error(facts, 'an endpoint can not be put right'));
  }

  #say(kind: string, write: (leftOut: number) => void): void {
    this.#limit.run(kind, write);
  }
}

/** The interface that a message about parameters or limits of traffic is about. */
function indexOf({ type, view, start, end }: Message): number | undefined {
  if (type === RTM_NEWNETCONF || type === RTM_DELNETCONF) {
    // The index is the first attribute of all such messages.
    const at = start + NETCONFMSG;
    return end - at >= 8 && view.getUint16(at + 2, true) === NETCONFA_IFINDEX
      ? view.getInt32(at + 4, true)
      : undefined;
  }
  const isTraffic = type >= RTM_NEWQDISC && type <= RTM_DELTFILTER && end - start >= TCMSG_IFINDEX + 4;
  return isTraffic ? view.getInt32(start + TCMSG_IFINDEX, true) : undefined;
}
