import { describe, expect, it } from 'vitest';
import { ACCEPT_ALL } from '#bgp/filter/builtin.ts';
import type { Filter } from '#bgp/filter/types.ts';
import { UNSPECIFIED4 } from '#bgp/rib/attribute-store.ts';
import { countersOf } from '#bgp/rib/queries.ts';
import { IPV4_UNICAST, IPV6_UNICAST } from '#bgp/wire/constants.ts';
import { attributesOf, sequence } from './fixtures.ts';
import { type Neighbour, Speaker } from './harness.ts';

const PREFIX = '20.0.0.0/8';

/** So that slices are as small as `process` is asked for. */
const SMALL = { ahead: 100_000, slow: 1_000_000, batch: 1 };

function prefixes(count: number): string[] {
  return Array.from({ length: count }, (_, i) => `20.${i >> 8}.${i & 255}.0/24`);
}

function say(neighbour: Neighbour, med: number, ...what: readonly string[]): void {
  neighbour.announce(
    attributesOf({ asPath: sequence(neighbour.asn), communities: Uint32Array.of(med) }),
    ...what,
  );
}

function groupsOf(speaker: Speaker) {
  return speaker.rib.families.get(IPV4_UNICAST)!.groups;
}

/** Processes everything, while only these neighbours read. */
function settleWith(speaker: Speaker, ...readers: readonly Neighbour[]): void {
  for (let round = 0; round < 10_000; round++) {
    speaker.rib.process(1000);
    const read = readers.map((each) => each.read()).some(Boolean);
    if (!read && !speaker.rib.runnable) return;
  }
  throw new Error('does not come to an end');
}

describe('packing', () => {
  it('puts prefixes with the same attributes into as few messages as they need', () => {
    const speaker = new Speaker();
    const source = speaker.neighbour();
    const target = speaker.neighbour();
    speaker.settle();
    target.messages = 0;
    const list = prefixes(3000);
    // One after the other, two sets in turn.
    for (const [i, prefix] of list.entries()) say(source, i % 2, prefix);
    speaker.rib.process(10_000);
    speaker.settle();
    expect(target.routes.size).toBe(3000);
    expect(target.messages).toBe(2 * Math.ceil(1500 / Math.floor((4096 - 60) / 4)));
    target.messages = 0;
    source.withdraw(...list);
    speaker.rib.process(10_000);
    speaker.settle();
    expect([target.routes.size, target.messages]).toEqual([0, Math.ceil(3000 / Math.floor((4096 - 23) / 4))]);
  });

  it('fills messages although the work comes in small pieces', () => {
    const speaker = new Speaker();
    const source = speaker.neighbour();
    const target = speaker.neighbour();
    speaker.settle();
    target.messages = 0;
    say(source, 1, ...prefixes(2000));
    while (speaker.rib.process(200));
    target.read();
    expect([target.routes.size, target.messages]).toEqual([2000, 2]);
  });

  it('fills extended messages where both sides have them', () => {
    const speaker = new Speaker();
    const source = speaker.neighbour();
    const target = speaker.neighbour({ maxMessage: 65535 });
    speaker.settle();
    target.messages = 0;
    say(source, 1, ...prefixes(3000));
    speaker.rib.process(10_000);
    speaker.settle();
    expect([target.routes.size, target.messages]).toEqual([3000, 1]);
  });

  it('fills messages of IPv6 prefixes of all lengths to the brim and not beyond', () => {
    const speaker = new Speaker();
    const source = speaker.neighbour();
    const target = speaker.neighbour();
    const nextHop = {
      family: 6 as const,
      bytes: Uint8Array.of(0x20, 1, ...new Array<number>(13).fill(0), 7),
    };
    const list = Array.from(
      { length: 900 },
      (_, i) => `2001:db8:${(i + 1).toString(16)}::${i % 3 ? '/48' : '1/128'}`,
    );
    source.announce(attributesOf({ asPath: sequence(source.asn), nextHop }), ...list);
    speaker.settle();
    expect(target.routes.size).toBe(900);
    source.withdraw(...list);
    speaker.settle();
    expect(target.routes.size).toBe(0);
  });
});

describe('streams', () => {
  it('are shared: neighbours with the same rules are handed the same bytes', () => {
    const speaker = new Speaker();
    const source = speaker.neighbour();
    const [a, b] = [speaker.neighbour(), speaker.neighbour()];
    const other = speaker.neighbour({ family: { nextHop: 'keep' } });
    speaker.settle();
    expect(groupsOf(speaker)).toHaveLength(2);
    say(source, 1, PREFIX);
    while (speaker.rib.process(100));
    const bytes = [a, b, other].map((each) => speaker.rib.take(each.index, 65536)!);
    expect(bytes[0]!.buffer).toBe(bytes[1]!.buffer);
    expect(bytes[0]!.byteOffset).toBe(bytes[1]!.byteOffset);
    expect(bytes[0]!.buffer).not.toBe(bytes[2]!.buffer);
  });

  it('hand out whole messages, and what was handed out stays as it was', () => {
    const speaker = new Speaker();
    const source = speaker.neighbour();
    const target = speaker.neighbour();
    speaker.settle();
    for (let i = 0; i < 50; i++) say(source, i, `20.${i}.0.0/16`);
    while (speaker.rib.process(100));
    const first = speaker.rib.take(target.index, 100)!;
    expect((first[16]! << 8) | first[17]!).toBe(first.length);
    expect(first.length).toBeLessThanOrEqual(100);
    const copy = first.slice();
    for (let i = 0; i < 50; i++) say(source, 100 + i, `20.${i}.0.0/16`);
    speaker.settle();
    expect(first).toEqual(copy);
  });

  it('tell once that there is something to read, and again after it has been read', () => {
    const speaker = new Speaker();
    const source = speaker.neighbour();
    const target = speaker.neighbour();
    speaker.settle();
    const told: number[] = [];
    speaker.rib.onOutput = (peer) => told.push(peer);
    for (const med of [1, 2, 3]) {
      say(source, med, PREFIX);
      while (speaker.rib.process(100));
    }
    expect(told).toEqual([target.index]);
    target.read();
    say(source, 4, PREFIX);
    while (speaker.rib.process(100));
    expect(told).toEqual([target.index, target.index]);
  });
});

describe('the neighbour that a path is from', () => {
  it('does not get it back, and loses what it was told before', () => {
    const speaker = new Speaker();
    const a = speaker.neighbour();
    const b = speaker.neighbour();
    const c = speaker.neighbour();
    b.announce(attributesOf({ asPath: sequence(b.asn, 5, 5, 5) }), PREFIX);
    speaker.settle();
    expect([a.table().length, b.table().length, c.table().length]).toEqual([1, 0, 1]);
    a.announce(attributesOf({ asPath: sequence(a.asn) }), PREFIX);
    speaker.settle();
    expect(a.heard).toEqual([`+${PREFIX}`, `-${PREFIX}`]);
    expect(b.heard).toEqual([`+${PREFIX}`]);
    expect(c.heard).toEqual([`+${PREFIX}`, `+${PREFIX}`]);
    a.withdraw(PREFIX);
    speaker.settle();
    expect(a.heard).toEqual([`+${PREFIX}`, `-${PREFIX}`, `+${PREFIX}`]);
    expect(b.heard).toEqual([`+${PREFIX}`, `-${PREFIX}`]);
    expect(countersOf(speaker.rib, b.index, IPV4_UNICAST).advertised).toBe(0);
    expect(countersOf(speaker.rib, a.index, IPV4_UNICAST).advertised).toBe(1);
  });

  it('hears nothing of a change that looks the same to all others', () => {
    // Two sources, the same attributes: what goes out does not change with the source.
    const speaker = new Speaker();
    const a = speaker.neighbour({ asn: 65001, routerId: 9 });
    const b = speaker.neighbour({ asn: 65001, routerId: 1 });
    const c = speaker.neighbour();
    a.announce(attributesOf({ asPath: sequence(65001) }), PREFIX);
    speaker.settle();
    b.announce(attributesOf({ asPath: sequence(65001) }), PREFIX);
    speaker.settle();
    expect(c.heard).toEqual([`+${PREFIX}`]);
    expect(a.heard).toEqual([`+${PREFIX}`]);
    expect(b.heard).toEqual([`+${PREFIX}`, `-${PREFIX}`]);
  });
});

describe('changes that wait', () => {
  it('collapse: of a hundred changes the last is sent', () => {
    const speaker = new Speaker();
    const source = speaker.neighbour();
    const target = speaker.neighbour();
    speaker.settle();
    for (let med = 1; med <= 100; med++) say(source, med, PREFIX);
    speaker.settle();
    expect(target.heard).toEqual([`+${PREFIX}`]);
    expect([...target.routes.get(PREFIX)!.communities]).toEqual([100]);
  });

  it('collapse to nothing if a route is gone before anybody heard of it, or back as it was', () => {
    const speaker = new Speaker();
    const source = speaker.neighbour();
    const target = speaker.neighbour();
    say(source, 1, '21.0.0.0/8');
    speaker.settle();
    say(source, 1, PREFIX);
    source.withdraw(PREFIX);
    source.withdraw('21.0.0.0/8');
    say(source, 1, '21.0.0.0/8');
    speaker.settle();
    expect(target.heard).toEqual(['+21.0.0.0/8']);
  });

  it('collapse while nobody reads: nothing is encoded, and memory does not grow', () => {
    const speaker = new Speaker({ limits: { ahead: 2000, slow: 10_000, batch: 10 } });
    const source = speaker.neighbour();
    const a = speaker.neighbour();
    const b = speaker.neighbour();
    speaker.settle();
    const list = prefixes(500);
    for (let med = 1; med <= 50; med++) {
      for (const prefix of list.slice(0, 100)) say(source, med, prefix);
      while (speaker.rib.process(10));
    }
    const queued = speaker.rib.queued(a.index);
    expect(queued).toBeGreaterThan(2000);
    expect(queued).toBeLessThan(4000);
    expect(countersOf(speaker.rib, a.index, IPV4_UNICAST).pending).toBeGreaterThan(50);
    expect(speaker.rib.attributes.size).toBe(1);
    speaker.settle();
    for (const each of [a, b]) {
      expect(each.routes.size).toBe(100);
      expect([...each.routes.values()].every(({ communities }) => communities[0] === 50)).toBe(true);
      expect(each.heard.length).toBeLessThan(400); // of 5,000 changes
    }
  });
});

describe('a slow neighbour', () => {
  function slowAndFast() {
    const speaker = new Speaker({ limits: { ahead: 1000, slow: 3000, batch: 100 } });
    const source = speaker.neighbour();
    const fast = speaker.neighbour();
    const slow = speaker.neighbour();
    speaker.settle();
    return { speaker, source, fast, slow };
  }

  it('holds nobody up, and what it costs is bounded', () => {
    const { speaker, source, fast, slow } = slowAndFast();
    const list = prefixes(200);
    for (let med = 1; med <= 20; med++) {
      for (const prefix of list) say(source, med, prefix);
      settleWith(speaker, fast, source);
    }
    expect([...fast.routes.values()].every(({ communities }) => communities[0] === 20)).toBe(true);
    expect(fast.routes.size).toBe(200);
    expect(slow.routes.size).toBe(0);
    expect(speaker.rib.queued(slow.index)).toBeLessThan(5000);
    const { pending } = countersOf(speaker.rib, slow.index, IPV4_UNICAST);
    expect(pending).toBeGreaterThan(50);
    expect(pending).toBeLessThanOrEqual(200);
    speaker.settle();
    expect(slow.table()).toEqual(fast.table());
    expect([...slow.routes.values()].every(({ communities }) => communities[0] === 20)).toBe(true);
    // It skipped what was out of date by the time that it read.
    expect(slow.heard.length).toBeLessThan(1000); // of 4,000 changes
  });

  it('hears of withdrawals, also of prefixes that are in no table any more', () => {
    const { speaker, source, fast, slow } = slowAndFast();
    const list = prefixes(200);
    say(source, 1, ...list);
    speaker.settle();
    source.withdraw(...list.slice(0, 20));
    settleWith(speaker, fast, source); // encoded for both
    for (let med = 2; med < 30; med++) {
      for (const prefix of list.slice(100)) say(source, med, prefix);
      settleWith(speaker, fast, source); // the slow one is left behind
    }
    source.withdraw(...list.slice(20, 150));
    settleWith(speaker, fast, source);
    speaker.settle();
    expect(slow.table()).toEqual(fast.table());
    expect(slow.routes.size).toBe(50);
    expect(speaker.rib.families.get(IPV4_UNICAST)!.table.size).toBe(50);
  });

  it('shares the stream of the others again once it has caught up', () => {
    const { speaker, source, fast, slow } = slowAndFast();
    for (let med = 1; med < 30; med++) {
      for (const prefix of prefixes(100)) say(source, med, prefix);
      settleWith(speaker, fast, source);
    }
    speaker.settle();
    say(source, 99, PREFIX);
    while (speaker.rib.process(100));
    const [a, b] = [fast, slow].map((each) => speaker.rib.take(each.index, 65536)!);
    expect(a!.buffer).toBe(b!.buffer);
  });

  it('does not hold up one that comes new, even if there is nobody else', () => {
    const speaker = new Speaker({ limits: { ahead: 1000, slow: 3000, batch: 100 } });
    const source = speaker.neighbour({ family: { nextHop: 'keep' } }); // a group of its own
    const slow = speaker.neighbour();
    speaker.settle();
    for (let med = 1; med < 30; med++) {
      for (const prefix of prefixes(100)) say(source, med, prefix);
      settleWith(speaker, source);
    }
    expect(countersOf(speaker.rib, slow.index, IPV4_UNICAST).pending).toBeGreaterThan(0);
    const late = speaker.neighbour();
    settleWith(speaker, source, late);
    expect(late.markers).toContain('end-of-rib ipv4');
    expect([...late.routes.values()].every(({ communities }) => communities[0] === 29)).toBe(true);
    expect(late.routes.size).toBe(100);
    for (const prefix of prefixes(100)) say(source, 30, prefix);
    settleWith(speaker, source, late);
    expect([...late.routes.values()].every(({ communities }) => communities[0] === 30)).toBe(true);
    speaker.settle();
    expect(slow.table()).toEqual(late.table());
  });

  it('may go away while it is behind', () => {
    const { speaker, source, fast, slow } = slowAndFast();
    for (let med = 1; med < 30; med++) {
      for (const prefix of prefixes(100)) say(source, med, prefix);
      settleWith(speaker, fast, source);
    }
    source.withdraw(...prefixes(100));
    settleWith(speaker, fast, source);
    expect(speaker.rib.families.get(IPV4_UNICAST)!.table.size).toBeGreaterThan(0);
    slow.down();
    settleWith(speaker, fast, source);
    expect(speaker.rib.families.get(IPV4_UNICAST)!.table.size).toBe(0);
  });
});

describe('a new neighbour', () => {
  it('gets the table and then an End-of-RIB for each family', () => {
    const speaker = new Speaker();
    const source = speaker.neighbour();
    say(source, 1, ...prefixes(500));
    speaker.settle();
    const late = speaker.neighbour();
    let before = 0;
    for (let round = 0; late.markers.length < 2 && round < 1000; round++) {
      before = late.routes.size;
      speaker.rib.process(50);
      late.read(100);
    }
    expect(before).toBe(500);
    expect(late.markers.sort()).toEqual(['end-of-rib ipv4', 'end-of-rib ipv6']);
    speaker.settle();
    expect(late.heard).toHaveLength(500);
    expect(countersOf(speaker.rib, late.index, IPV4_UNICAST)).toMatchObject({
      advertised: 500,
      endOfRibSent: true,
    });
  });

  it('gets its End-of-RIB after what was waiting to be sent when it came', () => {
    const speaker = new Speaker({ limits: { ahead: 10, slow: 1_000_000, batch: 1 } });
    const source = speaker.neighbour({ family: { nextHop: 'keep' } }); // a group of its own
    speaker.neighbour();
    speaker.settle();
    // From now on it does not read: one message is encoded, and what else changes waits.
    const list = prefixes(60);
    const decide = () => {
      for (let i = 0; i < 200; i++) speaker.rib.process(1);
    };
    say(source, 1, PREFIX);
    decide();
    say(source, 1, ...list.slice(0, 30));
    decide();
    say(source, 1, ...list.slice(30));
    decide();
    source.withdraw(...list.slice(0, 30)); // comes to nothing, but has to be looked at
    decide();
    const late = speaker.neighbour();
    for (let round = 0; round < 1000 && !late.markers.includes('end-of-rib ipv4'); round++) {
      speaker.rib.process(1);
      late.read(1);
    }
    expect([late.markers.includes('end-of-rib ipv4'), late.routes.size]).toEqual([true, 31]);
  });

  it('gets its End-of-RIB even if it asks for a refresh before it has read it', () => {
    const speaker = new Speaker();
    const source = speaker.neighbour();
    say(source, 1, PREFIX);
    speaker.settle();
    const late = speaker.neighbour();
    while (speaker.rib.process(100));
    speaker.rib.refreshRequested(late.index, IPV4_UNICAST);
    speaker.settle();
    expect(late.markers.filter((each) => each === 'end-of-rib ipv4')).toHaveLength(1);
    expect(late.heard).toEqual([`+${PREFIX}`]);
  });

  it('is sent no withdrawal of what it never had', () => {
    const speaker = new Speaker({ limits: SMALL });
    const source = speaker.neighbour();
    say(source, 1, ...prefixes(300));
    speaker.settle();
    const late = speaker.neighbour();
    speaker.rib.process(10); // some of it is on its way
    source.withdraw(...prefixes(300));
    speaker.settle();
    expect(late.routes.size).toBe(0);
    expect(late.heard.filter((each) => each.startsWith('-')).length).toBeLessThanOrEqual(10);
  });

  it('shares its first table with others that come at the same time', () => {
    const speaker = new Speaker();
    const source = speaker.neighbour();
    say(source, 1, ...prefixes(50));
    speaker.settle();
    const [a, b] = [speaker.neighbour(), speaker.neighbour()];
    while (speaker.rib.process(1000));
    const [first, second] = [a, b].map((each) => speaker.rib.take(each.index, 65536)!);
    expect(first!.buffer).toBe(second!.buffer);
  });

  it('gets an End-of-RIB although the table never stops changing', () => {
    const speaker = new Speaker({ limits: SMALL });
    const source = speaker.neighbour();
    say(source, 1, ...prefixes(100));
    speaker.settle();
    const late = speaker.neighbour();
    for (let med = 2; med < 60; med++) {
      say(source, med, ...prefixes(100));
      speaker.rib.process(30);
      late.read();
    }
    expect(late.markers).toContain('end-of-rib ipv4');
  });
});

describe('a refresh', () => {
  it('repeats everything between its markers, for this neighbour only', () => {
    const speaker = new Speaker();
    const source = speaker.neighbour();
    const asks = speaker.neighbour({ enhancedRefresh: true });
    const other = speaker.neighbour();
    say(source, 1, ...prefixes(100));
    speaker.settle();
    asks.heard.length = 0;
    asks.markers.length = 0;
    other.heard.length = 0;
    // It has lost a route and holds on to one that is gone; both come right.
    asks.routes.delete(prefixes(1)[0]!);
    asks.routes.set('99.0.0.0/8', attributesOf({}));
    speaker.rib.refreshRequested(asks.index, IPV4_UNICAST);
    speaker.settle();
    expect(asks.markers).toEqual(['refresh-begin ipv4', 'refresh-end ipv4']);
    expect([asks.heard.length, asks.routes.size, other.heard.length]).toEqual([100, 100, 0]);
    expect(asks.table()).toEqual(other.table());
  });

  it('has no markers for a neighbour that does not know them', () => {
    const speaker = new Speaker();
    const source = speaker.neighbour();
    const asks = speaker.neighbour();
    say(source, 1, ...prefixes(10));
    speaker.settle();
    asks.markers.length = 0;
    speaker.rib.refreshRequested(asks.index, IPV4_UNICAST);
    speaker.rib.refreshRequested(asks.index, IPV6_UNICAST);
    speaker.settle();
    expect([asks.markers, asks.heard.length]).toEqual([[], 20]);
  });

  it('asked for twice at once has one pair of markers and repeats everything after the second', () => {
    const speaker = new Speaker({ limits: SMALL });
    const source = speaker.neighbour();
    const asks = speaker.neighbour({ enhancedRefresh: true });
    say(source, 1, ...prefixes(100));
    speaker.settle();
    asks.markers.length = 0;
    speaker.rib.refreshRequested(asks.index, IPV4_UNICAST);
    speaker.rib.process(60);
    asks.read();
    asks.heard.length = 0;
    speaker.rib.refreshRequested(asks.index, IPV4_UNICAST);
    speaker.settle();
    expect(asks.markers).toEqual(['refresh-begin ipv4', 'refresh-end ipv4']);
    expect(asks.heard).toHaveLength(100);
  });
});

describe('a changed export filter', () => {
  const lower: Filter = {
    name: 'lower',
    statements: [
      { match: { communities: { any: [{ kind: 'standard', as: 0, value: 1 }] } }, action: 'reject' },
    ],
    otherwise: 'accept',
  };

  it('sends the difference and nothing else, to the neighbour that it is for', () => {
    const speaker = new Speaker();
    const source = speaker.neighbour();
    const target = speaker.neighbour();
    const other = speaker.neighbour();
    say(source, 1, '21.0.0.0/8');
    say(source, 2, '22.0.0.0/8');
    speaker.settle();
    for (const each of [target, other]) each.heard.length = 0;
    target.change({}, { export: [lower] });
    speaker.settle();
    expect([target.heard, other.heard]).toEqual([['-21.0.0.0/8'], []]);
    target.change({}, { export: [ACCEPT_ALL] });
    speaker.settle();
    expect([target.heard, other.heard]).toEqual([['-21.0.0.0/8', '+21.0.0.0/8'], []]);
    expect(groupsOf(speaker)).toHaveLength(1);
  });

  it('counts for what the neighbour has not read yet, too', () => {
    const speaker = new Speaker();
    const source = speaker.neighbour();
    const target = speaker.neighbour();
    speaker.settle();
    say(source, 1, '21.0.0.0/8');
    say(source, 2, '22.0.0.0/8');
    while (speaker.rib.process(100));
    target.change({}, { export: [lower] });
    speaker.settle();
    expect(target.table()).toEqual(['22.0.0.0/8 65000 65001']);
    expect(target.markers).toContain('end-of-rib ipv4');
  });

  it('that says the same as before changes nothing', () => {
    const speaker = new Speaker();
    const source = speaker.neighbour();
    const target = speaker.neighbour();
    say(source, 1, '21.0.0.0/8');
    speaker.settle();
    target.heard.length = 0;
    target.change({}, { export: [structuredClone(ACCEPT_ALL)] });
    speaker.settle();
    expect(target.heard).toEqual([]);
  });
});

describe('memory', () => {
  it('is back where it was after a table came and went twenty times', () => {
    const speaker = new Speaker();
    const sources = [speaker.neighbour(), speaker.neighbour(), speaker.neighbour()];
    speaker.neighbour();
    const list = prefixes(300);
    const { rib } = speaker;
    const table = rib.families.get(IPV4_UNICAST)!;
    let limits: number[] = [];
    for (let round = 0; round < 20; round++) {
      for (const [i, source] of sources.entries()) {
        for (let from = 0; from < 300; from += 30)
          say(source, round + i + from, ...list.slice(from, from + 30));
      }
      speaker.settle();
      for (const source of sources) source.withdraw(...list);
      speaker.settle();
      const now = [table.table.limit, table.paths.limit, rib.attributes.limit, rib.out.limit];
      if (round === 0) limits = now;
      expect(now).toEqual(limits);
    }
    expect([table.table.size, table.paths.size, rib.attributes.size, rib.attributes.bytesInUse]).toEqual([
      0, 0, 0, 0,
    ]);
    expect([rib.out.size, rib.out.bytesInUse, rib.nextHops.size]).toEqual([0, 0, 0]);
  });

  it('of a group goes with its last neighbour', () => {
    const speaker = new Speaker();
    const a = speaker.neighbour();
    const b = speaker.neighbour();
    speaker.originate(PREFIX, attributesOf({ nextHop: UNSPECIFIED4 }));
    speaker.settle();
    expect(speaker.rib.out.size).toBe(1);
    a.down();
    b.down();
    speaker.settle();
    expect([speaker.rib.out.size, groupsOf(speaker).length, speaker.rib.attributes.size]).toEqual([0, 0, 1]);
  });
});
