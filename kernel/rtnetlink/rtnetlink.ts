import { NETLINK_ROUTE } from '../netlink/constants.ts';
import { NetlinkSocket } from '../netlink/socket.ts';
import type { NetworkNamespace } from '../sys/namespace.ts';
import { Addresses } from './addresses.ts';
import { Links } from './links.ts';
import { Neighbours } from './neighbours.ts';
import { Queueing } from './queueing.ts';
import { Routes } from './routes.ts';
import { Rules } from './rules.ts';

/**
 * Links, addresses, routes, neighbours, rules and limits of one network namespace, over one socket. Each call is one request that
 * is done when it returns.
 *
 *     using rt = Rtnetlink.open();
 *     rt.routes.replace({ destination: '10.1.0.0/16', protocol: 80, nextHops: [{ gateway: '10.0.0.2' }] });
 */
export class Rtnetlink implements Disposable {
  readonly socket: NetlinkSocket;
  readonly links: Links;
  readonly addresses: Addresses;
  readonly routes: Routes;
  readonly neighbours: Neighbours;
  readonly queueing: Queueing;
  readonly rules: Rules;

  private constructor(socket: NetlinkSocket) {
    this.socket = socket;
    this.links = new Links(socket);
    this.addresses = new Addresses(socket);
    this.routes = new Routes(socket);
    this.neighbours = new Neighbours(socket);
    this.queueing = new Queueing(socket);
    this.rules = new Rules(socket);
  }

  /** In `namespace`, or in the thread's own. @throws SyscallError */
  static open(namespace?: NetworkNamespace): Rtnetlink {
    return new Rtnetlink(NetlinkSocket.open(NETLINK_ROUTE, namespace));
  }

  close(): void {
    this.socket.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
