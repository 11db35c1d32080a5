import { Attributes, eachAttribute } from '../../netlink/reader.ts';
import type { Message } from '../../netlink/socket.ts';
import type { MessageWriter } from '../../netlink/writer.ts';
import { Enumeration } from '../enumeration.ts';
import type { BaseChain, Chain, ChainType, Family, Hook, TableRef } from '../model.ts';
import { putComment, takeComment } from '../userdata.ts';
import { decode } from './header.ts';

// enum nft_chain_attributes
const TABLE = 1;
const HANDLE = 2;
const NAME = 3;
const HOOK = 4;
const POLICY = 5;
const TYPE = 7;
const USERDATA = 12;
// enum nft_hook_attributes
const HOOKNUM = 1;
const PRIORITY = 2;
const DEV = 3;
const DEVS = 4;
/** NFTA_DEVICE_NAME */
const DEVICE_NAME = 1;
// linux/netfilter.h
const NF_DROP = 0;
const NF_ACCEPT = 1;

/** enum nf_inet_hooks */
const inetHooks = new Enumeration<Hook>('hook', [
  'prerouting',
  'input',
  'forward',
  'output',
  'postrouting',
  'ingress',
]);
/** enum nf_dev_hooks */
const deviceHooks = new Enumeration<Hook>('hook', ['ingress', 'egress']);

/** Writes the attributes of a new or changed chain. */
export function putChain(writer: MessageWriter, table: TableRef, chain: Chain): void {
  const { base } = chain;
  writer.string(TABLE, table.name);
  writer.string(NAME, chain.name);
  if (base) {
    writer.string(TYPE, base.type);
    if (base.policy) writer.be32(POLICY, base.policy === 'drop' ? NF_DROP : NF_ACCEPT);
    const hook = writer.nest(HOOK);
    writer.be32(HOOKNUM, hooksOf(table.family).number(base.hook));
    writer.be32(PRIORITY, base.priority);
    const devices = base.devices ?? [];
    if (devices.length === 1) writer.string(DEV, devices[0]!);
    else if (devices.length > 1) {
      const list = writer.nest(DEVS);
      for (const device of devices) writer.string(DEVICE_NAME, device);
      writer.nestEnd(list);
    }
    writer.nestEnd(hook);
  }
  putComment(writer, USERDATA, chain.comment);
}

/** Names a chain in a request about it. */
export function putChainRef(writer: MessageWriter, table: TableRef, chain: string): void {
  writer.string(TABLE, table.name);
  writer.string(NAME, chain);
}

/** @throws DecodeError */
export function takeChain(message: Message): { table: TableRef; chain: Chain; handle: number } {
  return decode('chain', USERDATA, message, (attributes, family) => {
    const base = attributes.has(HOOK) ? takeBase(attributes, family) : undefined;
    return {
      table: { family, name: attributes.string(TABLE) },
      chain: {
        name: attributes.string(NAME),
        ...(base ? { base } : {}),
        ...takeComment(attributes, USERDATA),
      },
      handle: Number(attributes.be64(HANDLE, 0n)),
    };
  });
}

function takeBase(attributes: Attributes, family: Family): BaseChain {
  const hook = new Attributes(DEVS).parseNested(attributes, HOOK);
  const devices: string[] = [];
  if (hook.has(DEVS)) {
    const start = hook.offset(DEVS);
    const device = new Attributes(DEVICE_NAME);
    eachAttribute(hook.view, start, start + hook.size(DEVS), (_type, from, to) => {
      devices.push(device.parse(hook.bytes, hook.view, from - 4, to).string(DEVICE_NAME));
    });
  } else if (hook.has(DEV)) {
    devices.push(hook.string(DEV));
  }
  const type = attributes.string(TYPE);
  if (type !== 'filter' && type !== 'nat' && type !== 'route') throw new RangeError(`chain type ${type}`);
  return {
    type: type satisfies ChainType,
    hook: hooksOf(family).name(hook.be32(HOOKNUM)),
    priority: hook.be32(PRIORITY) | 0,
    ...(attributes.be32(POLICY, NF_ACCEPT) === NF_DROP ? { policy: 'drop' as const } : {}),
    ...(devices.length > 0 ? { devices } : {}),
  };
}

function hooksOf(family: Family): Enumeration<Hook> {
  return family === 'netdev' ? deviceHooks : inetHooks;
}
