import { randomInt } from 'node:crypto';
import { type AddressKey, familyOf, formatAddress } from '#datastore/address.ts';
import { NetlinkError } from '#kernel/netlink/error.ts';
import type { Link } from '#kernel/rtnetlink/link.ts';
import type { Route, RouteSpec } from '#kernel/rtnetlink/route.ts';
import { Rtnetlink } from '#kernel/rtnetlink/rtnetlink.ts';
import { NetworkNamespace } from '#kernel/sys/namespace.ts';
import { EndpointError } from './error.ts';
import { type Endpoint, GATEWAY4, GATEWAY6, HOST_MAC, podOf } from './model.ts';
import { shadowOf } from './shadows.ts';
import { blockOf, limitsAreRight, limitTraffic, unlimitTraffic } from './shaping.ts';
import { differingSysctls, type Families, hasIpv6, hostSysctls, podSysctls, setSysctls } from './sysctls.ts';

/** Who sets the routes of pods (`ip route show proto 110`). */
export const ROUTE_PROTOCOL = 110;

/** Device groups that interfaces are put into to be removed together. */
const REMOVAL_GROUPS = 0x6d670000;

/** `boot` of /etc/iproute2/rt_protos: what sets the routes of a pod when it starts. */
const POD_ROUTE_PROTOCOL = 3;

/** Something in the kernel that is not as it should be, and how to put it right. */
export interface Fix {
  readonly what: string;
  /** @throws NetlinkError SysctlError */
  readonly apply: () => void;
  /** It is somebody else's to put right: nothing is done. */
  readonly beyondUs?: true;
  /** There may be something behind it. */
  readonly lookAgain?: true;
}

/** What the node has, read once for many endpoints. */
export interface NodeView {
  readonly links: ReadonlyMap<string, Link>;
  /** Those with our protocol, by index of the interface. */
  readonly routes: ReadonlyMap<number, readonly Route[]>;
  /** Addresses of interfaces by their index. */
  readonly addresses: ReadonlyMap<number, readonly string[]>;
}

/**
 * The kernel's side of endpoints: veth pairs with their addresses, routes, neighbours and parameters, in the node's
 * namespace and in those of pods. Every call is done when it returns.
 */
export class Wires {
  readonly rtnetlink: Rtnetlink;
  readonly namespace: NetworkNamespace | undefined;
  readonly #ipv6 = hasIpv6();

  /** @param namespace the node's; the thread's own when undefined */
  constructor(namespace?: NetworkNamespace) {
    this.namespace = namespace;
    this.rtnetlink = Rtnetlink.open(namespace);
  }

  close(): void {
    this.rtnetlink.close();
  }

  /** Whether a namespace is the node's own. */
  isNode(namespace: NetworkNamespace): boolean {
    if (this.namespace !== undefined) return this.namespace.inode === namespace.inode;
    using own = NetworkNamespace.current();
    return own.inode === namespace.inode;
  }

  /**
   * Makes the pair, with the node's end up and the pod's end down: no packet goes yet.
   *
   * @param inside a socket in the pod's namespace
   * @throws EndpointError when the pod has an interface of that name; NetlinkError SysctlError
   */
  create(endpoint: Endpoint, pod: NetworkNamespace, inside: Rtnetlink): void {
    const { links } = this.rtnetlink;
    const { hostInterface, interfaceName, mac, mtu } = endpoint;
    if (inside.links.get(interfaceName) !== undefined) {
      const details = `${endpoint.netns} has an interface ${interfaceName} that is not ours`;
      throw new EndpointError('NAME_TAKEN', `${interfaceName} is there already`, details);
    }
    links.create({
      kind: 'veth',
      name: hostInterface,
      mtu,
      address: HOST_MAC,
      alias: aliasOf(endpoint),
      ...(this.#ipv6 && { addressGeneration: 'none' }),
      peer: { name: interfaceName, mtu, address: mac, namespace: pod },
    });
    const families = familiesOf(endpoint);
    setSysctls(hostSysctls(hostInterface, families), this.namespace);
    links.set(hostInterface, { up: true });
    const link = links.indexOf(hostInterface);
    if (endpoint.bandwidth !== undefined) limitTraffic(this.rtnetlink, endpoint, link);
    if (families.ipv6) this.rtnetlink.addresses.replace(gatewayAddress(link));
    setSysctls(podSysctls(interfaceName, families), pod);
    const index = inside.links.indexOf(interfaceName);
    for (const address of podAddresses(endpoint, index)) inside.addresses.replace(address);
  }

  /** Routes on the node, then the pod's end: from here on packets go. @throws NetlinkError */
  connect(endpoint: Endpoint, inside: Rtnetlink): void {
    const link = this.rtnetlink.links.indexOf(endpoint.hostInterface);
    for (const route of hostRoutes(endpoint, link)) this.rtnetlink.routes.replace(route);
    const index = inside.links.indexOf(endpoint.interfaceName);
    inside.links.set(index, { up: true });
    for (const neighbour of podNeighbours(endpoint, index)) inside.neighbours.replace(neighbour);
    for (const route of podRoutes(endpoint, index)) inside.routes.replace(route);
  }

  /** Removes a pair with all that hangs on it. Returns whether it was there. @throws NetlinkError */
  remove(hostInterface: string): boolean {
    const { links } = this.rtnetlink;
    const wasThere = unlessGone(() => links.delete(hostInterface));
    unlessGone(() => links.delete(blockOf(hostInterface)));
    return wasThere;
  }

  /**
   * Removes many pairs, of which some may not be there. The kernel takes about as long for all of them as for one.
   *
   * @throws NetlinkError
   */
  removeAll(hostInterfaces: readonly string[]): void {
    if (hostInterfaces.length === 1) {
      this.remove(hostInterfaces[0]!);
      return;
    }
    const { links } = this.rtnetlink;
    // A group of its own each time: should we be killed before its end, nothing else is removed with what is left in it.
    const group = REMOVAL_GROUPS + randomInt(0x10000);
    let found = false;
    for (const name of new Set(hostInterfaces.flatMap((each) => [each, blockOf(each)])))
      found = unlessGone(() => links.set(name, { group })) || found;
    if (found) unlessGone(() => links.deleteGroup(group));
  }

  /**
   * Who has an address that is to be a pod's, in words: the node itself, or an interface that is not ours, such as what another
   * network plugin has left on a node that was its before. One look-up of a route.
   */
  holderOf(address: AddressKey): string | undefined {
    const text = formatAddress(address);
    const route = this.rtnetlink.routes.match(text);
    if (route === undefined) return undefined;
    if (route.type === 'local') return 'the node itself';
    const isOwn = route.destination === `${text}/${familyOf(address) === 4 ? 32 : 128}`;
    if (!isOwn || route.type !== 'unicast' || route.protocol === ROUTE_PROTOCOL) return undefined;
    const [hop] = route.nextHops;
    const link = hop?.link === undefined ? undefined : this.rtnetlink.links.get(hop.link);
    return `a route by ${link?.name ?? hop?.gateway ?? 'others'}`;
  }

  /** Reads what the node has. */
  view(): NodeView {
    const links = new Map(this.rtnetlink.links.list().map((link) => [link.name, link]));
    const routes = Map.groupBy(
      this.rtnetlink.routes.list({ table: 254, protocol: ROUTE_PROTOCOL }),
      (route) => route.nextHops[0]?.link ?? 0,
    );
    const addresses = new Map<number, string[]>();
    for (const { link, address, length } of this.rtnetlink.addresses.list({ family: 6 }))
      addresses.set(link, [...(addresses.get(link) ?? []), `${address}/${length}`]);
    return { links, routes, addresses };
  }

  /** Reads what of the node has to do with one interface. */
  viewOf(hostInterface: string): NodeView {
    const link = this.rtnetlink.links.get(hostInterface);
    if (link === undefined) return { links: new Map(), routes: new Map(), addresses: new Map() };
    const routes = this.rtnetlink.routes.list({ table: 254, protocol: ROUTE_PROTOCOL, link: link.index });
    const addresses = this.rtnetlink.addresses.list({ family: 6, link: link.index });
    return {
      links: new Map([[link.name, link]]),
      routes: new Map([[link.index, routes]]),
      addresses: new Map([[link.index, addresses.map(({ address, length }) => `${address}/${length}`)]]),
    };
  }

  /** What of the node's end is not as it should be; the interface has to be there. @throws SysctlError */
  hostFixes(endpoint: Endpoint, view: NodeView): Fix[] {
    const { rtnetlink, namespace } = this;
    const { hostInterface, mtu } = endpoint;
    const link = view.links.get(hostInterface)!;
    const families = familiesOf(endpoint);
    const fixes: Fix[] = [];
    const fix = (what: string, apply: () => void): void =>
      void fixes.push({ what: `${hostInterface}: ${what}`, apply });
    if (link.address !== HOST_MAC)
      fix(`found address ${link.address}, expected ${HOST_MAC}`, () =>
        rtnetlink.links.set(link.index, { address: HOST_MAC }),
      );
    if (link.mtu !== mtu)
      fix(`found MTU ${link.mtu}, expected ${mtu}`, () => rtnetlink.links.set(link.index, { mtu }));
    if (link.group >>> 16 === REMOVAL_GROUPS >>> 16)
      fix(`found it in group ${link.group}`, () => rtnetlink.links.set(link.index, { group: 0 }));
    if (link.master !== undefined)
      fix(`found it to be a port of link ${link.master}`, () =>
        rtnetlink.links.set(link.index, { master: 0 }),
      );
    for (const { key, found, expected } of differingSysctls(hostSysctls(hostInterface, families), namespace))
      fix(`found ${key} ${found}, expected ${expected}`, () => setSysctls({ [key]: expected }, namespace));
    if (!link.up) fix('found it down', () => rtnetlink.links.set(link.index, { up: true }));
    if (endpoint.bandwidth !== undefined && !limitsAreRight(rtnetlink, endpoint, link.index)) {
      fix('found other limits of traffic', () => {
        unlimitTraffic(rtnetlink, link.index);
        limitTraffic(rtnetlink, endpoint, link.index);
      });
    }
    if (families.ipv6 && !view.addresses.get(link.index)?.includes(`${GATEWAY6}/64`))
      fix(`found no ${GATEWAY6}`, () => rtnetlink.addresses.replace(gatewayAddress(link.index)));
    const routes = view.routes.get(link.index) ?? [];
    const wanted = hostRoutes(endpoint, link.index);
    const missing = wanted.filter(
      (route) => !routes.some((each) => each.destination === route.destination && each.type === 'unicast'),
    );
    for (const route of missing) {
      const what = `${hostInterface}: found no route to ${route.destination}`;
      fixes.push({ what, apply: () => void rtnetlink.routes.replace(route), lookAgain: true });
    }
    for (const route of routes) {
      if (!wanted.some((each) => each.destination === route.destination))
        fix(`found a route to ${route.destination}`, () => rtnetlink.routes.delete(route));
    }
    // Without ours packets go by any that is shorter, and what drops them does not say that it is.
    for (const address of missing.length > 0 ? [] : endpoint.addresses) {
      const shadow = shadowOf(rtnetlink, address, link.index);
      if (shadow === undefined) continue;
      const { route } = shadow;
      const what = `${hostInterface}: ${shadow.what}`;
      if (route === undefined) fixes.push({ what, apply: () => {}, beyondUs: true });
      else fixes.push({ what, apply: () => rtnetlink.routes.delete(route), lookAgain: true });
    }
    return fixes;
  }

  /** What of the pod's end is not as it should be. `inside` is a socket in the pod's namespace. @throws SysctlError */
  podFixes(endpoint: Endpoint, pod: NetworkNamespace, inside: Rtnetlink): Fix[] {
    const { interfaceName } = endpoint;
    const link = inside.links.get(interfaceName);
    const fixes: Fix[] = [];
    const fix = (what: string, apply: () => void): void =>
      void fixes.push({ what: `${interfaceName} of ${endpoint.netns}: ${what}`, apply });
    if (link === undefined) {
      fix('found no such interface', () => {});
      return fixes;
    }
    const { index } = link;
    const families = familiesOf(endpoint);
    if (link.mtu !== endpoint.mtu)
      fix(`found MTU ${link.mtu}, expected ${endpoint.mtu}`, () =>
        inside.links.set(index, { mtu: endpoint.mtu }),
      );
    for (const { key, found, expected } of differingSysctls(podSysctls(interfaceName, families), pod))
      fix(`found ${key} ${found}, expected ${expected}`, () => setSysctls({ [key]: expected }, pod));
    if (!link.up) fix('found it down', () => inside.links.set(index, { up: true }));
    const addresses = inside.addresses.list({ link: index });
    for (const address of podAddresses(endpoint, index)) {
      if (!addresses.some((each) => each.address === address.address && each.length === address.length))
        fix(`found no address ${address.address}`, () => inside.addresses.replace(address));
    }
    const neighbours = inside.neighbours.list({ link: index, proxy: false });
    for (const neighbour of podNeighbours(endpoint, index)) {
      const same = neighbours.some(
        (each) =>
          each.address === neighbour.address &&
          each.state === 'permanent' &&
          each.hardwareAddress === neighbour.hardwareAddress,
      );
      if (!same) fix(`found no neighbour ${neighbour.address}`, () => inside.neighbours.replace(neighbour));
    }
    const routes = inside.routes.list({ table: 254, link: index });
    for (const route of podRoutes(endpoint, index)) {
      const gateway = route.nextHops?.[0]?.gateway;
      const same = routes.some(
        (each) =>
          each.destination === route.destination && each.nextHops.some((hop) => hop.gateway === gateway),
      );
      if (!same) fix(`found no route to ${route.destination}`, () => void inside.routes.replace(route));
    }
    return fixes;
  }
}

/** Which families an endpoint has addresses of, and whether ports of the node lead to it. */
export function familiesOf(endpoint: Endpoint): Families {
  const families = endpoint.addresses.map(familyOf);
  return {
    ipv4: families.includes(4),
    ipv6: families.includes(6),
    hostPorts: endpoint.hostPorts.length > 0,
  };
}

/** What `ip link` shows of the node's end: whose it is. */
export function aliasOf(endpoint: Endpoint): string {
  return podOf(endpoint).slice(0, 255);
}

/** Whether there was an interface to do it to. */
function unlessGone(work: () => void): boolean {
  try {
    work();
    return true;
  } catch (error) {
    if (error instanceof NetlinkError && error.code === 'ENODEV') return false;
    throw error;
  }
}

function gatewayAddress(link: number) {
  return { link, address: GATEWAY6, length: 64, scope: 'link', flags: ['no-dad'] } as const;
}

function hostRoutes(endpoint: Endpoint, link: number): RouteSpec[] {
  return endpoint.addresses.map((address) => ({
    destination: `${formatAddress(address)}/${familyOf(address) === 4 ? 32 : 128}`,
    protocol: ROUTE_PROTOCOL,
    nextHops: [{ link }],
  }));
}

function podAddresses(endpoint: Endpoint, link: number) {
  return endpoint.addresses.map((address) =>
    familyOf(address) === 4
      ? { link, address: formatAddress(address), length: 32 }
      : { link, address: formatAddress(address), length: 128, flags: ['no-dad'] as const },
  );
}

/** The gateways, so that the first packet need not wait for an answer. */
function podNeighbours(endpoint: Endpoint, link: number) {
  return gatewaysOf(endpoint).map((address) => ({
    link,
    address,
    hardwareAddress: HOST_MAC,
    router: address === GATEWAY6,
  }));
}

function podRoutes(endpoint: Endpoint, link: number): RouteSpec[] {
  return gatewaysOf(endpoint).flatMap((gateway): RouteSpec[] => {
    const viaGateway = { protocol: POD_ROUTE_PROTOCOL, nextHops: [{ gateway, link }] };
    if (gateway === GATEWAY6) return [{ destination: '::/0', ...viaGateway }];
    return [
      { destination: `${GATEWAY4}/32`, protocol: POD_ROUTE_PROTOCOL, nextHops: [{ link }] },
      { destination: '0.0.0.0/0', ...viaGateway },
    ];
  });
}

function gatewaysOf(endpoint: Endpoint): string[] {
  return endpoint.addresses.map((address) => (familyOf(address) === 4 ? GATEWAY4 : GATEWAY6));
}
