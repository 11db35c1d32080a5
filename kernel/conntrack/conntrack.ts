import { NETLINK_NETFILTER, NLM_F_CREATE, NLM_F_EXCL } from '../netlink/constants.ts';
import { NetlinkError } from '../netlink/error.ts';
import { Attributes } from '../netlink/reader.ts';
import { NetlinkSocket } from '../netlink/socket.ts';
import type { NetworkNamespace } from '../sys/namespace.ts';
import * as c from './constants.ts';
import { describeTuple, type Flow, type FlowKey, type NewFlow } from './flow.ts';
import { FlowChanges } from './flow-changes.ts';
import { CompiledFilter, type FlowFilter } from './flow-filter.ts';
import { type FlowChange, writeChange, writeHeader, writeKey, writeNewFlow } from './flow-message.ts';
import { FlowView } from './flow-view.ts';

/**
 * The connection tracking table of a network namespace (ctnetlink).
 *
 *     using conntrack = Conntrack.open();
 *     conntrack.deleteMatching({ address: '10.1.2.3' });
 *
 * A dump is no snapshot: the kernel walks its table while packets change it, so a flow that comes or goes meanwhile may be
 * in it or not, and in rare cases twice.
 */
export class Conntrack implements Disposable {
  readonly #reader: NetlinkSocket;
  /** A second socket, so that a visit can change what it visits. */
  readonly #writer: NetlinkSocket;

  private constructor(reader: NetlinkSocket, writer: NetlinkSocket) {
    this.#reader = reader;
    this.#writer = writer;
  }

  /** In `namespace`, or in the thread's own. @throws SyscallError */
  static open(namespace?: NetworkNamespace): Conntrack {
    const reader = NetlinkSocket.open(NETLINK_NETFILTER, namespace);
    try {
      return new Conntrack(reader, NetlinkSocket.open(NETLINK_NETFILTER, namespace));
    } catch (error) {
      reader.close();
      throw error;
    }
  }

  /**
   * Calls `visit` for each flow that the filter means, with a view that is valid during the call. It may change flows
   * through this object, but not list them.
   *
   * @throws NetlinkError, AddressError, RangeError
   */
  visit(filter: FlowFilter, visit: (flow: FlowView) => void): void {
    const compiled = new CompiledFilter(filter);
    const view = new FlowView();
    this.#reader.dump('conntrack table', c.IPCTNL_MSG_CT_GET, (writer) => compiled.write(writer), {
      // ctnetlink never says that a dump was interrupted, see above.
      restart: () => {},
      message: (message) => {
        if (message.type === c.IPCTNL_MSG_CT_NEW && compiled.matches(view.read(message))) visit(view);
      },
    });
  }

  /**
   * The same piece by piece, some hundred flows each: what else the thread has to do can be done between two steps. No other
   * visit can begin before it has ended.
   *
   * @throws NetlinkError, AddressError, RangeError
   */
  *visitSteps(filter: FlowFilter, visit: (flow: FlowView) => void): Generator<void> {
    const compiled = new CompiledFilter(filter);
    const view = new FlowView();
    yield* this.#reader.dumpSteps(
      'conntrack table',
      c.IPCTNL_MSG_CT_GET,
      (writer) => compiled.write(writer),
      (message) => {
        if (message.type === c.IPCTNL_MSG_CT_NEW && compiled.matches(view.read(message))) visit(view);
      },
    );
  }

  /** The flows that the filter means; all without one. @throws NetlinkError, AddressError, RangeError */
  list(filter: FlowFilter = {}): Flow[] {
    const found: Flow[] = [];
    this.visit(filter, (view) => found.push(view.toFlow()));
    return found;
  }

  /** The flow, or undefined when there is none. @throws NetlinkError */
  get(key: FlowKey): Flow | undefined {
    let found: Flow | undefined;
    return this.#unlessGone(() => {
      this.#writer.request(
        `flow ${describeTuple(key.original)}`,
        c.IPCTNL_MSG_CT_GET,
        0,
        (writer) => writeKey(writer, key),
        (message) => {
          // The kernel does not look at the id here.
          const flow = new FlowView().read(message).toFlow();
          if (key.id === undefined || key.id === flow.id) found = flow;
        },
      );
      return found;
    });
  }

  /** Makes an entry. @throws NetlinkError with EEXIST when there is one of either tuple */
  create(flow: NewFlow): void {
    this.#writer.request(
      `create flow ${describeTuple(flow.original)}`,
      c.IPCTNL_MSG_CT_NEW,
      NLM_F_CREATE | NLM_F_EXCL,
      (writer) => writeNewFlow(writer, flow),
    );
  }

  /** Changes an entry. @returns false when there is none. @throws NetlinkError */
  update(key: FlowKey, change: FlowChange): boolean {
    const object = `update flow ${describeTuple(key.original)}`;
    const done = this.#unlessGone(() => {
      this.#writer.request(object, c.IPCTNL_MSG_CT_NEW, 0, (writer) => {
        writeKey(writer, key);
        writeChange(writer, change);
      });
      return true;
    });
    return done === true;
  }

  /** Deletes an entry. @returns false when there is none. @throws NetlinkError */
  delete(key: FlowKey): boolean {
    const object = `delete flow ${describeTuple(key.original)}`;
    const done = this.#unlessGone(() => {
      this.#writer.request(object, c.IPCTNL_MSG_CT_DELETE, 0, (writer) => writeKey(writer, key));
      return true;
    });
    return done === true;
  }

  /**
   * Deletes the flows that the filter means; what began after the call may stay.
   *
   * @returns how many were deleted here
   * @throws NetlinkError the first of those that were refused, after all others were deleted
   */
  deleteMatching(filter: FlowFilter): number {
    return this.#change(filter, (changes, view) => changes.delete(view));
  }

  /**
   * Changes the flows that the filter means.
   *
   * @returns how many were changed
   * @throws NetlinkError the first of those that were refused, after all others were changed
   */
  updateMatching(filter: FlowFilter, change: FlowChange): number {
    return this.#change(filter, (changes, view) => changes.update(view, change));
  }

  /** Many changes at a time. */
  changes(): FlowChanges {
    return new FlowChanges(this.#writer);
  }

  /** How many entries the namespace has, and how many it may have. @throws NetlinkError */
  count(): { readonly entries: number; readonly most: number } {
    const attributes = new Attributes(c.CTA_STATS_GLOBAL_MAX_ENTRIES);
    let entries = 0;
    let most = 0;
    this.#writer.request(
      'conntrack statistics',
      c.IPCTNL_MSG_CT_GET_STATS,
      0,
      (writer) => writeHeader(writer, 0),
      (message) => {
        attributes.parse(message.bytes, message.view, message.start + c.NFGENMSG, message.end);
        entries = attributes.be32(c.CTA_STATS_GLOBAL_ENTRIES);
        most = attributes.be32(c.CTA_STATS_GLOBAL_MAX_ENTRIES, 0);
      },
    );
    return { entries, most };
  }

  close(): void {
    this.#reader.close();
    this.#writer.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #change(filter: FlowFilter, change: (changes: FlowChanges, view: FlowView) => void): number {
    const changes = this.changes();
    this.visit(filter, (view) => change(changes, view));
    const { count } = changes;
    const failures = changes.finish();
    const refused = failures.find((failure) => failure.error.code !== 'ENOENT');
    if (refused) throw refused.error;
    return count - failures.length;
  }

  #unlessGone<T>(work: () => T): T | undefined {
    try {
      return work();
    } catch (error) {
      if (error instanceof NetlinkError && error.code === 'ENOENT') return undefined;
      throw error;
    }
  }
}
