import { describe, expect, it } from 'vitest';
import { NextHopTable } from '#bgp/rib/next-hops.ts';
import { ipv4 } from './fixtures.ts';

const nextHop = (text: string) => ({ family: 4 as const, bytes: ipv4(text), linkLocal: undefined });

describe('next hop table', () => {
  it('tells the tracker of a next hop that comes into use and of one that goes out of it, once', () => {
    const told: string[] = [];
    const table = new NextHopTable(
      { reachable: false, metric: 0 },
      {
        added: (id, { bytes }) => told.push(`+${id} ${bytes.join('.')}`),
        removed: (id) => told.push(`-${id}`),
      },
    );
    const id = table.acquire(nextHop('10.0.0.1'), 0);
    expect(table.acquire(nextHop('10.0.0.1'), 0)).toBe(id);
    table.release(id);
    expect(told).toEqual([`+${id} 10.0.0.1`]);
    table.release(id);
    expect(told).toEqual([`+${id} 10.0.0.1`, `-${id}`]);
    expect([table.size, table.find(nextHop('10.0.0.1'), 0)]).toEqual([0, 0]);
  });

  it('speaks of a change only if there is one', () => {
    const changes: number[] = [];
    const table = new NextHopTable({ reachable: false, metric: 0 });
    table.onChange = (id) => changes.push(id);
    const id = table.acquire(nextHop('10.0.0.1'), 0);
    const gateway = { link: 3 };
    table.set(id, { reachable: true, metric: 10, gateway });
    table.set(id, { reachable: true, metric: 10, gateway });
    table.set(id, { reachable: true, metric: 10, gateway: { link: 4 } });
    table.set(id + 1, { reachable: true, metric: 10 });
    expect(changes).toEqual([id, id]);
    expect(table.resolution(id)).toEqual({ reachable: true, metric: 10, gateway: { link: 4 } });
  });

  it('does not carry over what was known of an id that is given out again', () => {
    const table = new NextHopTable({ reachable: false, metric: 7 });
    const id = table.acquire(nextHop('10.0.0.1'), 0);
    table.set(id, { reachable: true, metric: 1, gateway: 'x' });
    table.release(id);
    expect(table.acquire(nextHop('10.0.0.2'), 0)).toBe(id);
    expect(table.resolution(id)).toEqual({ reachable: false, metric: 7, gateway: undefined });
  });

  it('needs no way to ourselves', () => {
    const told: number[] = [];
    const table = new NextHopTable(
      { reachable: false, metric: 5 },
      { added: (id) => told.push(id), removed: () => {} },
    );
    const id = table.acquire(nextHop('0.0.0.0'), 0);
    expect([table.reachable[id], table.metric[id], told]).toEqual([1, 0, []]);
  });

  it('holds more next hops than it has room for at first', () => {
    const table = new NextHopTable({ reachable: true, metric: 1 });
    const ids = Array.from({ length: 500 }, (_, i) => table.acquire(nextHop(`10.0.${i >> 8}.${i & 255}`), 0));
    expect(new Set(ids).size).toBe(500);
    expect(ids.every((id) => table.metric[id] === 1)).toBe(true);
  });
});
