/**
 * The shape of the node agent's configuration file, field by field. Defaults are filled in by `load.ts`.
 */

import { z } from 'zod';
import { datastoreSection } from '#daemon/datastore-section.ts';
import { boolean, integer, leaf, mapping, oneOf, seconds, text } from '#daemon/leaves.ts';
import {
  type AddressPrefix,
  type AddressRange,
  familyOf,
  parseAddress,
  parsePrefix,
  rangeOf,
} from '#datastore/address.ts';
import { PROTOCOLS } from '#proto/ports.ts';
import { DEFAULT_CNI_SOCKET } from '../cni/listen.ts';
import { DEFAULT_FAILSAFE, DEFAULT_SETTINGS, type ProtocolPort } from '../dataplane/settings.ts';
import {
  DEFAULT_FELIX_SOCKET,
  DEFAULT_LOG_LEVEL,
  DEFAULT_POLICY_ADDRESS,
  DEFAULT_POLICY_UNKNOWN,
  DEFAULT_POLICY_WAIT,
  DEFAULT_STATE_FOLDER,
} from './model.ts';

/** `10.1.0.7`, or `10.1.0.1-10.1.0.9`, or a CIDR. */
const addressRange = leaf(
  'an address, a CIDR, or two addresses such as 10.1.0.1-10.1.0.9',
  (value): AddressRange | undefined => {
    if (typeof value !== 'string') return undefined;
    if (value.includes('/')) {
      const read = parsePrefix(value);
      return read && rangeOf(read);
    }
    const [from = '', to = from, ...more] = value.split('-').map((part) => part.trim());
    const first = parseAddress(from);
    const last = parseAddress(to);
    if (first === undefined || last === undefined || more.length > 0) return undefined;
    return familyOf(first) === familyOf(last) && first <= last ? { first, last } : undefined;
  },
);

const prefix = leaf('a CIDR without host bits, such as 10.244.0.0/16', (value): AddressPrefix | undefined => {
  if (typeof value !== 'string') return undefined;
  const read = parsePrefix(value);
  return read && parseAddress(value.slice(0, value.indexOf('/'))) === read.address ? read : undefined;
});

const protocolPort = leaf('PROTOCOL/PORT, such as TCP/22', (value): ProtocolPort | undefined => {
  const [, word, number] = /^([A-Za-z]+)\/(\d{1,5})$/.exec(String(value)) ?? [];
  const protocol = PROTOCOLS.find((one) => one === word?.toUpperCase());
  const port = Number(number);
  return protocol !== undefined && port >= 1 && port <= 65535 ? { protocol, port } : undefined;
});

const verdict = oneOf('accept', 'drop');
const path = text('the path of a file', 4_095);
/** The length that sockaddr_un has room for: unix(7). */
const socketPath = text('the path of a socket, of up to 107 bytes', 107);

const policy = mapping({
  address: leaf('unix:/path of a socket, or host:port', (value) =>
    typeof value === 'string' && /^(unix:\/.{1,106}|[^/\s]+:\d{1,5})$/.test(value) ? value : undefined,
  )
    .optional()
    .meta({
      description: 'where the policy engine is',
      default: DEFAULT_POLICY_ADDRESS,
      example: 'policy.example.org:5480',
    }),
  tls: mapping({
    ca: path.meta({
      description: "authorities that may have made the engine's certificate, PEM",
      otherwise: 'required with `host:port`',
      example: '/etc/margay/tls/ca.crt',
    }),
    certificate: path.meta({
      description: "the node's certificate, and after it those between it and an authority, PEM",
      otherwise: 'required with `host:port`',
      example: '/etc/margay/tls/n1.crt',
    }),
    key: path.meta({
      description: 'its key, PEM',
      otherwise: 'required with `host:port`',
      example: '/etc/margay/tls/n1.key',
    }),
  }).optional(),
});

const pods = mapping({
  cidrs: z
    .array(prefix)
    .optional()
    .meta({
      description: "the node's pod CIDRs; without `pods` the agent wires no pods",
      otherwise: "required in `pods`; with `datastore`, those of the node's own Node object",
      example: ['10.244.1.0/24', 'fd00:244:1::/64'],
    }),
  reserved: z
    .array(addressRange)
    .optional()
    .meta({
      description: 'addresses that only a pod gets that asks for one by name',
      example: ['10.244.1.10', '10.244.1.32/28', '10.244.1.100-10.244.1.120'],
    }),
  mtu: integer(576, 65535, 'bytes').optional().meta({
    description: 'MTU of pods',
    otherwise: 'that of the uplink',
    example: 1450,
  }),
  stateFolder: path.optional().meta({
    description: 'folder of what has to be kept: which pod has which address',
    default: DEFAULT_STATE_FOLDER,
    example: '/data/margay',
  }),
  policyWait: seconds(1, 80).optional().meta({
    description: "longest time that ADD waits for a pod's policy to be known and in the kernel",
    default: DEFAULT_POLICY_WAIT,
    example: 60,
  }),
  policyUnknown: oneOf('refuse', 'close').optional().meta({
    description:
      'what becomes of a pod whose policy is not known then: ADD fails, to be tried again, or it comes closed',
    default: DEFAULT_POLICY_UNKNOWN,
    example: 'close',
  }),
  cniSocket: socketPath.optional().meta({
    description: 'unix socket for the CNI plugin',
    default: DEFAULT_CNI_SOCKET,
    example: '/run/margay/other-cni.sock',
  }),
  cniConfig: path.optional().meta({
    description:
      'configuration list of the CNI plugin, written once pods can come and kept there: the container runtime finds the plugin by it',
    otherwise: 'it is for others to write',
    example: '/etc/cni/net.d/10-margay.conflist',
  }),
});

const dataplane = mapping({
  podToHost: verdict.optional().meta({
    description: 'connections from pods to the node that they run on',
    default: DEFAULT_SETTINGS.podToHost,
    example: 'drop',
  }),
  hostToPod: verdict.optional().meta({
    description: 'connections from the node to pods of its own',
    default: DEFAULT_SETTINGS.hostToPod,
    example: 'drop',
  }),
  failsafeInbound: z
    .array(protocolPort)
    .optional()
    .meta({
      description: 'ports of the node that pods reach whatever `podToHost` says',
      default: DEFAULT_FAILSAFE.inbound.map(formatPort),
      example: ['TCP/22', 'TCP/6443'],
    }),
  failsafeOutbound: z
    .array(protocolPort)
    .optional()
    .meta({
      description: 'ports of pods that the node reaches whatever `hostToPod` says',
      default: DEFAULT_FAILSAFE.outbound.map(formatPort),
      example: ['UDP/53'],
    }),
  serviceRanges: z
    .array(prefix)
    .optional()
    .meta({
      description: 'addresses of services; packets that still bear one after the service proxy are cut off',
      example: ['10.96.0.0/12'],
    }),
  pools: z
    .array(
      mapping({
        cidr: prefix.meta({
          description: 'addresses of pods',
          otherwise: 'required in an entry',
          example: '10.244.0.0/16',
        }),
        natOutgoing: boolean.optional().meta({
          description: "pods of it leave the cluster by the node's address",
          default: false,
          example: true,
        }),
      }),
    )
    .optional(),
  natExcluded: z
    .array(prefix)
    .optional()
    .meta({
      description: "destinations outside the pools that are reached by the pod's own address all the same",
      example: ['192.168.0.0/16'],
    }),
});

/** The sections of the document. */
export const SECTIONS = {
  node: text('the name of a Node object', 253).optional().meta({
    description: 'the Node object that this machine is',
    otherwise: 'the environment variable `NODE_NAME`',
    example: 'n1',
  }),
  policy: policy.optional(),
  datastore: datastoreSection('').optional(),
  api: mapping({
    socket: socketPath.optional().meta({
      description: 'unix socket that the commands ask',
      default: DEFAULT_FELIX_SOCKET,
      example: '/run/margay/other-felix.sock',
    }),
  }).optional(),
  pods: pods.optional(),
  dataplane: dataplane.optional(),
  log: mapping({
    level: oneOf('error', 'warn', 'info', 'debug').optional().meta({
      description: 'the least that is logged',
      default: DEFAULT_LOG_LEVEL,
      example: 'debug',
    }),
  }).optional(),
} as const;

export type DataplaneSection = z.output<typeof dataplane>;
export type PodSection = z.output<typeof pods>;

function formatPort({ protocol, port }: ProtocolPort): string {
  return `${protocol}/${port}`;
}
