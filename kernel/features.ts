import { NETLINK_NETFILTER, NETLINK_ROUTE, NLM_F_CREATE, NLM_F_EXCL } from './netlink/constants.ts';
import { NetlinkError } from './netlink/error.ts';
import { NetlinkSocket } from './netlink/socket.ts';
import { MessageWriter } from './netlink/writer.ts';
import { SyscallError } from './sys/errno.ts';
import { close, setsockopt, socket } from './sys/libc.ts';
import { NetworkNamespace } from './sys/namespace.ts';
import { setTcpMd5 } from './sys/tcp-md5.ts';

/*
 * What the running kernel can do, found by trying, each in a network namespace made for it and thrown away. Trying makes
 * the kernel load the module that has the feature, where it is one.
 */

/** Whether the kernel has a feature. */
export interface FeatureStatus {
  readonly name: Feature;
  /** `unknown`: trying failed in a way that says nothing of the feature, e.g. EPERM. */
  readonly status: 'present' | 'missing' | 'unknown';
  /** What it is for, in words. */
  readonly purpose: string;
  /** The option of the kernel's configuration that brings it. */
  readonly option: string;
  /** What trying ended with, for those that are not present: `ENOPROTOOPT`. */
  readonly reason: string;
}

/** Names of the features that can be looked for. */
export type Feature = keyof typeof FEATURES;

/** All names, in the order of the table. */
export function featureNames(): Feature[] {
  return Object.keys(FEATURES) as Feature[];
}

/**
 * Looks for features, all unless told. Needs root, as does using them.
 *
 * @throws NamespaceError when no network namespace can be made to try them in
 */
export function probeFeatures(names: readonly Feature[] = featureNames()): FeatureStatus[] {
  return names.map((name) => {
    const { purpose, option, probe } = FEATURES[name];
    const namespace = NetworkNamespace.anonymous();
    let outcome: Outcome;
    try {
      outcome = probe(namespace);
    } catch (error) {
      if (!(error instanceof SyscallError || error instanceof NetlinkError)) throw error;
      outcome = { status: 'unknown', reason: error.code };
    } finally {
      namespace.close();
    }
    return { name, purpose, option, ...outcome };
  });
}

interface Outcome {
  readonly status: FeatureStatus['status'];
  readonly reason: string;
}

interface Kind {
  readonly purpose: string;
  readonly option: string;
  readonly probe: (namespace: NetworkNamespace) => Outcome;
}

const AF_INET = 2;
const AF_INET6 = 10;
const SOCK_STREAM = 1;
const SOCK_CLOEXEC = 0o2000000;
const IPPROTO_TCP = 6;
const IPPROTO_SCTP = 132;
const TCP_AO_ADD_KEY = 38; // linux/tcp.h

/** linux/rtnetlink.h, linux/if_link.h */
const RTM_NEWLINK = 16;
const IFINFOMSG = 16;
const IFLA_IFNAME = 3;
const IFLA_LINKINFO = 18;
const IFLA_INFO_KIND = 1;

/** linux/pkt_sched.h; struct tcmsg is 20 bytes, and the loopback is the first interface of a namespace. */
const RTM_NEWQDISC = 36;
const TCMSG = 20;
const TC_H_ROOT = 0xffffffff;
const TC_H_INGRESS = 0xfffffff1;
const TCA_KIND = 1;
const LOOPBACK = 1;

/** linux/netfilter/: nfnetlink.h, nfnetlink_conntrack.h, nfnetlink_log.h, nf_tables.h */
const NFPROTO_INET = 1;
const NFNL_MSG_BATCH_BEGIN = 0x10;
const NFNL_MSG_BATCH_END = 0x11;
const NFNL_SUBSYS_NFTABLES = 10;
const NFT_MSG_NEWTABLE = NFNL_SUBSYS_NFTABLES << 8;
const NFT_MSG_NEWCHAIN = NFT_MSG_NEWTABLE | 3;
const NFT_MSG_NEWRULE = NFT_MSG_NEWTABLE | 6;
const NFTA_RULE_EXPRESSIONS = 4;
const IPCTNL_MSG_CT_GET_STATS = (1 << 8) | 5;
const NFULNL_MSG_CONFIG = (4 << 8) | 1;
const NFULA_CFG_CMD = 1;
const NFULA_CFG_FLAGS = 6;
const NFULNL_CFG_CMD_BIND = 1;
const NFULNL_CFG_F_CONNTRACK = 4;

const FEATURES = {
  'tcp-md5': {
    purpose: 'BGP sessions with a password (RFC 2385)',
    option: 'CONFIG_TCP_MD5SIG',
    probe: tcpSocket((fd) => setTcpMd5(fd, { address: '192.0.2.1', prefixLength: 32 }, 'probe')),
  },
  'tcp-ao': {
    purpose: 'BGP sessions with TCP-AO keys (RFC 5925)',
    option: 'CONFIG_TCP_AO',
    // Too short for a key: EINVAL where there is such an option.
    probe: tcpSocket((fd) => setsockopt(fd, IPPROTO_TCP, TCP_AO_ADD_KEY, new Uint8Array(4))),
  },
  ipv6: {
    purpose: 'IPv6',
    option: 'CONFIG_IPV6',
    probe: attempt(['EAFNOSUPPORT'], (namespace) => {
      close(namespace.run(() => socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0)));
    }),
  },
  sctp: {
    purpose: 'SCTP sockets; policies for SCTP do without',
    option: 'CONFIG_IP_SCTP',
    probe: attempt(['EPROTONOSUPPORT'], (namespace) => {
      close(namespace.run(() => socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_SCTP)));
    }),
  },
  veth: link('veth', 'pod interfaces', 'CONFIG_VETH'),
  ifb: link('ifb', 'limits of what pods send', 'CONFIG_IFB'),
  dummy: link('dummy', 'interfaces for addresses that belong to none', 'CONFIG_DUMMY'),
  vrf: link('vrf', 'BGP sessions and routes in a VRF', 'CONFIG_NET_VRF'),
  wireguard: link('wireguard', 'encrypted links between nodes', 'CONFIG_WIREGUARD'),
  'sch-tbf': discipline('tbf', 'limits of the traffic of pods', 'CONFIG_NET_SCH_TBF'),
  'sch-ingress': discipline('ingress', 'limits of what pods send', 'CONFIG_NET_SCH_INGRESS'),
  nftables: {
    purpose: 'policy and services',
    option: 'CONFIG_NF_TABLES',
    probe: attempt(['EINVAL', 'EOPNOTSUPP', 'EPROTONOSUPPORT'], (namespace) => tryRule(namespace, 'counter')),
  },
  'nft-ct': expression('ct', 'established connections, labels', 'CONFIG_NFT_CT'),
  'nft-fib': expression('fib', 'what is a local address; reverse path', 'CONFIG_NFT_FIB_INET'),
  'nft-flowtable': expression('flow_offload', 'short cut for long flows', 'CONFIG_NFT_FLOW_OFFLOAD'),
  'nft-hash': expression('hash', 'session affinity', 'CONFIG_NFT_HASH'),
  'nft-limit': expression('limit', 'rate of logged packets', 'CONFIG_NFT_LIMIT'),
  'nft-log': expression('log', 'flow log', 'CONFIG_NFT_LOG'),
  'nft-masq': expression('masq', 'pods reach the outside', 'CONFIG_NFT_MASQ'),
  'nft-nat': expression('nat', 'services, host ports', 'CONFIG_NFT_NAT'),
  'nft-numgen': expression('numgen', 'services with several backends', 'CONFIG_NFT_NUMGEN'),
  'nft-queue': expression('queue', 'packets to a program', 'CONFIG_NFT_QUEUE'),
  'nft-reject': expression('reject', 'an answer to what is refused', 'CONFIG_NFT_REJECT_INET'),
  'nft-socket': expression('socket', 'packets by their socket', 'CONFIG_NFT_SOCKET'),
  'nft-tproxy': expression('tproxy', 'transparent proxies', 'CONFIG_NFT_TPROXY'),
  conntrack: {
    purpose: 'reading and changing connections (ctnetlink)',
    option: 'CONFIG_NF_CT_NETLINK',
    probe: netfilter(['EINVAL', 'EOPNOTSUPP'], IPCTNL_MSG_CT_GET_STATS, 0, () => {}),
  },
  nflog: {
    purpose: 'flow log',
    option: 'CONFIG_NETFILTER_NETLINK_LOG',
    probe: netfilter(['EINVAL', 'EOPNOTSUPP'], NFULNL_MSG_CONFIG, 1, (writer) =>
      writer.u8(NFULA_CFG_CMD, NFULNL_CFG_CMD_BIND),
    ),
  },
  'nflog-conntrack': {
    purpose: 'the connection of each logged packet',
    option: 'CONFIG_NETFILTER_NETLINK_GLUE_CT',
    probe: netfilter(['EINVAL', 'EOPNOTSUPP'], NFULNL_MSG_CONFIG, 1, (writer) => {
      writer.u8(NFULA_CFG_CMD, NFULNL_CFG_CMD_BIND);
      writer.be16(NFULA_CFG_FLAGS, NFULNL_CFG_F_CONNTRACK);
    }),
  },
} satisfies Readonly<Record<string, Kind>>;

/** Present when it goes well, missing when it fails with one of `codes`, present also with one of `present`. */
function attempt(
  codes: readonly string[],
  work: (namespace: NetworkNamespace) => void,
  present: readonly string[] = [],
): (namespace: NetworkNamespace) => Outcome {
  return (namespace) => {
    try {
      work(namespace);
    } catch (error) {
      if (!(error instanceof SyscallError || error instanceof NetlinkError)) throw error;
      if (codes.includes(error.code)) return { status: 'missing', reason: error.code };
      if (!present.includes(error.code)) return { status: 'unknown', reason: error.code };
    }
    return { status: 'present', reason: '' };
  };
}

function tcpSocket(work: (fd: number) => void): (namespace: NetworkNamespace) => Outcome {
  return attempt(
    ['ENOPROTOOPT'],
    (namespace) => {
      const fd = namespace.run(() => socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
      try {
        work(fd);
      } finally {
        close(fd);
      }
    },
    ['EINVAL'],
  );
}

/** A kind of interface: one that there is may still want to know more (EINVAL). */
function link(kind: string, purpose: string, option: string): Kind {
  const probe = attempt(
    ['EOPNOTSUPP'],
    (namespace) => {
      const route = NetlinkSocket.open(NETLINK_ROUTE, namespace);
      try {
        route.request(`link of kind ${kind}`, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, (writer) => {
          writer.fixed(IFINFOMSG);
          writer.string(IFLA_IFNAME, 'probe0');
          const info = writer.nest(IFLA_LINKINFO);
          writer.string(IFLA_INFO_KIND, kind);
          writer.nestEnd(info);
        });
      } finally {
        route.close();
      }
    },
    ['EINVAL'],
  );
  return { purpose, option, probe };
}

/** A queueing discipline: one that there is may still want to know more (EINVAL). */
function discipline(kind: string, purpose: string, option: string): Kind {
  const probe = attempt(
    ['ENOENT', 'EOPNOTSUPP'],
    (namespace) => {
      const route = NetlinkSocket.open(NETLINK_ROUTE, namespace);
      try {
        route.request(`queueing discipline ${kind}`, RTM_NEWQDISC, NLM_F_CREATE | NLM_F_EXCL, (writer) => {
          const at = writer.fixed(TCMSG);
          writer.view.setInt32(at + 4, LOOPBACK, true);
          writer.view.setUint32(at + 12, kind === 'ingress' ? TC_H_INGRESS : TC_H_ROOT, true);
          writer.string(TCA_KIND, kind);
        });
      } finally {
        route.close();
      }
    },
    ['EINVAL'],
  );
  return { purpose, option, probe };
}

function netfilter(
  codes: readonly string[],
  type: number,
  resource: number,
  fill: (writer: MessageWriter) => void,
): (namespace: NetworkNamespace) => Outcome {
  return attempt(codes, (namespace) => {
    const nfnetlink = NetlinkSocket.open(NETLINK_NETFILTER, namespace);
    const ask = (): void =>
      nfnetlink.request('probe', type, 0, (writer) => {
        writeHeader(writer, 0, resource);
        fill(writer);
      });
    try {
      try {
        ask();
      } catch (error) {
        // The kernel has loaded a module, and wants to be asked again.
        if (!(error instanceof NetlinkError && error.code === 'EAGAIN')) throw error;
        ask();
      }
    } finally {
      nfnetlink.close();
    }
  });
}

/**
 * An nftables expression, in a rule without anything that the expression needs: ENOENT is an unknown name, and any other
 * complaint comes from the expression itself.
 */
function expression(name: string, purpose: string, option: string): Kind {
  const probe = attempt(['ENOENT'], (namespace) => tryRule(namespace, name), [
    'EINVAL',
    'EOPNOTSUPP',
    'EAFNOSUPPORT',
    'ENODEV',
  ]);
  return { purpose, option, probe };
}

/** Sends a table, a chain and a rule of one expression, in one transaction. */
function tryRule(namespace: NetworkNamespace, name: string): void {
  const nfnetlink = NetlinkSocket.open(NETLINK_NETFILTER, namespace);
  const writer = new MessageWriter();
  const sequence = nfnetlink.takeSequence(5);
  const message = (index: number, type: number, family: number, resource: number, fill: () => void): void => {
    const flags = type >= NFT_MSG_NEWTABLE ? NLM_F_CREATE | 5 : 1; // NLM_F_REQUEST, and NLM_F_ACK
    writer.begin(type, flags, sequence + index);
    writeHeader(writer, family, resource);
    fill();
    writer.end();
  };
  message(0, NFNL_MSG_BATCH_BEGIN, 0, NFNL_SUBSYS_NFTABLES, () => {});
  message(1, NFT_MSG_NEWTABLE, NFPROTO_INET, 0, () => writer.string(1, 'probe'));
  message(2, NFT_MSG_NEWCHAIN, NFPROTO_INET, 0, () => {
    writer.string(1, 'probe');
    writer.string(3, 'probe');
  });
  message(3, NFT_MSG_NEWRULE, NFPROTO_INET, 0, () => {
    writer.string(1, 'probe');
    writer.string(2, 'probe');
    const list = writer.nest(NFTA_RULE_EXPRESSIONS);
    const element = writer.nest(1);
    writer.string(1, name);
    writer.nestEnd(writer.nest(2));
    writer.nestEnd(element);
    writer.nestEnd(list);
  });
  message(4, NFNL_MSG_BATCH_END, 0, NFNL_SUBSYS_NFTABLES, () => {});
  let refused: NetlinkError | undefined;
  try {
    nfnetlink.exchange('probe', writer.bytes, writer.length, undefined, (_sequence, refusal) => {
      refused ??= new NetlinkError(`expression ${name}`, refusal);
    });
  } finally {
    nfnetlink.close();
  }
  if (refused) throw refused;
}

/** struct nfgenmsg */
function writeHeader(writer: MessageWriter, family: number, resource: number): void {
  const at = writer.fixed(4);
  writer.bytes[at] = family;
  writer.view.setUint16(at + 2, resource);
}
