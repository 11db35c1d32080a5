import fc from 'fast-check';
import { beforeAll, describe, expect, test } from 'vitest';
import { NETLINK_NETFILTER } from '#kernel/netlink/constants.ts';
import { type Message, NetlinkSocket } from '#kernel/netlink/socket.ts';
import * as nft from '#kernel/nftables/constants.ts';
import { DecodeError } from '#kernel/nftables/error.ts';
import { formatRule } from '#kernel/nftables/format-rule.ts';
import { takeChain } from '#kernel/nftables/message/chain.ts';
import {
  pairElements,
  putElementsRef,
  takeElements,
  type WireElement,
} from '#kernel/nftables/message/element.ts';
import { putHeader } from '#kernel/nftables/message/header.ts';
import { takeObject } from '#kernel/nftables/message/object.ts';
import { takeRule } from '#kernel/nftables/message/rule.ts';
import { takeSet } from '#kernel/nftables/message/set.ts';
import { takeTable } from '#kernel/nftables/message/table.ts';
import { families } from '#kernel/nftables/model.ts';
import { Gatherer } from '#kernel/nftables/monitor.ts';
import { NetworkNamespace } from '#kernel/sys/namespace.ts';
import { createNetns } from '#test/helpers/netns.ts';
import { groups } from './rows.ts';

/*
 * Messages of the kernel with bytes changed, cut and repeated: the readers give a value or a DecodeError, and end.
 */

interface Raw {
  readonly type: number;
  readonly bytes: Uint8Array;
}

/** Reads a message of a dump as the layer would. */
function read({ type, bytes }: Raw): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const message: Message = { bytes, view, type, flags: 0, start: 16, end: bytes.length };
  switch (type) {
    case nft.NFT_MSG_NEWTABLE:
      takeTable(message);
      break;
    case nft.NFT_MSG_NEWCHAIN:
      takeChain(message);
      break;
    case nft.NFT_MSG_NEWRULE: {
      const { table, rule } = takeRule(message);
      formatRule(table.family, rule);
      break;
    }
    case nft.NFT_MSG_NEWSET:
      takeSet(message);
      break;
    case nft.NFT_MSG_NEWSETELEM: {
      const found: WireElement[] = [];
      takeElements(message, found);
      pairElements({ key: ['ipv4_addr'], interval: true }, found);
      break;
    }
    case nft.NFT_MSG_NEWOBJ:
      takeObject(message);
      break;
  }
}

const corpus: Raw[] = [];
beforeAll(() => {
  for (const group of groups) corpus.push(...messagesOf(group.family, groupText(group)));
});

describe('a reader of what the kernel sends', () => {
  test('reads it whole', () => {
    expect(corpus.length).toBeGreaterThan(200);
    expect(new Set(corpus.map((m) => m.type)).size).toBe(6);
    for (const message of corpus) read(message);
  });

  test('keeps an expression with a value that it does not know as it came, and reads the others', () => {
    // NFTA_META_KEY of `meta load mark` becomes one that no kernel has yet.
    const key = Buffer.from([8, 0, 2, 0, 0, 0, 0, 3]);
    const { bytes } = corpus.find(
      ({ type, bytes }) => type === nft.NFT_MSG_NEWRULE && Buffer.from(bytes).includes(key),
    )!;
    const changed = Buffer.from(bytes);
    changed[changed.indexOf(key) + 7] = 200;
    const view = new DataView(changed.buffer, changed.byteOffset, changed.length);
    const message = {
      bytes: changed,
      view,
      type: nft.NFT_MSG_NEWRULE,
      flags: 0,
      start: 16,
      end: changed.length,
    };
    const [first, ...rest] = takeRule(message).rule.expressions;
    expect(first).toMatchObject({ kind: 'unknown', name: 'meta', data: expect.stringContaining('000000c8') });
    expect(rest.length).toBeGreaterThan(0);
    expect(rest.map((e) => e.kind)).not.toContain('unknown');
  });

  test('gives a value or a DecodeError when bytes are changed', () => {
    const change = fc.tuple(fc.nat(), fc.nat(255));
    fc.assert(
      fc.property(fc.nat(), fc.array(change, { minLength: 1, maxLength: 8 }), (which, changes) => {
        const bytes = corpus[which % corpus.length]!.bytes.slice();
        for (const [at, value] of changes) bytes[16 + (at % (bytes.length - 16))] = value;
        tolerate({ type: corpus[which % corpus.length]!.type, bytes });
      }),
      { numRuns: 4000 },
    );
  });

  test('gives a value or a DecodeError when the end is missing or something else follows', () => {
    fc.assert(
      fc.property(fc.nat(), fc.nat(), fc.uint8Array({ maxLength: 40 }), (which, cut, more) => {
        const { type, bytes } = corpus[which % corpus.length]!;
        const kept = bytes.slice(0, 16 + (cut % (bytes.length - 15)));
        tolerate({ type, bytes: Uint8Array.from([...kept, ...more]) });
      }),
      { numRuns: 2000 },
    );
  });

  test('gives a value or a DecodeError when it is taken for another kind of message', () => {
    for (const { bytes } of corpus)
      for (const type of new Set(corpus.map((m) => m.type))) tolerate({ type, bytes });
  });

  test('tells a monitor of an error and goes on', () => {
    const errors: Error[] = [];
    const gatherer = new Gatherer({ change: () => {}, overflow: () => {}, error: (e) => errors.push(e) }, {});
    for (const { type, bytes } of corpus) {
      const cut = bytes.slice(0, 22);
      gatherer.take({
        bytes: cut,
        view: new DataView(cut.buffer),
        type,
        flags: 0,
        start: 16,
        end: cut.length,
      });
    }
    expect(errors.length).toBeGreaterThan(0);
    for (const error of errors) expect(error).toBeInstanceOf(DecodeError);
  });
});

function tolerate(message: Raw): void {
  try {
    read(message);
  } catch (error) {
    if (!(error instanceof DecodeError)) throw error;
  }
}

function groupText(group: (typeof groups)[number]): string {
  const rules = group.rows.map((row) => row.nft).join('\n');
  const elements = group.around.includes('set hosts {')
    ? `add element ${group.family} fuzz hosts { 10.0.0.1 comment "a" }\nadd element ${group.family} fuzz classes { 10.0.0.0/8 : jump c1 }\n`
    : '';
  return `table ${group.family} fuzz {\n${group.around}\nchain main {\n${group.chain}\n${rules}\n}\n}\n${elements}`;
}

/** All messages of the dumps of a table that nft loaded. */
function messagesOf(family: (typeof groups)[number]['family'], text: string): Raw[] {
  using ns = createNetns();
  using namespace = NetworkNamespace.open(ns.path);
  using socket = NetlinkSocket.open(NETLINK_NETFILTER, namespace);
  ns.exec('nft', ['-f', '-'], { input: text });
  const dump = (type: number, set?: string): Raw[] =>
    socket.dumpAll(
      'fuzz',
      type,
      (writer) => {
        putHeader(writer, families.number(family));
        if (set !== undefined) putElementsRef(writer, { family, name: 'fuzz' }, set);
      },
      (m) => ({ type: m.type, bytes: m.bytes.slice(m.start - 16, m.end) }),
    );
  const sets = [...text.matchAll(/^\s+(?:set|map) (\w+)/gm)].map((match) => match[1]!);
  return [
    ...[
      nft.NFT_MSG_GETTABLE,
      nft.NFT_MSG_GETCHAIN,
      nft.NFT_MSG_GETRULE,
      nft.NFT_MSG_GETSET,
      nft.NFT_MSG_GETOBJ,
    ].flatMap((type) => dump(type)),
    ...sets.flatMap((set) => dump(nft.NFT_MSG_GETSETELEM, set)),
  ];
}
