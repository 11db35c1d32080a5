import { NETLINK_NETFILTER, NLM_F_CREATE, NLM_F_EXCL } from '../netlink/constants.ts';
import type { Subscription } from '../netlink/monitor.ts';
import type { NetworkNamespace } from '../sys/namespace.ts';
import * as c from './constants.ts';
import { FlowView } from './flow-view.ts';

/** What happened to a flow. */
export type FlowEvent = 'new' | 'update' | 'destroy';

/** What of the connection tracking table to hear. */
export interface FlowEventOptions {
  readonly namespace?: NetworkNamespace;
  /** All three unless told. */
  readonly events?: readonly FlowEvent[];
  /** Receive buffer in bytes; 4 MiB unless told. */
  readonly bufferBytes?: number;
  /** The view is valid during the call. Counters come with `destroy` alone. */
  readonly onEvent: (event: FlowEvent, flow: FlowView) => void;
  /** Events were lost: list the table again. */
  readonly onOverflow: () => void;
}

/**
 * A subscription to events of the table, for {@link NetlinkMonitor.open}. The kernel makes events for those flows alone
 * that began while somebody was listening, unless net.netfilter.nf_conntrack_events is 1 (2, the default, is that).
 */
export function flowEvents(options: FlowEventOptions): Subscription {
  const view = new FlowView();
  return {
    protocol: NETLINK_NETFILTER,
    groups: (options.events ?? (['new', 'update', 'destroy'] as const)).map((event) => GROUPS[event]),
    ...(options.bufferBytes === undefined ? {} : { bufferBytes: options.bufferBytes }),
    ...(options.namespace ? { namespace: options.namespace } : {}),
    onMessage: (message) => {
      if (message.type === c.IPCTNL_MSG_CT_DELETE) options.onEvent('destroy', view.read(message));
      else if (message.type === c.IPCTNL_MSG_CT_NEW) {
        options.onEvent(message.flags & (NLM_F_CREATE | NLM_F_EXCL) ? 'new' : 'update', view.read(message));
      }
    },
    onOverflow: options.onOverflow,
  };
}

const GROUPS: Readonly<Record<FlowEvent, number>> = {
  new: c.NFNLGRP_CONNTRACK_NEW,
  update: c.NFNLGRP_CONNTRACK_UPDATE,
  destroy: c.NFNLGRP_CONNTRACK_DESTROY,
};
