import type { EncodedTransaction } from '#kernel/nftables/transaction.ts';
import { tlvs } from '#kernel/nftables/typeof.ts';
import type { Netns } from '#test/helpers/netns.ts';

/** What nft sent while it loaded a text, and what it says of it in libnftnl's words. */
export interface Capture {
  /** The messages of the batch without its begin and end, bytes as they were sent but for the header's flags. */
  readonly messages: readonly Uint8Array[];
  /** The expressions of each rule, a line each: `[ meta load mark => reg 1 ]`. */
  readonly rules: readonly string[];
}

/** Loads a text with nft, and captures the messages from its debug output. */
export function load(ns: Netns, text: string): Capture {
  const output = ns.exec('nft', ['--debug=netlink,mnl', '-f', '-'], { input: text });
  return { messages: messagesIn(output).filter(isNew), rules: rulesIn(output) };
}

/** What nft reads from the kernel of the rules of a table, in libnftnl's words. */
export function readRules(ns: Netns, family: string, table: string): readonly string[] {
  return rulesIn(ns.exec('nft', ['--debug=netlink', 'list', 'table', family, table]));
}

/** The rules that nft prints of a chain, without their indentation. */
export function listRules(ns: Netns, family: string, table: string, chain: string): string[] {
  const lines = ns.exec('nft', ['list', 'chain', family, table, chain]).split('\n');
  // Elements of a set without a name may be broken into lines.
  const text = lines
    .filter((line) => line.startsWith('\t\t'))
    .join('\n')
    .replaceAll(/,\n\s+/g, ', ');
  return text
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => !/^(type .* hook|comment )/.test(line));
}

/** The messages of one of our batches, without its begin and end. */
export function split({ writer }: EncodedTransaction): Uint8Array[] {
  const messages: Uint8Array[] = [];
  for (let at = 0; at < writer.length; at += (writer.view.getUint32(at, true) + 3) & ~3) {
    messages.push(writer.bytes.slice(at, at + writer.view.getUint32(at, true)));
  }
  return messages.slice(1, -1);
}

/**
 * A message as indented text, attribute by attribute, so that a difference shows its place. What means nothing to the
 * kernel and differs between nft and us is left out: the numbers that a batch gives to sets; the types that nft counts
 * up in a list of elements; what nft notes about the field that a rule's own set is looked up by, the byte order of one
 * byte included; and the operation of a bitwise when it is the one that its absence stands for.
 */
export function show(message: Uint8Array): string {
  const view = new DataView(message.buffer, message.byteOffset, message.length);
  const type = view.getUint16(4, true) & 0xff;
  const lines = [`message ${type} family ${message[16]}`];
  for (const [number, start, end, nested] of attributesIn(view, 20, message.length)) {
    const value = hex(view, start, end);
    if ((type === NEWSET && number === 10) || (type === NEWSETELEM && number === 4)) continue;
    if (type === NEWRULE && number === 4) showExpressions(view, start, end, lines);
    else if (type === NEWSETELEM && number === 3) {
      for (const [, from, to] of attributesIn(view, start, end)) {
        lines.push('  element:');
        showAttributes(view, from, to, 2, lines);
      }
    } else if (nested) {
      lines.push(`  ${number}:`);
      showAttributes(view, start, end, 2, lines);
    } else if (type === NEWSET && number === 13) {
      const skip = lines.includes(ANONYMOUS) ? (lines.includes(ONE_BYTE) ? [0, 3, 4] : [3, 4]) : [];
      const words = [...tlvs(value)].filter(([what]) => !skip.includes(what));
      lines.push(`  user data: ${words.map(([what, text]) => `${what}=${text}`).join(' ')}`);
    } else {
      lines.push(
        type === NEWSET && number === 2 && value.startsWith('5f5f') ? ANONYMOUS : `  ${number}: ${value}`,
      );
    }
  }
  return lines.join('\n');
}

const NEWRULE = 6;
const NEWSET = 9;
const NEWSETELEM = 12;
const ANONYMOUS = '  2: (anonymous)';
const ONE_BYTE = '  5: 00000001';

/** The attribute of some expressions that holds a set's number. */
const ID_OF: Record<string, number> = { lookup: 4, dynset: 2, objref: 5 };

function showExpressions(view: DataView, start: number, end: number, lines: string[]): void {
  for (const [, from, to] of attributesIn(view, start, end)) {
    const [name, data] = attributesIn(view, from, to);
    const kind = Buffer.from(hex(view, name![1], name![2] - 1), 'hex').toString();
    lines.push(`  ${kind}:`);
    if (!data) continue;
    const inner: string[] = [];
    showAttributes(view, data[1], data[2], 2, inner);
    const left = (line: string): boolean =>
      line.startsWith(`    ${ID_OF[kind]}: `) || (kind === 'bitwise' && line === '    6: 00000000');
    lines.push(...inner.filter((line) => !left(line)));
  }
}

/** The lines of a message as libmnl prints it, and what bytes each stands for. */
const LINES: readonly (readonly [RegExp, (match: readonly string[]) => number[]])[] = [
  [/^\| {2}(\d{10}) {2}\|\t\| message length/, ([, length]) => little(Number(length), 4)],
  [/^\| (\d{5}) \| .... \|\t\| {2}type \| flags/, ([, type]) => [...little(Number(type), 2), 0, 0]],
  [/^\| {2}(\d{10}) {2}\|\t\| +(?:sequence|port)/, ([, value]) => little(Number(value), 4)],
  [
    /^\|(\d{5})\|(.)(.)\|(\d{5})\|\t\|len \|flags/,
    ([, length, nested, order, type]) => [
      ...little(Number(length), 2),
      ...little(Number(type) | (nested === 'N' ? 0x8000 : 0) | (order === 'B' ? 0x4000 : 0), 2),
    ],
  ],
  [
    /^\| (..) (..) (..) (..) {2}\|\t\|/,
    (match) => match.slice(1, 5).map((text) => Number.parseInt(text, 16)),
  ],
];

/** Reads the hexadecimal dumps that libmnl prints (mnl_nlmsg_fprintf). */
function messagesIn(output: string): Uint8Array[] {
  const messages: Uint8Array[] = [];
  let bytes: number[] = [];
  // biome-ignore lint/suspicious/noControlCharactersInRegex: libmnl colours its output
  for (const line of output.replaceAll(/\u001b\[[\d;]*m/g, '').split('\n')) {
    for (const [pattern, read] of LINES) {
      const match = pattern.exec(line);
      if (!match) continue;
      if (line.endsWith('message length |')) bytes = [];
      bytes.push(...read(match));
      const message = Uint8Array.from(bytes);
      if (bytes.length >= 4 && new DataView(message.buffer).getUint32(0, true) === bytes.length) {
        messages.push(message);
        bytes = [];
      }
      break;
    }
  }
  return messages;
}

function little(value: number, size: number): number[] {
  return Array.from({ length: size }, (_, i) => (value >>> (8 * i)) & 0xff);
}

/** NFT_MSG_NEWTABLE, NEWCHAIN, NEWRULE, NEWSET, NEWSETELEM, NEWOBJ: the batch, and not what nft asks before it. */
function isNew(message: Uint8Array): boolean {
  const type = new DataView(message.buffer).getUint16(4, true);
  return type >> 8 === 10 && [0, 3, 6, 9, 12, 18].includes(type & 0xff);
}

function rulesIn(output: string): string[] {
  const rules: string[] = [];
  let open: string[] = [];
  for (const line of [...output.split('\n'), '']) {
    // A rule's number stands before its first expression when it was read from the kernel.
    const match = /^ +(\[ .* \])\s*$/.exec(line);
    if (match) open.push(match[1]!.trim());
    else if (/^ {2}userdata/.test(line)) continue;
    else if (open.length > 0) {
      rules.push(open.join('\n'));
      open = [];
    }
  }
  return rules;
}

function showAttributes(view: DataView, start: number, end: number, depth: number, lines: string[]): void {
  for (const [number, from, to, nested] of attributesIn(view, start, end)) {
    const indent = '  '.repeat(depth);
    lines.push(`${indent}${number}:${nested ? '' : ` ${hex(view, from, to)}`}`);
    if (nested) showAttributes(view, from, to, depth + 1, lines);
  }
}

type Attribute = readonly [number: number, start: number, end: number, nested: boolean];

function attributesIn(view: DataView, start: number, end: number): Attribute[] {
  const found: Attribute[] = [];
  for (let at = start; at + 4 <= end; ) {
    const length = view.getUint16(at, true);
    const type = view.getUint16(at + 2, true);
    found.push([type & 0x3fff, at + 4, at + length, (type & 0x8000) !== 0]);
    at += Math.max(4, (length + 3) & ~3);
  }
  return found;
}

function hex(view: DataView, start: number, end: number): string {
  return Buffer.from(view.buffer, view.byteOffset + start, end - start).toString('hex');
}
