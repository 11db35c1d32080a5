/**
 * A client, a router and a server in namespaces of their own: the way of the packets that are timed.
 */

import { Conntrack } from '#kernel/conntrack/conntrack.ts';
import { NetworkNamespace } from '#kernel/sys/namespace.ts';
import { createNetns, type Netns } from '#test/helpers/netns.ts';

export const CLIENT = '10.0.0.1';
export const SERVER = '10.0.0.2';
export const CLIENT_INTERFACE = 'mgyclient';
export const SERVER_INTERFACE = 'mgyserver';

export class Lane implements Disposable {
  readonly client = createNetns();
  readonly router = createNetns();
  readonly server = createNetns();
  readonly namespace: NetworkNamespace;
  readonly #conntrack: Conntrack;

  /** @param clientInterface as the router sees it: a pod's of its own, or one that leads elsewhere */
  constructor(clientInterface = CLIENT_INTERFACE) {
    const { client, router, server } = this;
    router.sysctl('net.ipv4.ip_forward', 1);
    for (const scope of ['all', 'default']) router.sysctl(`net.ipv4.conf.${scope}.rp_filter`, 0);
    wire(router, clientInterface, client, CLIENT);
    wire(router, SERVER_INTERFACE, server, SERVER);
    this.namespace = NetworkNamespace.open(router.path);
    this.#conntrack = Conntrack.open(this.namespace);
  }

  /** Forgets the connections that the router keeps track of. */
  forget(): void {
    this.#conntrack.deleteMatching({});
  }

  [Symbol.dispose](): void {
    this.#conntrack.close();
    this.namespace.close();
    for (const netns of [this.client, this.server, this.router]) netns.remove();
  }
}

function wire(router: Netns, name: string, pod: Netns, address: string): void {
  router.exec('ip', ['-batch', '-'], {
    input: [
      `link add ${name} type veth peer name eth0 netns ${pod.name}`,
      `link set ${name} up`,
      `route add ${address} dev ${name}`,
      `addr add 169.254.1.1/32 dev ${name}`,
      '',
    ].join('\n'),
  });
  pod.exec('ip', ['-batch', '-'], {
    input: [
      `addr add ${address} dev eth0`,
      'link set eth0 up',
      'route add 169.254.1.1 dev eth0',
      'route add default via 169.254.1.1',
      '',
    ].join('\n'),
  });
}
