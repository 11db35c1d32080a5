import type { Attributes } from '../../netlink/reader.ts';
import type { MessageWriter } from '../../netlink/writer.ts';
import { Enumeration } from '../enumeration.ts';

// enum nft_log_attributes
const GROUP = 1;
const PREFIX = 2;
const SNAPLEN = 3;
const QTHRESHOLD = 4;
const LEVEL = 5;
const FLAGS = 6;

export type LogLevel = 'emerg' | 'alert' | 'crit' | 'err' | 'warn' | 'notice' | 'info' | 'debug' | 'audit';
/** enum nft_log_level, by the names of nft. */
const levels = new Enumeration<LogLevel>('log level', [
  'emerg',
  'alert',
  'crit',
  'err',
  'warn',
  'notice',
  'info',
  'debug',
  'audit',
]);

/** NF_LOG_PREFIXLEN, the terminating zero left out. */
export const LOG_PREFIX_MAX = 127;

/** Reports the packet: to those who listen on an NFLOG group, or, without a group, to the kernel's log. */
export interface LogExpression {
  readonly kind: 'log';
  /** At most 127 bytes. */
  readonly prefix?: string;
  /** NFLOG group, 0 to 65535. */
  readonly group?: number;
  /** The most bytes of the packet to pass on; all when absent. Goes with a group. */
  readonly snaplen?: number;
  /** Packets that the kernel gathers before it hands them over. Goes with a group. */
  readonly queueThreshold?: number;
  /** Goes without a group; `warn` when absent. */
  readonly level?: LogLevel;
  /** NF_LOG_* bits (linux/netfilter/nf_log.h). Goes without a group. */
  readonly flags?: number;
}

export function encodeLog(writer: MessageWriter, expression: LogExpression): void {
  const { prefix, group, snaplen, queueThreshold, level, flags } = expression;
  if (prefix !== undefined) {
    const bytes = Buffer.byteLength(prefix);
    if (bytes > LOG_PREFIX_MAX) {
      throw new RangeError(`log prefix: found ${bytes} bytes, expected at most ${LOG_PREFIX_MAX}`);
    }
    writer.string(PREFIX, prefix);
  }
  if (group !== undefined) {
    writer.be16(GROUP, group);
    if (snaplen !== undefined) writer.be32(SNAPLEN, snaplen);
    if (queueThreshold !== undefined) writer.be16(QTHRESHOLD, queueThreshold);
  } else {
    if (level !== undefined) writer.be32(LEVEL, levels.number(level));
    if (flags !== undefined) writer.be32(FLAGS, flags);
  }
}

export function decodeLog(attributes: Attributes): LogExpression {
  const grouped = attributes.has(GROUP);
  const level = levels.name(attributes.be32(LEVEL, 4));
  const snaplen = attributes.be32(SNAPLEN, 0);
  const queueThreshold = attributes.be16(QTHRESHOLD, 0);
  const flags = attributes.be32(FLAGS, 0);
  return {
    kind: 'log',
    ...(attributes.has(PREFIX) ? { prefix: attributes.string(PREFIX) } : {}),
    ...(grouped ? { group: attributes.be16(GROUP) } : {}),
    ...(snaplen > 0 ? { snaplen } : {}),
    ...(queueThreshold > 0 ? { queueThreshold } : {}),
    ...(!grouped && level !== 'warn' ? { level } : {}),
    ...(flags > 0 ? { flags } : {}),
  };
}
