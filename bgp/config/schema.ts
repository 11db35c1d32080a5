/**
 * The shape of the configuration file, field by field. Defaults are filled in by `resolve.ts`.
 */

import { z } from 'zod';
import { datastoreSection } from '#daemon/datastore-section.ts';
import { boolean, integer, mapping, name, oneOf, text } from '#daemon/leaves.ts';
import { DEFAULTS } from './defaults.ts';
import { filter } from './filter-schema.ts';
import { address, asNumber, community, familyName, identifier, port, prefix } from './leaves.ts';
import { peer, peerGroup } from './peer-schema.ts';

const listen = mapping({
  address: address.meta({
    description: 'own address to take connections at',
    otherwise:
      'required in an entry; without `listen`, all addresses of both families; with `listen: []`, none',
    example: '10.0.0.11',
    change: 'opens, closes',
  }),
  port: port.optional().meta({
    description: 'TCP port to take connections at',
    default: DEFAULTS.listen.port,
    example: 1790,
    change: 'opens, closes',
  }),
});

const originate = mapping({
  prefix: prefix.meta({
    description: 'a prefix of this node, to be announced',
    otherwise: 'required in an entry',
    example: '10.244.11.0/24',
    change: 'announces, withdraws',
  }),
  blackhole: boolean.optional().meta({
    description:
      'keep a blackhole route behind it, so that addresses nobody has do not go round in circles; with false the kernel gets no route at all, also where a neighbour announces the prefix',
    default: DEFAULTS.originate.blackhole,
    example: false,
    change: 'announces, withdraws',
  }),
  communities: z
    .array(community)
    .optional()
    .meta({
      description: 'communities that the route has (RFC 1997)',
      example: ['64512:100', 'no-export'],
      change: 'announces, withdraws',
    }),
});

/** The fields of the document that are neither lists nor named things. */
export const general = {
  routerId: identifier.optional().meta({
    description: 'BGP identifier of the speaker (RFC 6286)',
    otherwise: 'required; with `cluster`, the IPv4 address of the node',
    example: '10.0.0.11',
    change: 'resets all sessions',
  }),
  as: asNumber.meta({
    description: 'own AS number',
    example: 64512,
    change: 'resets sessions without a `localAs`; runs import of the others again',
  }),
  clusterId: identifier.optional().meta({
    description: 'route reflection cluster (RFC 4456)',
    otherwise: '`routerId`',
    example: '10.0.0.4',
    change: 'runs import and export again',
  }),
  gracefulShutdown: boolean.optional().meta({
    description: 'ask all neighbours to move their traffic away (RFC 8326)',
    default: DEFAULTS.gracefulShutdown,
    example: true,
    change: 'runs export again',
  }),
  decision: mapping({
    alwaysCompareMed: boolean.optional().meta({
      description: 'compare MED between neighbouring ASes too',
      default: DEFAULTS.decision.alwaysCompareMed,
      example: true,
      change: 'decides again',
    }),
    preferOldest: boolean.optional().meta({
      description: 'of external routes that are otherwise equal, prefer the one that came first',
      default: DEFAULTS.decision.preferOldest,
      example: true,
      change: 'decides again',
    }),
  }).optional(),
  ecmp: mapping({
    maxPaths: integer(1, 256, 'a number of paths').optional().meta({
      description: 'most next hops of one route; 1 turns multipath off',
      default: DEFAULTS.ecmp.maxPaths,
      example: 8,
      change: 'decides again',
    }),
    ebgp: boolean.optional().meta({
      description: 'use several external paths',
      default: DEFAULTS.ecmp.ebgp,
      example: false,
      change: 'decides again',
    }),
    ibgp: boolean.optional().meta({
      description: 'use several internal paths',
      default: DEFAULTS.ecmp.ibgp,
      example: false,
      change: 'decides again',
    }),
    asPathRelax: boolean.optional().meta({
      description: 'AS paths need only be equally long, not equal',
      default: DEFAULTS.ecmp.asPathRelax,
      example: true,
      change: 'decides again',
    }),
  }).optional(),
  kernel: mapping({
    enabled: boolean.optional().meta({
      description: 'put routes into the kernel, and take only next hops that it has a route to',
      default: DEFAULTS.kernel.enabled,
      example: false,
      change: 'puts them in, takes them out',
    }),
    table: integer(1, 0xffffffff, 'a routing table').optional().meta({
      description: 'routing table to put them into; next hops are looked up there and in the main table',
      default: DEFAULTS.kernel.table,
      example: 109,
      change: 'moves them (2)',
    }),
    // 0 to 4 are the kernel's own (RTPROT_UNSPEC to RTPROT_STATIC).
    protocol: integer(5, 255, 'a routing protocol number').optional().meta({
      description:
        'number that marks our routes; routes of the table that bear it are taken for ours, whatever their metric',
      default: DEFAULTS.kernel.protocol,
      example: 200,
      change: 'moves them (2)',
    }),
    // 0 is the kernel's own: for IPv6 it makes 1024 of it.
    metric: integer(1, 0xffffffff, 'a metric').optional().meta({
      description: 'metric of our routes; of two for the same prefix the kernel takes the lower one',
      default: DEFAULTS.kernel.metric,
      example: 100,
      change: 'moves them (2)',
    }),
    families: z
      .array(familyName)
      .optional()
      .meta({
        description: 'families whose routes go into the kernel',
        default: DEFAULTS.kernel.families,
        example: ['ipv4-unicast'],
        change: 'puts them in, takes them out',
      }),
  }).optional(),
  datastore: datastoreSection('refused (1)').optional(),
  cluster: mapping({
    node: text('the name of a Node object', 253).optional().meta({
      description: "name of this node's Node object",
      otherwise: '`NODE_NAME` of the environment',
      example: 'n1',
      change: 'refused (1)',
    }),
    mesh: boolean.optional().meta({
      description: 'sessions with all other nodes',
      default: DEFAULTS.cluster.mesh,
      example: false,
      change: 'adds, removes neighbours',
    }),
    group: name.optional().meta({
      description: 'entry of `peerGroups` that the neighbours of the mesh take settings from, such as timers',
      example: 'nodes',
      change: 'as for `peers`',
    }),
    stateFolder: text('the path of a folder', 4_095).optional().meta({
      description: 'where what was last known of the nodes is kept',
      default: DEFAULTS.cluster.stateFolder,
      example: '/var/lib/margay/speaker',
      change: 'refused (1)',
    }),
  }).optional(),
  api: mapping({
    socket: text('the path of a socket, of up to 107 bytes', 107).optional().meta({
      description: 'unix socket that the commands ask',
      default: DEFAULTS.api.socket,
      example: '/run/margay/tor.sock',
      change: 'refused (1)',
    }),
  }).optional(),
  log: mapping({
    level: oneOf('error', 'warn', 'info', 'debug').optional().meta({
      description: 'the least that is logged',
      default: DEFAULTS.log.level,
      example: 'debug',
      change: 'holds at once',
    }),
  }).optional(),
};

/** Fields that are lists: what each entry is. */
export const lists = { listen, originate, peers: peer };

/** Fields that are named things: what each of them is. */
export const named = { peerGroups: peerGroup, filters: filter };

export type GeneralFields = z.output<z.ZodObject<typeof general>>;
export type ListenEntry = z.output<typeof listen>;
export type OriginateEntry = z.output<typeof originate>;
