import type { Flow, Tuple } from '#kernel/conntrack/flow.ts';
import type { Netns } from '#test/helpers/netns.ts';

/** A flow as the conntrack tool shows it, in the form of a {@link Flow}. */
export type ShownFlow = Omit<Flow, 'status' | 'timeout' | 'started'> & {
  readonly assured: boolean;
  readonly replied: boolean;
};

/** The part of a flow that the tool shows and that stands still. */
export function shown(flow: Flow): ShownFlow {
  const { status, timeout, started, ...rest } = flow;
  return { ...rest, assured: (status & 4) !== 0, replied: (status & 2) !== 0 };
}

/** What `conntrack -L` prints in a namespace. */
export function listByTool(ns: Netns): ShownFlow[] {
  // The tool prints labels that have a name in a file alone; in a mount namespace of its own it gets one with all names.
  const script = `
    mkdir -p /etc/xtables && mount -t tmpfs none /etc/xtables || exit 1
    i=0; while [ $i -lt 128 ]; do echo "$i label$i"; i=$((i+1)); done > /etc/xtables/connlabel.conf
    for family in ipv4 ipv6; do conntrack -L -f $family -o extended,id,labels; done`;
  return ns.exec('unshare', ['-m', 'sh', '-c', script]).trim().split('\n').filter(Boolean).map(parse);
}

/** `ipv4 2 tcp 6 99 STATE src= dst= sport= dport= packets= bytes= [UNREPLIED] src= ... [ASSURED] mark= zone= use= id=` */
function parse(line: string): ShownFlow {
  const words = line.split(/\s+/);
  const fields = words
    .filter((word) => word.includes('='))
    .map((word) => word.split('=') as [string, string]);
  const second = fields.findLastIndex(([name]) => name === 'src');
  const original = new Map(fields.slice(0, second));
  const reply = new Map(fields.slice(second));
  const protocol = Number(words[3]);
  const state = /^[A-Z_0-9]*[A-Z][A-Z_0-9]*$/.test(words[5]!) ? words[5] : undefined;
  const helper = reply.get('helper');
  return {
    family: words[0] === 'ipv6' ? 6 : 4,
    original: tuple(original, protocol),
    // Its id follows the other fields, and for ICMP would be taken for the one of the packets.
    reply: tuple(reply, protocol, original.get('id')),
    zone: Number(reply.get('zone') ?? 0),
    id: Number(fields.findLast(([name]) => name === 'id')![1]),
    ...(state === undefined ? {} : { state }),
    mark: Number(reply.get('mark') ?? 0),
    labels: (reply.get('labels') ?? '')
      .split(',')
      .filter(Boolean)
      .map((label) => Number(label.slice('label'.length))),
    ...(original.has('packets') ? { counters: { original: counter(original), reply: counter(reply) } } : {}),
    ...(helper === undefined ? {} : { helper }),
    assured: words.includes('[ASSURED]'),
    replied: !words.includes('[UNREPLIED]'),
  };
}

function tuple(fields: ReadonlyMap<string, string>, protocol: number, icmpId = fields.get('id')): Tuple {
  const number = (name: string): number => Number(fields.get(name));
  return {
    source: fields.get('src')!,
    destination: fields.get('dst')!,
    protocol,
    ...(fields.has('sport') ? { sourcePort: number('sport'), destinationPort: number('dport') } : {}),
    ...(fields.has('type')
      ? { icmp: { type: number('type'), code: number('code'), id: Number(icmpId) } }
      : {}),
  };
}

function counter(fields: ReadonlyMap<string, string>): { packets: number; bytes: number } {
  return { packets: Number(fields.get('packets')), bytes: Number(fields.get('bytes')) };
}
